"""The mail that brings several reports to one reader: each as it would have been told alone."""

from __future__ import annotations

from collections.abc import Sequence

from reporting_pipeline.delivery.links.tokens import unsubscribe_url
from reporting_pipeline.delivery.message import LONGEST_SUBJECT, Message, one_line, templates
from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.languages import Words
from reporting_pipeline.settings import Settings


def combined(messages: Sequence[Message], mail: str, first: DeliveryRecord, settings: Settings) -> Message:
    """One message of `messages`, under the id of their `mail`, in the words of the first.

    `first` is the delivery of the first. Its header unsubscribes from all of them, each part from its own.
    """
    leading = messages[0]
    say: Words = leading.told["say"]
    words = leading.told["words"]
    title = say("{count} reports are ready", count=len(messages))
    names = ", ".join(str(one.told["name"]) for one in messages)
    subject = one_line(f"{words.subject_prefix} {title}: {names}", LONGEST_SUBJECT)
    unsubscribe = unsubscribe_url(settings, first, whole_mail=True)
    reports = [{**one.told, "link": one.link, "unsubscribe": one.unsubscribe} for one in messages]
    context = {
        **{name: leading.told[name] for name in ("say", "language", "brand", "words", "link_days")},
        "title": title,
        "subject": subject,
        "reports": reports,
        "unsubscribe": unsubscribe,
    }
    return Message(
        delivery=leading.delivery,
        wire_id=mail,
        message_id=f"<{mail}@{leading.message_id.rpartition('@')[2].rstrip('>')}>",
        recipient=leading.recipient,
        organisation=leading.organisation,
        subject=subject,
        shared_text=templates().get_template("reports.txt.j2").render(context),
        shared_html=templates().get_template("reports.html.j2").render(context),
        link=leading.link,
        unsubscribe=unsubscribe,
        written_at=leading.written_at,
        announcement=title,
        omissions=tuple(line for one in messages for line in one.omissions),
        parts=tuple(messages),
    )
