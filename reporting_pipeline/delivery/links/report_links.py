"""What stands behind the link of a mail: a report, for as long as the link is good.

Good means: signed by us, not expired, its delivery not revoked, and the reader still allowed. Every
other token gets the same answer, None, whatever is wrong with it.
"""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.delivery.links.tokens import read_link_token
from reporting_pipeline.delivery.rights import load_context, refusal_of
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.delivery_reads import get_delivery
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore

PRESIGNED_SECONDS = 60


def is_signed(settings: Settings, token: str, now: datetime) -> bool:
    """Whether a token is ours and in its time. Looks nothing up, so that a stranger's costs nothing."""
    return read_link_token(settings.link_secret.get_secret_value(), token, now) is not None


def open_link(
    database: Database, objects: ObjectStore, settings: Settings, token: str, now: datetime
) -> str | None:
    """A URL that downloads the report for one minute, or None for every token that is not good.

    Each use is in the audit log before the URL is given out.
    """
    claims = read_link_token(settings.link_secret.get_secret_value(), token, now)
    if claims is None:
        return None
    delivery = get_delivery(database, claims.delivery)
    if delivery is None or delivery.get("link_revoked_at") is not None:
        return None
    context = load_context(database, [delivery])
    if context.report_of(delivery) != claims.report or claims.report not in context.reports:
        return None
    # A pause stops the sending, not the reading of what was sent; so does a mailbox that bounces.
    if refusal_of(delivery, context, sending=False) is not None:
        return None
    report = context.reports[claims.report]
    audit.record(
        database,
        audit.Action.REPORT_DOWNLOADED,
        delivery.get("user") or _reader(database, delivery),
        claims.report,
        now,
        organisation=delivery["organisation"],
        details={"delivery": claims.delivery, "by": "link"},
    )
    return objects.presigned_url(report["key"], report["file_name"], PRESIGNED_SECONDS)


def _reader(database: Database, delivery: Record) -> str:
    return audit.address_mark(database, delivery["organisation"], delivery["recipient"])
