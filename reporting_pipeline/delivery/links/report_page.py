"""The page behind the link of a report: what it is, whether it still stands, and the ways to open it.

Its links lead to the same token, so it says nothing that the token does not open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from reporting_pipeline.delivery.links.pages import link_page
from reporting_pipeline.delivery.links.report_links import Superseded, behind, given, superseded
from reporting_pipeline.delivery.links.tokens import link_token, read_link_token
from reporting_pipeline.delivery.message import one_line, period_said, size_words
from reporting_pipeline.delivery.rights import DeliveryContext, load_context, refusal_of
from reporting_pipeline.domain.branding import Branding
from reporting_pipeline.domain.deliveries import DeliveryRecord
from reporting_pipeline.domain.parameters import language_of
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.languages import Words, words_for
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import organisations
from reporting_pipeline.stores.deliveries import in_mail
from reporting_pipeline.stores.mongo import Database, Record


@dataclass(frozen=True)
class LinkedReport:
    """What a person who opens a link is told of the report behind it, in words of `say`."""

    say: Words
    organisation: str  # its name
    colour: str  # "#rrggbb"; "": the product's
    name: str
    when: str
    format: str  # one of Format
    facts: tuple[tuple[str, str], ...]  # (label, value)
    superseded: Superseded | None
    has_edition: bool  # one to read in the browser can be asked for
    beside: tuple[tuple[str, str, str], ...] = ()  # (name, when, token) of what came in the same mail

    @property
    def is_pdf(self) -> bool:
        return self.format == Format.PDF.value


def linked_report(
    database: Database, settings: Settings, token: str, now: datetime, browser: str = ""
) -> LinkedReport | None:
    """None for every token that is not good. `browser`: its Accept-Language, for who has no language."""
    found = behind(database, settings, token, now)
    if found is None:
        return None
    delivery, report, context = found
    file = given(delivery, report)
    if file is None:
        return None
    organisation = organisations.get(database, delivery["organisation"]) or {}
    subscription = context.subscriptions[delivery["subscription"]]
    say = words_for(*languages_of(delivery, context), language_of(_parameters(report)), browser=browser)
    return LinkedReport(
        say=say,
        organisation=str(organisation.get("name") or ""),
        colour=Branding.of(organisation).colour,
        name=one_line(str(subscription.get("name") or say("Trial report"))),
        when=period_said(str(report["cadence"]), str(report["period"]), say),
        format=str(report["format"]),
        facts=tuple(_facts(file, report, say)),
        superseded=superseded(delivery, report),
        has_edition=file is report and has_edition(report),
        beside=tuple(_beside(database, settings, delivery, token, now, say)),
    )


def _beside(
    database: Database, settings: Settings, delivery: DeliveryRecord, token: str, now: datetime, say: Words
) -> Iterator[tuple[str, str, str]]:
    """What came in the same mail and is open to its reader today; each link ends with the one at hand."""
    mail = delivery.get("mail")
    members = in_mail(database, mail) if mail else []
    others = [one for one in members if one["_id"] != delivery["_id"]]
    secret = settings.link_secret.get_secret_value()
    claims = read_link_token(secret, token, now)
    if not others or claims is None:
        return
    context = load_context(database, others, now)
    for one in others:
        report = context.reports.get(context.report_of(one))
        closed = one.get("link_revoked_at") is not None or one["recipient"] != delivery["recipient"]
        if closed or report is None or refusal_of(one, context, sending=False) is not None:
            continue
        name = context.subscriptions[one["subscription"]].get("name")
        when = period_said(str(report["cadence"]), str(report["period"]), say)
        known = one_line(str(name or say("Trial report")))
        yield known, when, link_token(secret, one["_id"], report["_id"], claims.expires_at)


def has_edition(report: Record) -> bool:
    """Whether a report's record says all that an edition for the browser is made from (`reproduce`)."""
    return report.get("format") == Format.PDF.value and bool(report.get("inputs") and report.get("worded"))


def languages_of(delivery: DeliveryRecord, context: DeliveryContext) -> list[str]:
    """The language of the person who gets a delivery, where they are known and said one."""
    found = context.users.get(delivery.get("user") or "") or {}
    language = found.get("language")
    return [language] if isinstance(language, str) and language else []


def report_page(settings: Settings, found: LinkedReport) -> str:
    """HTML."""
    return link_page(
        settings, "report_link", found.say, brand=found.organisation, colour=found.colour, found=found
    )


def unreadable_page(settings: Settings, found: LinkedReport, *, later: bool) -> str:
    """HTML: the edition for the browser cannot be shown, or not yet."""
    return link_page(
        settings,
        "report_unreadable",
        found.say,
        brand=found.organisation,
        colour=found.colour,
        later=later,
        name=found.name,
    )


def _parameters(report: Record) -> Record:
    worded = report.get("worded")
    parameters = worded.get("parameters") if isinstance(worded, dict) else None
    return parameters if isinstance(parameters, dict) else {}


def _facts(file: Record, report: Record, say: Words) -> list[tuple[str, str]]:
    facts = [(say("Format"), str(report["format"]).upper())]
    if isinstance(made := file.get("rendered_at"), datetime):
        facts.append((say("Generated At"), f"{say.moment(made, 'UTC')} UTC"))
    if isinstance(size := file.get("size"), int):
        facts.append((say("File Size"), size_words(size)))
    if file is report and report.get("pages"):
        facts.append((say("Pages"), str(report["pages"])))
    return facts
