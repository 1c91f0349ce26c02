"""The message that brings a report: from the records of a delivery, its report and its subscription."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from reporting_pipeline.delivery.links.tokens import message_id, report_url, unsubscribe_url
from reporting_pipeline.delivery.message import (
    LINK_TAG,
    LONGEST_SUBJECT,
    UNSUBSCRIBE_TAG,
    Attachment,
    Message,
    one_line,
    period_words,
    templates,
    wants_attachment,
)
from reporting_pipeline.domain.deliveries import Channel, wire_id
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Record


class ReportDamaged(ValueError):
    """The stored report is not the one that was rendered: its hash differs. Never sent."""


def compose(
    delivery: Record,
    report: Record,
    subscription: Record,
    settings: Settings,
    now: datetime,
    fetch: Callable[[str], bytes],
) -> Message:
    """The message of one delivery. `fetch(key)` reads the report's file, only when it is attached.

    Raises ReportDamaged when the file's hash is not the record's.
    """
    name = one_line(str(subscription.get("name") or "Trial report"))
    when = period_words(str(report.get("cadence") or delivery["cadence"]), str(report["period"]))
    subject = one_line(f"{name}: {when}", LONGEST_SUBJECT)
    mailed = delivery["channel"] == Channel.EMAIL
    attachment = _attachment(report, fetch) if mailed and wants_attachment(subscription, report) else None
    facts = _facts(report)
    context = {
        "brand": one_line(settings.email_from_name, 60),
        "name": name,
        "when": when,
        "subject": subject,
        "facts": facts,
        "link": LINK_TAG,
        "link_days": settings.link_days,
        "unsubscribe": UNSUBSCRIBE_TAG,
        "attached": attachment.file_name if attachment else None,
        "description": one_line(str(subscription.get("description") or ""), 300),
    }
    return Message(
        delivery=delivery["_id"],
        wire_id=wire_id(delivery["_id"], delivery.get("copy", 1)),
        message_id=message_id(settings, delivery),
        recipient=delivery["recipient"],
        organisation=delivery["organisation"],
        subject=subject,
        shared_text=templates().get_template("report.txt.j2").render(context),
        shared_html=templates().get_template("report.html.j2").render(context),
        link=report_url(settings, delivery, now),
        unsubscribe=unsubscribe_url(settings, delivery),
        written_at=now,
        facts=facts,
        payload=_payload(delivery, report, subject),
        attachment=attachment,
    )


def size_words(size: int) -> str:
    """`312 KB`, `4.1 MB`."""
    return f"{max(1, round(size / 1000))} KB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def _facts(report: Record) -> tuple[tuple[str, str], ...]:
    facts = [("Format", str(report["format"]).upper()), ("Size", size_words(int(report["size"])))]
    if report.get("pages"):
        facts.append(("Pages", str(report["pages"])))
    data_as_of = report.get("data_as_of")
    if isinstance(data_as_of, datetime):
        facts.append(("Data as of", data_as_of.strftime("%Y-%m-%d %H:%M UTC")))
    trials = len(report.get("dataset_versions") or {})
    if trials:
        facts.append(("Trials", str(trials)))
    return tuple(facts)


def _payload(delivery: Record, report: Record, subject: str) -> tuple[tuple[str, Any], ...]:
    return (
        ("delivery", delivery["_id"]),
        ("subscription", delivery["subscription"]),
        ("report", delivery["report"]),
        ("cadence", delivery["cadence"]),
        ("period", report["period"]),
        ("title", subject),
        ("format", report["format"]),
        ("size", report["size"]),
        ("pages", report.get("pages")),
        ("sha256", report["sha256"]),
    )


def _attachment(report: Record, fetch: Callable[[str], bytes]) -> Attachment:
    body = fetch(report["key"])
    if hashlib.sha256(body).hexdigest() != report["sha256"]:
        raise ReportDamaged(f"the stored file of {report['_id']} is not the one that was rendered")
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in report["file_name"])
    return Attachment(name[-120:] or "report", report["content_type"], body)
