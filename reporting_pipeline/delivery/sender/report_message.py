"""The message that brings a report: from the records of a delivery, its report and its subscription."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from reporting_pipeline.delivery.links.tokens import message_id, report_url, unsubscribe_url
from reporting_pipeline.delivery.message import (
    LINK_TAG,
    LONGEST_SUBJECT,
    ON_REQUEST,
    UNSUBSCRIBE_TAG,
    Attachment,
    Message,
    one_line,
    period_words,
    templates,
    wants_attachment,
)
from reporting_pipeline.domain.deliveries import Channel, wire_id
from reporting_pipeline.domain.file_names import shown_file_name
from reporting_pipeline.domain.omissions import WHOLE_TRIAL
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Record

OMISSIONS_SHOWN = 10


class ReportDamaged(ValueError):
    """The stored report is not the one that was rendered: its hash differs. Never sent."""


def compose(
    delivery: Record,
    report: Record,
    subscription: Record,
    settings: Settings,
    now: datetime,
    fetch: Callable[[str], bytes],
    *,
    job: Record | None = None,
    attachments: str = ON_REQUEST,
) -> Message:
    """The message of one delivery. `fetch(key)` reads the report's file, only when it is attached.

    `job` tells what the report leaves out; `attachments` is the organisation's policy. Raises
    ReportDamaged when the file's hash is not the record's.
    """
    name = one_line(str(subscription.get("name") or "Trial report"))
    when = period_words(str(report.get("cadence") or delivery["cadence"]), str(report["period"]))
    subject = one_line(f"Scheduled Report: {name}, {when}", LONGEST_SUBJECT)
    mailed = delivery["channel"] == Channel.EMAIL
    attached = mailed and wants_attachment(subscription, report, attachments)
    attachment = _attachment(report, fetch) if attached else None
    facts = _facts(report)
    left_out = _omissions(job or {})
    context = {
        "brand": one_line(settings.email_from_name, 60),
        "name": name,
        "when": when,
        "subject": subject,
        "facts": facts,
        "omissions": left_out,
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
        payload=_payload(delivery, report, name, subject, left_out),
        attachment=attachment,
        announcement=f'Your scheduled report "{name}" is ready',
        omissions=left_out,
    )


def _omissions(job: Record) -> tuple[str, ...]:
    """`TRIAL, laboratory results: the reason`, a line each; at most OMISSIONS_SHOWN and how many more."""
    found = [each for each in job.get("omissions") or [] if isinstance(each, Mapping)]
    lines = []
    for each in found[:OMISSIONS_SHOWN]:
        trial, part = str(each.get("trial") or ""), str(each.get("part") or "")
        what = trial if part == WHOLE_TRIAL else f"{trial}, {part}"
        lines.append(one_line(f"{what}: {each.get('reason') or 'no reason was given'}", 300))
    if len(found) > OMISSIONS_SHOWN:
        lines.append(f"and {len(found) - OMISSIONS_SHOWN} more, which the report names")
    return tuple(lines)


def size_words(size: int) -> str:
    """`312 KB`, `4.1 MB`."""
    return f"{max(1, round(size / 1000))} KB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def _facts(report: Record) -> tuple[tuple[str, str], ...]:
    facts = [("Format", str(report["format"]).upper()), ("File Size", size_words(int(report["size"])))]
    rendered_at = report.get("rendered_at")
    if isinstance(rendered_at, datetime):
        facts.insert(1, ("Generated At", rendered_at.strftime("%Y-%m-%d %H:%M UTC")))
    if report.get("pages"):
        facts.append(("Pages", str(report["pages"])))
    data_as_of = report.get("data_as_of")
    if isinstance(data_as_of, datetime):
        facts.append(("Data as of", data_as_of.strftime("%Y-%m-%d %H:%M UTC")))
    trials = len(report.get("dataset_versions") or {})
    if trials:
        facts.append(("Trials", str(trials)))
    return tuple(facts)


def _payload(
    delivery: Record, report: Record, name: str, subject: str, omissions: tuple[str, ...]
) -> tuple[tuple[str, Any], ...]:
    rendered_at = report.get("rendered_at")
    return (
        ("delivery", delivery["_id"]),
        ("job", delivery["job"]),
        ("subscription", delivery["subscription"]),
        ("report", delivery["report"]),
        ("cadence", delivery["cadence"]),
        ("period", report["period"]),
        ("name", name),
        ("title", subject),
        ("format", report["format"]),
        ("size", report["size"]),
        ("pages", report.get("pages")),
        ("sha256", report["sha256"]),
        ("generated_at", rendered_at.isoformat() if isinstance(rendered_at, datetime) else None),
        ("omissions", list(omissions)),
    )


def _attachment(report: Record, fetch: Callable[[str], bytes]) -> Attachment:
    body = fetch(report["key"])
    if hashlib.sha256(body).hexdigest() != report["sha256"]:
        raise ReportDamaged(f"the stored file of {report['_id']} is not the one that was rendered")
    return Attachment(shown_file_name(str(report["file_name"])), report["content_type"], body)
