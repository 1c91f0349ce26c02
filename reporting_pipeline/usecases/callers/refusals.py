"""Refused accesses in the audit log: who reached for what and was not let.

Of a person so many a minute are noted, of strangers so many from one network: an attack is to be seen in
the log, not to fill it.
"""

from __future__ import annotations

import logging

from reporting_pipeline.domain.access import User
from reporting_pipeline.stores import audit
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.origins import network_of

log = logging.getLogger(__name__)

NOTED_OF_A_USER = 60  # a minute
NOTED_OF_A_NETWORK = 10  # a minute, without a good token
STRANGER = "anonymous"


def note_refusal(
    context: Context, caller: User | None, status: int, *, method: str, route: str, subject: str, host: str
) -> None:
    """Note that `caller` (None: nobody we know) was refused. Never fails the request that was refused.

    `route` is the address's pattern, `subject` the id in it, `host` the address they come from.
    """
    try:
        whose, most = (caller.id, NOTED_OF_A_USER) if caller else (network_of(host), NOTED_OF_A_NETWORK)
        if not context.limits.may_note(whose, most):
            return
        audit.record(
            context.database,
            audit.AuditAction.ACCESS_REFUSED,
            caller.id if caller else STRANGER,
            subject,
            context.now,
            organisation=caller.organisation if caller else context.settings.organisation,
            details={"status": status, "method": method, "route": route},
        )
    except Exception:
        log.exception("a refused access could not be noted")
