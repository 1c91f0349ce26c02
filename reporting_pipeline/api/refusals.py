"""Refused accesses in the audit log: who reached for what and was not let.

Noted are answers 401, 403 and 404 to addresses that there are: a 404 may hide a right, and whoever tries
ids is to be seen. Of a person so many a minute are noted, of strangers so many from one network: an
attack is to be seen in the log, not to fill it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from reporting_pipeline.api.deps import Context
from reporting_pipeline.domain.access import User
from reporting_pipeline.stores import audit

log = logging.getLogger(__name__)

NOTED_OF_A_USER = 60  # a minute
NOTED_OF_A_NETWORK = 10  # a minute, without a good token
STRANGER = "anonymous"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,99}", re.ASCII)


def note_refusal(
    context: Context, scope: Scope, caller: User | None, status: int, routes: Sequence[BaseRoute] = ()
) -> None:
    """Note that `caller` (None: nobody we know) was refused. Never fails the request that was refused."""
    try:
        _note(context, scope, caller, status, routes)
    except Exception:
        log.exception("a refused access could not be noted")


def _note(
    context: Context, scope: Scope, caller: User | None, status: int, routes: Sequence[BaseRoute]
) -> None:
    template, subject = _reached_for(scope, routes)
    if template is None:
        return  # no address of ours
    whose, most = (caller.id, NOTED_OF_A_USER) if caller else (network_of(scope), NOTED_OF_A_NETWORK)
    if not context.limits.may_note(whose, most):
        return
    audit.record(
        context.database,
        audit.Action.ACCESS_REFUSED,
        caller.id if caller else STRANGER,
        subject,
        context.now,
        organisation=caller.organisation if caller else context.settings.organisation,
        details={"status": status, "method": scope["method"], "route": template},
    )


def _reached_for(scope: Scope, routes: Sequence[BaseRoute]) -> tuple[str | None, str]:
    """(the address's pattern, the id in it); without routes the path stands for itself."""
    if not routes:
        return scope["path"], scope["path"].strip("/").replace("/", ".")
    for route in routes:
        if isinstance(route, APIRoute):
            match, found = route.matches(scope)
            if match is Match.FULL:
                return route.path, _subject(route, found.get("path_params", {}))
    return None, ""


def _subject(route: APIRoute, parameters: dict[str, object]) -> str:
    ids = [str(value) for value in parameters.values() if _ID.fullmatch(str(value))]
    return ids[0] if ids else route.path.split("/{")[0].strip("/").replace("/", ".").replace(":", ".")


def network_of(scope: Scope) -> str:
    """The network that a request comes from: /24 of IPv4, /64 of IPv6."""
    try:
        address = ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        return address.exploded[:19]
    return str(address).rpartition(".")[0]
