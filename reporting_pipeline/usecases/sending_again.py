"""What a person decides about delivery, with its row in the audit log: a channel, an address, sends again."""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.domain.masked_recipients import is_shortened, shown
from reporting_pipeline.stores import alerts, audit, suppressions
from reporting_pipeline.stores.deliveries import resume_channel as let_send
from reporting_pipeline.stores.mongo import Database

A_PAGE = 500


def resume_channel(database: Database, channel: str, actor: str, home: str, now: datetime) -> bool:
    """Let a halted channel send again and close its alert. False when it was not halted.

    `home` is the organisation of the deployment, whose log tells of what concerns all.
    """
    if not let_send(database, channel, now):
        return False
    alerts.close_alert(database, f"channel-halted:{channel}", actor, now)
    audit.record(database, audit.AuditAction.CHANNEL_RESUMED, actor, channel, now, organisation=home)
    return True


def whole_address(database: Database, address: str, organisation: str | None = None) -> str:
    """A held-back webhook's URL for what is shown of it; every other address as it is."""
    if not is_shortened(address):
        return address
    after = None
    while rows := suppressions.list_suppressions(database, A_PAGE, after, organisation):
        for row in rows:
            if shown(row["address"]) == address:
                return str(row["address"])
        after = rows[-1]["_id"]
    return address


def lift_suppression(
    database: Database, address: str, actor: str, home: str, now: datetime, organisation: str | None = None
) -> bool:
    """Write to an address again, in one organisation or in all. False when it was good.

    What holds in all is told in the log of `home`.
    """
    address = whole_address(database, address, organisation)
    if not suppressions.lift_suppression(database, address, actor, now, organisation):
        return False
    told = organisation or home
    audit.record(
        database,
        audit.AuditAction.SUPPRESSION_LIFTED,
        actor,
        audit.address_mark(database, told, address),
        now,
        organisation=told,
        details={"everywhere": organisation is None},
    )
    return True
