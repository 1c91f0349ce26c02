"""Opening an edition by hand, and starting to send what it made."""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.domain.editions import Edition, closed_period
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit, editions, mailings
from reporting_pipeline.stores.mongo import Database

#: `opened_by` where no user opened it.
COMMAND_LINE = "command line"


def open_edition(
    database: Database,
    settings: Settings,
    cadence: Cadence,
    period: str | None,
    opened_by: str,
    organisation: str,
    now: datetime,
    *,
    force: bool = False,
) -> Edition:
    """Open the edition of a period that is over and still kept; None is the newest one.

    Raises ValueError, with what to do, for a period that cannot be opened, and EditionExists for one that
    was opened before, unless `force`.
    """
    window = closed_period(cadence, period, now, settings.timezone, settings.retention_days)
    edition = editions.open_edition(database, cadence, window.key, opened_by, now, force)
    audit.record(
        database,
        audit.AuditAction.EDITION_OPENED,
        "system" if opened_by == COMMAND_LINE else opened_by,
        edition.id,
        now,
        organisation=organisation,
        details={"forced": edition.forced},
    )
    return edition


def send(
    database: Database, edition: str, organisation: str, actor: str, now: datetime, *, force: bool = False
) -> mailings.Mailing:
    """Start sending an organisation's rendered reports. Nobody gets one twice, but by `force`."""
    started = mailings.start_mailing(database, organisation, edition, now, force)
    details = {"planned": started.planned, "force": force}
    audit.record(database, "edition.sent", actor, edition, now, organisation=organisation, details=details)
    return started
