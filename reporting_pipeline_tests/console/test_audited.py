"""Every form that changes something leaves a row in the audit log, by whoever sent it."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, field
from html.parser import HTMLParser

import requests
from fastapi.routing import APIRoute

from reporting_pipeline.console import signing_in
from reporting_pipeline.console.pages import ROUTERS
from reporting_pipeline.stores.deliveries import halt_channel
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.suppressions import suppress_address
from reporting_pipeline.usecases.callers.shapes.registry import EXAMPLE_LOGO
from reporting_pipeline_tests.api.world import DOCUMENT, NOW, SUBSCRIPTION, populate
from reporting_pipeline_tests.console.conftest import Browser, House, csrf_in
from reporting_pipeline_tests.console.subscribing import WEEKLY
from reporting_pipeline_tests.console.test_documents_pages import NOTE
from reporting_pipeline_tests.console.test_registry_pages import ADA, ORGANISATION, TRIAL
from reporting_pipeline_tests.waiting import PATIENCE

ADMIN = "usr_default_admin"
REPORT, JOB, DOC = "/console/reports/{subscription}", "/console/jobs/{job}", "/console/documents/{document}"
ORG = "/console/organisations/default"


@dataclass(frozen=True)
class Sent:
    """A form as its page shows it, with some of its fields filled in, and the action of its row."""

    path: str
    page: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    file: tuple[str, bytes] | None = None


#: In this order: what one makes, another ends.
FORMS = (
    Sent("/console/documents/new", "/console/documents/new", "document.created", NOTE),
    Sent(f"{DOC}/correct", f"{DOC}/correct", "document.corrected", {"title": "Other", "reason": "a slip"}),
    Sent(f"{DOC}/withdraw", DOC, "document.withdrawn", {"reason": "wrong subject"}),
    Sent(f"{REPORT}/run", REPORT, "subscription.run"),
    Sent(f"{JOB}/again", JOB, "requeued", {"delivery": "{letter}"}),
    Sent(f"{JOB}/send", JOB, "delivery.added", {"recipient": "analyst@default.example"}),
    Sent(
        "/console/jobs/{awaiting}/release",
        "/console/jobs/{awaiting}",
        "release.given",
        {"meaning": "review", "decision": "release", "reason": "looked at it"},
    ),
    Sent(f"{JOB}/hold", JOB, "report.held", {"kind": "critical", "reason": "kept for the board"}),
    Sent(f"{JOB}/let-go", JOB, "report.released"),
    Sent(
        "/console/confirm", "/console/confirm?everybody=1", "subscription.confirmed", {"chosen": SUBSCRIPTION}
    ),
    Sent("/console/subscribe", "/console/subscribe", "subscription.created", WEEKLY),
    Sent(f"{REPORT}/change", f"{REPORT}/change", "subscription.changed", {"name": "Another", "save": "1"}),
    Sent(f"{REPORT}/pause", REPORT, "subscription.paused"),
    Sent(f"{REPORT}/resume", REPORT, "subscription.resumed"),
    Sent(
        "/console/schedules",
        "/console/schedules",
        "subscription.paused",
        {"action": "pause", "chosen": SUBSCRIPTION, "sure": "1"},
    ),
    Sent(f"{REPORT}/end", f"{REPORT}/end", "subscription.deleted"),
    Sent("/console/operate/requeue", "/console/operate", "requeued", {"delivery": "{second}"}),
    Sent("/console/operate/requeue-all", "/console/operate", "requeued", {"channel": "email", "sure": "1"}),
    Sent("/console/operate/resume", "/console/operate", "channel.resumed", {"channel": "email"}),
    Sent(
        "/console/operate/lift", "/console/operate", "suppression.lifted", {"address": "gone@default.example"}
    ),
    Sent("/console/trials/new", "/console/trials/new", "trial.created", TRIAL),
    Sent("/console/trials/T9", "/console/trials/T9", "trial.changed", {"title": "Other"}),
    Sent("/console/trials/T9/close", "/console/trials/T9/close", "trial.closed"),
    Sent("/console/trials/T9/reopen", "/console/trials/T9", "trial.reopened"),
    Sent("/console/people/new", "/console/people/new", "user.created", ADA),
    Sent("/console/people/usr_ada", "/console/people/usr_ada", "user.changed", {"name": "Other"}),
    Sent("/console/organisations/new", "/console/organisations/new", "organisation.created", ORGANISATION),
    Sent(ORG, ORG, "organisation.changed", {"name": "Other"}),
    Sent(f"{ORG}/logo", ORG, "organisation.logo_changed", {}, ("logo.png", b64decode(EXAMPLE_LOGO))),
    Sent("/console/organisations/third/close", "/console/organisations/third/close", "organisation.closed"),
    Sent("/console/audit/verify", "/console/audit", "audit.verified"),
    Sent("/console/sign-out", "/console/", "signed.out"),
)
#: What only answers, or has a test of its own.
CHANGES_NOTHING = {
    "/console/subscribe/dates",
    "/console/subscribe/recipients",
    "/console/subscribe/expression",
    "/console/subscribe/builder",
    "/console/sign-in/local",  # "signed.in" and "user.created": below
}


#: What leads to a page that shows the thing itself under way.
SHOWN = {"subscription.run"}
NOTICE = re.compile(r'class="notice[^"]*" role="status"')


def test_the_table_has_every_form() -> None:
    standing = {
        route.path
        for router in (*ROUTERS, signing_in.router)
        for route in router.routes
        if isinstance(route, APIRoute) and "POST" in (route.methods or ())
    }
    told = {one for sent in FORMS for one in standing if _is(one, sent.path)}
    assert standing == told | CHANGES_NOTHING


def _is(route: str, path: str) -> bool:
    pairs = list(zip(route.split("/"), path.split("/"), strict=False))
    same = all(ours == theirs or ours.startswith("{") for ours, theirs in pairs)
    return (
        same and route.count("/") == path.count("/") and not (route.endswith("}") and path.endswith("/new"))
    )


class _Form(HTMLParser):
    """What a browser would send of the form for one address, as the page stands."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, self.fields, self.found = address, dict[str, str](), False
        self._inside, self._area, self._choice = False, "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = not self.found and given.get("action") == self.address
            self.found = self.found or self._inside
        elif not self._inside:
            return
        elif tag == "input" and (given.get("type") not in ("checkbox", "radio") or "checked" in given):
            self.fields[given.get("name", "")] = given.get("value", "on")
        elif tag == "textarea":
            self._area = given["name"]
            self.fields[self._area] = ""
        elif tag == "select":
            self._choice = given["name"]
        elif tag == "option" and ("selected" in given or self._choice not in self.fields):
            self.fields[self._choice] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"
        self._area = "" if tag == "textarea" else self._area


def send(browser: Browser, form: Sent, names: dict[str, str]) -> tuple[str, requests.Response]:
    """(the answer's status and text, for whoever reads why there was no row; the answer)."""
    path = form.path.format(**names)
    shown = _Form(path)
    shown.feed(browser.get(form.page.format(**names)).text)
    fields = (
        {"csrf": csrf_in(browser.get("/console/").text)}
        | shown.fields
        | {name: value.format(**names) for name, value in form.fields.items()}
    )
    fields.pop("", None)
    files = {"logo": (*form.file, "image/png")} if form.file else None
    answer = browser.session.post(
        browser.base + path, data=fields, files=files, timeout=PATIENCE, allow_redirects=False
    )
    return f"form {shown.found}, {answer.status_code}: {answer.text}", answer


def test_every_form_that_changes_something_leaves_its_row(
    house: House, database: Database, objects: ObjectStore
) -> None:
    ids = populate(database, objects)
    database.holds.delete_many({})
    halt_channel(database, "email", "refused", NOW)
    suppress_address(database, "default", "gone@default.example", "bounced", NOW)
    letter = database.deliveries.find_one({"_id": ids["letter"]}) or {}
    for number in ("second", "third"):
        database.deliveries.insert_one(
            {**letter, "_id": f"dlv_{number}", "recipient": f"{number}@default.example"}
        )
    names = {"subscription": SUBSCRIPTION, "document": DOCUMENT, "second": "dlv_second", **ids}
    browser, silent, wordless = house.signed_in(ADMIN), [], []
    for form in FORMS:
        ours = {"action": form.action, "actor": ADMIN}
        before = database.audit.count_documents(ours)
        said, answer = send(browser, form, names)
        if database.audit.count_documents(ours) <= before:
            silent.append(f"{form.path}: {said}")
        led = answer if answer.status_code == 200 else browser.get(answer.headers["location"])
        if form.action not in SHOWN and not NOTICE.search(led.text):
            wordless.append(f"{form.path} leads to {led.url}, which does not say what was done")
    assert silent == []
    assert wordless == []


def test_signing_in_leaves_its_row(house: House, database: Database) -> None:
    browser = house.stranger()
    page = _Form("/console/sign-in/local")
    page.feed(browser.get("/console/sign-in").text)
    browser.session.post(
        browser.base + "/console/sign-in/local",
        data={**page.fields, "role": "analyst"},
        timeout=PATIENCE,
        allow_redirects=False,
    )
    found = [row["action"] for row in database.audit.find({"subject": "usr_local_analyst"}).sort("seq", 1)]
    assert found == ["user.created", "signed.in"]
