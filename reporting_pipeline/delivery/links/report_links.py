"""What stands behind the link of a mail: a report, for as long as the link is good.

Good means: signed by us, not expired, its delivery not revoked, and the reader still allowed. Every
other token gets the same answer, None, whatever is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.delivery.links.files import file_url
from reporting_pipeline.delivery.links.tokens import read_link_token
from reporting_pipeline.delivery.rights import DeliveryContext, load_context, refusal_of
from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.delivery_reads import get_delivery
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.reports import rendering_at, shows_the_same


def is_signed(settings: Settings, token: str, now: datetime) -> bool:
    """Whether a token is ours and in its time. Looks nothing up, so that a stranger's costs nothing."""
    return read_link_token(settings.link_secret.get_secret_value(), token, now) is not None


@dataclass(frozen=True)
class Superseded:
    """A file that a delivery brought, and the one that took its place."""

    sha256: str
    rendered_at: datetime
    by_sha256: str
    by_rendered_at: datetime


def superseded(delivery: DeliveryRecord, report: Record) -> Superseded | None:
    """What took the place of the file that a delivery brought; None where it, or its data, still stands."""
    was = _brought(delivery, report)
    if (
        was is report
        or report.get("awaiting_release")
        or was["dataset_versions"] == report.get("dataset_versions")
    ):
        return None  # the same data, drawn again: by a newer version, under another name; or not released yet
    return Superseded(was["sha256"], was["rendered_at"], report["sha256"], report["rendered_at"])


def given(delivery: DeliveryRecord, report: Record, *, as_sent: bool = False) -> Record | None:
    """The rendering that a good link opens; None where all of them wait for their release.

    `as_sent`: the very one that the delivery brought, though another has taken its place.
    """
    file = _brought(delivery, report) if as_sent or report.get("awaiting_release") else report
    return None if file.get("awaiting_release") else file


def open_link(
    database: Database,
    objects: ObjectStore,
    settings: Settings,
    token: str,
    now: datetime,
    *,
    as_sent: bool = False,
) -> str | None:
    """A URL that downloads the report for one minute, or None for every token that is not good.

    `as_sent` as for `given`. Each use is in the audit log before the URL is given out.
    """
    found = behind(database, settings, token, now)
    if found is None:
        return None
    delivery, report, _ = found
    file = given(delivery, report, as_sent=as_sent)
    if file is None:
        return None
    note_opened(database, delivery, report, now, **({} if file is report else {"sha256": file["sha256"]}))
    return file_url(objects, settings, report["_id"], file, report["file_name"], now)


def note_opened(
    database: Database, delivery: DeliveryRecord, report: Record, now: datetime, **details: str
) -> None:
    """One use of a link, in the audit log. `details`: what of the report was given out, and how."""
    audit.record(
        database,
        audit.AuditAction.REPORT_DOWNLOADED,
        delivery.get("user") or _reader(database, delivery),
        report["_id"],
        now,
        organisation=delivery["organisation"],
        details={"delivery": delivery["_id"], "by": "link", **details},
    )


def _brought(delivery: DeliveryRecord, report: Record) -> Record:
    """The rendering that stood when the delivery went out; `report` itself where that still stands.

    One that showed other than the report does now is not given out: the reader's rights have changed since.
    """
    sent_at = delivery.get("sent_at")
    was = rendering_at(report, sent_at) if isinstance(sent_at, datetime) else None
    if was is None or was is report:
        return report
    return dict(was) if shows_the_same(was, report) else report


def behind(
    database: Database, settings: Settings, token: str, now: datetime
) -> tuple[DeliveryRecord, Record, DeliveryContext] | None:
    """(delivery, report, the records around them) of a good token whose reader is still allowed."""
    claims = read_link_token(settings.link_secret.get_secret_value(), token, now)
    if claims is None:
        return None
    delivery = get_delivery(database, claims.delivery)
    if delivery is None or delivery.get("link_revoked_at") is not None:
        return None
    context = load_context(database, [delivery], now)
    if context.report_of(delivery) != claims.report or claims.report not in context.reports:
        return None
    # A pause stops the sending, not the reading of what was sent; so does a mailbox that bounces.
    if refusal_of(delivery, context, sending=False) is not None:
        return None
    return delivery, context.reports[claims.report], context


def _reader(database: Database, delivery: DeliveryRecord) -> str:
    return audit.address_mark(database, delivery["organisation"], delivery["recipient"])
