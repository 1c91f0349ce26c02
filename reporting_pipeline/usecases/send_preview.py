"""A report that is kept nowhere, sent to the person who asks for it and to nobody else.

By the rules of every mail: an organisation that never attaches sends no file, an address that is held back
gets nothing, and while the mail channel is halted nothing goes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from reporting_pipeline.delivery.channels.deliverer import open_deliverer
from reporting_pipeline.delivery.message import (
    ATTACH_BELOW,
    LONGEST_SUBJECT,
    NEVER,
    Attachment,
    Message,
    one_line,
    period_words,
)
from reporting_pipeline.delivery.notices import mail
from reporting_pipeline.domain.access import User
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit, organisations, users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.usecases.preview import PreviewedReport


class CannotSend(Exception):
    """It was not sent; the message says why and what to do, for a person."""


def send_to_oneself(
    database: Database, settings: Settings, shown: PreviewedReport, name: str, reader: User, now: datetime
) -> str:
    """Mail a rendering to its reader. Returns the address. Raises CannotSend."""
    attachments, _ = organisations.policies_of(users.get_organisation(database, reader.organisation))
    if attachments == NEVER:
        raise CannotSend("Your organisation sends no files by mail: look at it here, or save and run it.")
    if shown.report.size >= ATTACH_BELOW:
        raise CannotSend("It is too large for a mail: save and run it; you get a link then.")
    if not mail.may_be_sent(database, now):
        raise CannotSend("No mail goes at the moment; whoever operates this deployment knows.")
    person = {"_id": reader.id, "organisation": reader.organisation, "email": reader.email}
    address = mail.addresses_of(database, [person]).get(reader.id)
    if address is None:
        raise CannotSend("Mails to your address are held back, or it is none; ask whoever manages people.")
    period = period_words(shown.period.cadence.value, shown.period.key)
    context = {
        "subject": f"To you alone: {one_line(name)}, {period}"[:LONGEST_SUBJECT],
        "name": one_line(name),
        "period": period,
        "omissions": [one_line(f"{one.trial}: {one.reason}") for one in shown.omissions[: mail.LISTED]],
    }
    message = mail.write(settings, "preview", reader.organisation, address, context, now)
    report = shown.report
    attached = Attachment(report.file_name, report.content_type, report.content)
    _send(settings, replace(message, attachment=attached), now)
    audit.record(
        database,
        audit.AuditAction.PREVIEW_SENT,
        reader.id,
        reader.id,
        now,
        organisation=reader.organisation,
        details={"period": shown.period.key, "format": report.format.value, "sha256": report.sha256},
    )
    return address


def _send(settings: Settings, message: Message, now: datetime) -> None:
    try:
        deliverer = open_deliverer(settings)
    except ValueError:
        raise CannotSend("This process sends no mail: look at it here, or save and run it.") from None
    error = mail.send_one(deliverer, message, now)
    if error is not None:
        raise CannotSend(f"The mail was not taken over ({error}).")
