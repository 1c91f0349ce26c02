"""Which refused requests are noted: answers 401, 403 and 404 to addresses that there are.

A 404 may hide a right, and whoever tries ids is to be seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from reporting_pipeline.domain.access import User
from reporting_pipeline.usecases.callers import refusals
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.origins import origin_of

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,99}", re.ASCII)


def note_refusal(
    context: Context, scope: Scope, caller: User | None, status: int, routes: Sequence[BaseRoute]
) -> None:
    """Note that `caller` was refused at one of `routes`."""
    for route in routes:
        if isinstance(route, APIRoute):
            match, found = route.matches(scope)
            if match is Match.FULL:
                subject = _subject(route, found.get("path_params", {}))
                refusals.note_refusal(
                    context,
                    caller,
                    status,
                    method=scope["method"],
                    route=route.path,
                    subject=subject,
                    host=origin_of(
                        str((scope.get("client") or ("",))[0]),
                        Headers(scope=scope).getlist("x-forwarded-for"),
                        context.settings.trusted_networks,
                    ),
                )
                return


def _subject(route: APIRoute, parameters: dict[str, object]) -> str:
    ids = [str(value) for value in parameters.values() if _ID.fullmatch(str(value))]
    return ids[0] if ids else route.path.split("/{")[0].strip("/").replace("/", ".").replace(":", ".")
