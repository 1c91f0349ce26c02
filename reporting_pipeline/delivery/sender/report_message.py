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
    NEVER,
    ON_REQUEST,
    UNSUBSCRIBE_TAG,
    Attachment,
    Message,
    one_line,
    period_said,
    size_words,
    templates,
    wants_attachment,
)
from reporting_pipeline.domain.deliveries import Channel, DeliveryRecord, wire_id
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.file_names import shown_file_name
from reporting_pipeline.domain.jobs import JobRecord
from reporting_pipeline.domain.mail_words import NO_WORDS, MailWords
from reporting_pipeline.domain.omissions import WHOLE_TRIAL
from reporting_pipeline.domain.parameters import language_of
from reporting_pipeline.domain.restatements import OnRestatement
from reporting_pipeline.languages import ENGLISH, Words, known_languages, words_of
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Record

OMISSIONS_SHOWN = 10


class ReportDamaged(ValueError):
    """The stored report is not the one that was rendered: its hash differs. Never sent."""


def compose(
    delivery: DeliveryRecord,
    report: Record,
    subscription: Record,
    settings: Settings,
    now: datetime,
    fetch: Callable[[str], bytes],
    *,
    job: JobRecord | None = None,
    attachments: str = ON_REQUEST,
    words: MailWords = NO_WORDS,
) -> Message:
    """The message of one delivery. `fetch(key)` reads the report's file, only when it is attached.

    `job` tells what the report leaves out; `attachments` is the organisation's policy, `words` are its own.
    Raises ReportDamaged when the file's hash is not the record's.
    """
    # As the report was made, which may be its owner's preference.
    made_with = (report.get("worded") or {}).get("parameters") or {}
    language = language_of({**(subscription.get("parameters") or {}), **made_with})
    say = words_of(language if language in known_languages() else ENGLISH)
    name = one_line(str(subscription.get("name") or say("Trial report")))
    when = period_said(str(report.get("cadence") or delivery["cadence"]), str(report["period"]), say)
    restated = _restated(job, report, say)
    kind = say("Corrected Report") if restated else say("Scheduled Report")
    subject = one_line(f"{words.subject_prefix} {kind}: {name}, {when}", LONGEST_SUBJECT)
    if job and job.get("restatement") == OnRestatement.TELL.value:
        attachments = NEVER
    mailed = delivery["channel"] == Channel.EMAIL
    attached = mailed and wants_attachment(subscription, report, attachments)
    attachment = _attachment(report, fetch) if attached else None
    facts = _facts(report, say)
    left_out = _omissions(job)
    unusual = _unusual(report, say)
    context = {
        "say": say,
        "language": say.language,
        "brand": one_line(settings.email_from_name, 60),
        "words": words,
        "name": name,
        "when": when,
        "subject": subject,
        "facts": facts,
        "omissions": left_out,
        "restated": restated,
        "unusual": unusual,
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
        payload=(
            *_payload(delivery, report, name, subject, left_out),
            ("restates", job.get("restates") if job else None),
        ),
        attachment=attachment,
        announcement=restated or say('Your scheduled report "{name}" is ready', name=name),
        omissions=left_out,
        told=context,
    )


def _restated(job: JobRecord | None, report: Record, say: Words) -> str:
    """A sentence that says whose place the report takes; "" where it takes nobody's."""
    before = report.get("restates")
    if job is None or not job.get("restates") or not isinstance(before, Mapping):
        return ""
    made = before.get("rendered_at")
    if say.language != ENGLISH:
        return say("This report takes the place of the one we sent before. We have learned more since.")
    when = f" of {made:%Y-%m-%d %H:%M} UTC" if isinstance(made, datetime) else ""
    return (
        f"This report takes the place of the one{when} that you got: documents came late, were corrected or "
        "withdrawn. It says which figures changed."
    )


_CONCERNS = {
    "empty_though_documents_arrived": "documents arrived of which none could be read",
    "total_fell": "a total of the period before is lower than it was reported",
    "beyond_the_last_periods": "a count is far above the last twelve periods",
    "schema_changed": "what is collected has changed",
}
#: Readers who see a part of a trial are not told of the whole.
_SEES_A_PART = frozenset({Audience.PARTICIPANT.value, Audience.SITE.value})


def _unusual(report: Record, say: Words) -> tuple[str, ...]:
    """What is out of the usual in the report's trials, a line each, in words and without a number."""
    listed = report.get("unusual")
    found = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    told = [one for one in found if one.get("concern") in _CONCERNS]
    if not told:
        return ()
    shown = [one for one in report.get("shown") or () if isinstance(one, Mapping)]
    in_part = any(one.get("sites") is not None for one in shown) or bool(report.get("subject"))
    if in_part or report.get("audience") in _SEES_A_PART:
        return (say("The data behind this report differs from what came before more than usual."),)
    lines = {f"{one.get('trial')}: {_CONCERNS[str(one['concern'])]}": None for one in told}
    return tuple(one_line(line, 300) for line in lines)[:OMISSIONS_SHOWN]


def _omissions(job: JobRecord | None) -> tuple[str, ...]:
    """`TRIAL, laboratory results: the reason`, a line each; at most OMISSIONS_SHOWN and how many more."""
    found = [each for each in (job.get("omissions") if job else None) or [] if isinstance(each, Mapping)]
    lines = []
    for each in found[:OMISSIONS_SHOWN]:
        trial, part = str(each.get("trial") or ""), str(each.get("part") or "")
        what = trial if part == WHOLE_TRIAL else f"{trial}, {part}"
        lines.append(one_line(f"{what}: {each.get('reason') or 'no reason was given'}", 300))
    if len(found) > OMISSIONS_SHOWN:
        lines.append(f"and {len(found) - OMISSIONS_SHOWN} more, which the report names")
    return tuple(lines)


def _facts(report: Record, say: Words) -> tuple[tuple[str, str], ...]:
    facts = [
        (say("Format"), str(report["format"]).upper()),
        (say("File Size"), size_words(int(report["size"]))),
    ]
    rendered_at = report.get("rendered_at")
    if isinstance(rendered_at, datetime):
        facts.insert(1, (say("Generated At"), rendered_at.strftime("%Y-%m-%d %H:%M UTC")))
    if report.get("pages"):
        facts.append((say("Pages"), str(report["pages"])))
    data_as_of = report.get("data_as_of")
    if isinstance(data_as_of, datetime):
        facts.append((say("Data as of"), data_as_of.strftime("%Y-%m-%d %H:%M UTC")))
    signed = report.get("released")
    if isinstance(signed, Mapping) and isinstance(signed.get("at"), datetime):
        when = signed["at"].strftime("%Y-%m-%d %H:%M UTC")
        facts.append(
            (say("Released by"), one_line(f"{signed.get('name')} ({signed.get('meaning')}), {when}", 200))
        )
    trials = len(report.get("dataset_versions") or {})
    if trials:
        facts.append((say("Trials"), str(trials)))
    return tuple(facts)


def _payload(
    delivery: DeliveryRecord, report: Record, name: str, subject: str, omissions: tuple[str, ...]
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
