"""What routes ask for: the deployment's parts, the caller, and the check of the caller's rights.

Dependencies that wait for nothing are `async`: FastAPI hands the others to a thread, each for itself.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_origin

from fastapi import Depends, Header, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query as QueryParameter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from reporting_pipeline.domain.access import Action, ResourceKind, User, reach_of
from reporting_pipeline.intake.checking import pointer_of, strict_json
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.problems import FieldError, Problem, invalid


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def _caller(request: Request) -> User:
    caller = request.scope.get("state", {}).get("caller")
    if not isinstance(caller, User):  # an address that was made public by mistake still lets nobody in
        raise Problem("unauthenticated")
    return caller


Deployment = Annotated[Context, Depends(_context)]
Caller = Annotated[User, Depends(_caller)]


async def known_parameters(request: Request) -> None:
    """Refuse (422) query parameters that the route does not have: a misspelt filter is no filter.

    Links in mails are left alone: mail programs add parameters of their own.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not request.url.path.startswith("/api/"):
        return
    fields = get_flat_params(route.dependant)
    known = {field.alias for field in fields if isinstance(field.field_info, QueryParameter)}
    for name in request.query_params:
        if name not in known:
            wanted = ", ".join(sorted(known)) or "none"
            raise Problem(
                "validation",
                f"{name[:60]}: is no parameter of this address",
                [FieldError(f"query:{name[:60]}", f"is no parameter of this address; it takes {wanted}")],
            )
    lists = {field.alias for field in fields if get_origin(field.field_info.annotation) is Sequence}
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if times > 1 and name not in lists:
            told = "stands twice; give it once"
            raise Problem("validation", f"{name}: {told}", [FieldError(f"query:{name}", told)])


async def unambiguous_body(request: Request) -> None:
    """Refuse (422) a JSON body that readers differ about: a member twice, a number that is none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not request.url.path.startswith("/api/") or not kind.endswith(("/json", "+json")):
        return
    body = await request.body()
    if not body:
        return
    try:
        strict_json(body.decode(json.detect_encoding(body)))
    except (ValueError, RecursionError) as error:
        raise invalid("#", f"the body is not valid JSON ({str(error)[:120]})") from None


async def no_surplus_body(request: Request) -> None:
    """Refuse (422) members sent to an address that takes no body: what is asked for so would be lost."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not request.url.path.startswith("/api/"):
        return
    if request.method in ("GET", "HEAD") or _takes_a_body(route):
        return
    body = await request.body()
    if not body.strip():
        return
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    if given == {}:  # what some clients send where there is nothing to say
        return
    names = list(given)[:50] if isinstance(given, dict) else []
    found = [FieldError(pointer_of(name), "is not known here; leave it out") for name in names]
    raise Problem("validation", "This address takes no body.", found or [FieldError("#", "leave it out")])


def _takes_a_body(route: APIRoute) -> bool:
    return route.body_field is not None or "requestBody" in (route.openapi_extra or {})


def may(action: Action, kind: ResourceKind) -> Any:
    """A dependency that refuses (403) callers none of whose roles may do `action` to any `kind`.

    It comes before the body is looked at. Whether *this* object is theirs is `require`'s question.
    """

    async def check(caller: Caller) -> None:
        _check_role(caller, action, kind)

    setattr(check, _NEEDS, (action, kind))
    return Depends(check)


_NEEDS = "needs"


def _check_role(caller: User, action: Action, kind: ResourceKind) -> None:
    if reach_of(caller, action, kind) is None:
        raise Problem("forbidden", f"None of your roles may {action} a {kind}.")


def role_check(routes: Sequence[BaseRoute]) -> Callable[[User, Scope], None]:
    """What `may` of a request's route asks of its caller, to be asked before the body is read."""

    def check(caller: User, scope: Scope) -> None:
        for route in routes:
            if isinstance(route, APIRoute) and route.matches(scope)[0] is Match.FULL:
                for dependency in route.dependencies:
                    needs = getattr(dependency.dependency, _NEEDS, None)
                    if needs is not None:
                        _check_role(caller, *needs)
                return

    return check


async def no_vain_condition(request: Request) -> None:
    """Refuse (422) `If-Match` where nothing is held against it: who sends it counts on a 412."""
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or "if-match" not in request.headers or request.method == "GET":
        return
    if not any(field.alias.lower() == "if-match" for field in get_flat_params(route.dependant)):
        detail = "this address has no ETag to hold it against; leave it out"
        raise Problem("validation", f"If-Match: {detail}", [FieldError("header:If-Match", detail)])


#: One tag or `*`; a list of tags (RFC 9110, 13.1.1) is no use where a record has one version at a time.
_ENTITY_TAG = re.compile(r'^(\*|(W/)?"[^"]*")$')


async def _expected_version(
    if_match: Annotated[
        str | None,
        Header(
            description="The ETag last read, one; 412 when it changed since.",
            max_length=200,
            json_schema_extra={"pattern": _ENTITY_TAG.pattern},
            examples=['"3"'],
        ),
    ] = None,
) -> int | None:
    tag = "*" if if_match is None else if_match.strip()
    if not _ENTITY_TAG.match(tag):
        detail = 'one entity tag such as "3"'
        raise Problem("validation", f"If-Match: {detail}", [FieldError("header:If-Match", detail)])
    if tag == "*":
        return None
    # Versions are compared strongly; a weak tag never matches (RFC 9110, 13.1.1).
    if len(tag) > 2 and tag[0] == '"' and tag[1:-1].isdecimal() and tag.isascii():
        return int(tag[1:-1][:18])
    return -1  # some other tag: it cannot be the current one


ExpectedVersion = Annotated[int | None, Depends(_expected_version)]


def etag(version: int) -> str:
    """The ETag of a version of a record."""
    return f'"{version}"'
