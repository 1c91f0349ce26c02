"""Form fields that a route does not have are refused."""

from __future__ import annotations

from fastapi import Request
from fastapi.routing import APIRoute

from reporting_pipeline.usecases.callers.problems import FieldError, Problem


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
