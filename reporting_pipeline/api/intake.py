"""What the routes of documents share: who acts, refusals as problems, unknown form fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.routing import APIRoute

from reporting_pipeline.api.deps import Context
from reporting_pipeline.api.errors import FieldError, Problem
from reporting_pipeline.domain.access import User
from reporting_pipeline.intake.checking import DocumentRefused, FieldProblem
from reporting_pipeline.stores.document_versions import DocumentChanged
from reporting_pipeline.usecases import documents as usecase


def caller_of(deployment: Context, user: User) -> usecase.Caller:
    """The caller as the use cases take one."""
    zone = ZoneInfo(deployment.settings.timezone)
    return usecase.Caller(deployment.database, deployment.objects, user, deployment.now, zone)


@contextmanager
def refusals() -> Iterator[None]:
    """A refused document as a 422 with a pointer per field; 409 where its id stands for another content."""
    try:
        yield
    except DocumentRefused as error:
        slug = "conflict" if error.conflict else "validation"
        raise Problem(slug, str(error)[:500], field_errors(error.problems)) from None
    except DocumentChanged:
        raise Problem("conflict", "The document was changed meanwhile; read it again.") from None


def field_errors(problems: Sequence[FieldProblem]) -> list[FieldError]:
    return [FieldError(one.pointer or "#", one.detail) for one in problems]


async def known_form_fields(request: Request) -> None:
    """Refuse (422) form fields that the route does not have: a misspelt field is lost in silence else."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute):
        return
    known = {field.alias for field in route.dependant.body_params}
    form = await request.form()
    unknown = sorted({name for name in form if name not in known})
    if unknown:
        told = f"is no field of this form; it takes {', '.join(sorted(known))}"
        found = [FieldError(f"#/{name[:60]}", told) for name in unknown[:20]]
        raise Problem("validation", f"{unknown[0][:60]}: {told}", found)
