"""A report read in the browser by the link of a mail: rights before it is made, and once more when it is."""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.delivery.links.report_links import behind, given, note_opened
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.reports import reports_by_id
from reporting_pipeline.usecases.html_edition import HtmlEditions, NotReadable


def read_by_link(
    database: Database, settings: Settings, editions: HtmlEditions, token: str, now: datetime
) -> bytes | None:
    """The edition for the browser of the report behind a link; None for every token that is not good.

    Each use is in the audit log before it is given out. Raises NotReadable.
    """
    report = _open_now(database, settings, token, now)
    if report is None:
        return None
    stored = reports_by_id(database, [report["_id"]]).get(report["_id"])
    if stored is None:
        return None
    edition = editions.edition(stored)
    found = behind(database, settings, token, now)  # making it takes seconds, and a right may end meanwhile
    if found is None:
        return None
    delivery, again, _ = found
    if again["sha256"] != stored.sha256 or again.get("awaiting_release"):
        raise NotReadable("it was made anew meanwhile", later=True)
    note_opened(database, delivery, again, now, sha256=stored.sha256, edition="html")
    return edition


def _open_now(database: Database, settings: Settings, token: str, now: datetime) -> Record | None:
    """The report as it stands. NotReadable where that waits for its release and an older one is given out."""
    found = behind(database, settings, token, now)
    if found is None:
        return None
    delivery, report, _ = found
    file = given(delivery, report)
    if file is not None and file is not report:
        raise NotReadable("a newer rendering waits for its release")
    return file
