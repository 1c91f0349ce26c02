"""Trials, sites and organisations over the real server, and from a figure back to its documents."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.entitlements import Entitlements
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.tidying import tidy_documents
from reporting_pipeline.stores import audit, reports, users
from reporting_pipeline.stores.datasets import save_dataset
from reporting_pipeline.stores.documents import documents_of
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases.callers.shapes.registry import EXAMPLE_LOGO
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import PERIOD, populate

TRIAL = {"title": "Third", "sites": [{"id": "801", "name": "Site 801"}]}


@pytest.fixture
def admin(api: Api) -> Api:
    return api.as_("usr_default_admin")


def test_a_trial_is_registered_takes_documents_in_and_is_closed(admin: Api, database: Database) -> None:
    made = admin.post("/api/trials", json={"id": "T3", **TRIAL})
    assert made.status_code == 201, made.text
    assert admin.get(made.headers["Location"]).json() == made.json()
    assert admin.post("/api/trials", json={"id": "T3", **TRIAL}).status_code == 409
    assert [one["id"] for one in admin.get("/api/trials?limit=2").json()["items"]] == ["T1", "T2"]
    assert {one["id"] for one in admin.get("/api/trials").json()["items"]} == {"T1", "T2", "T3"}
    form = {name: (None, value) for name, value in {"trial": "T3", "site": "801", "kind": "note"}.items()}
    document = {**form, "title": (None, "A note")}
    assert admin.post("/api/documents", files=document).status_code == 201
    changed = admin.put("/api/trials/T3", json={**TRIAL, "sponsor": "Somebody"})
    assert changed.json()["sponsor"] == "Somebody"
    sites = admin.post("/api/trials/T3/sites", json={"id": "802", "name": "Site 802"})
    assert [one["id"] for one in sites.json()["items"]] == ["801", "802"]
    assert admin.get("/api/trials/T3/sites").json() == sites.json()
    assert admin.post("/api/trials/T3/close").json()["closed_at"] is not None
    refused = admin.post("/api/documents", files=document)
    assert refused.status_code == 422
    assert "closed" in refused.json()["errors"][0]["detail"]
    assert admin.post("/api/trials/T3/reopen").json()["closed_at"] is None
    assert admin.post("/api/documents", files=document).status_code == 201
    actions = [one["action"] for one in audit.events_of(database, "default", subject="T3")]
    assert actions == ["trial.reopened", "trial.closed", "trial.changed", "trial.changed", "trial.created"]


def test_an_id_that_another_organisation_has_is_taken_without_a_word_more(admin: Api) -> None:
    taken = admin.post("/api/trials", json={"id": "X1", **TRIAL})
    assert taken.status_code == 409
    assert "other" not in taken.text.replace("another", "")
    assert admin.get("/api/trials/X1").status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({**TRIAL, "id": "a|b"}, "#/id"),
        ({**TRIAL, "id": "T3", "title": ""}, "#/title"),
        ({**TRIAL, "id": "T3", "sites": [{"id": "7,1", "name": "x"}]}, "#/sites/0/id"),
        ({**TRIAL, "id": "T3", "sites": [{"id": "7", "name": n} for n in ("One", "Two")]}, "#/sites"),
        ({**TRIAL, "id": "T3", "colour": "red"}, "#/colour"),
        ({"id": "T3"}, "#/title"),
    ],
)
def test_a_bad_trial_names_its_field(admin: Api, body: dict[str, Any], pointer: str) -> None:
    answer = admin.post("/api/trials", json=body)
    assert answer.status_code == 422, answer.text
    assert pointer in [one["pointer"] for one in answer.json()["errors"]]


def test_somebody_of_one_site_sees_it_and_changes_nothing(api: Api, database: Database) -> None:
    limited = Entitlements(trials=("T1",), sites={"T1": ("701",)})
    now = datetime.now(UTC)
    users.change_user(database, "default", "usr_default_manager", {"entitlements": limited}, now)
    database.trials.update_one(
        {"_id": "T1"}, {"$set": {"sites": [{"id": "701", "name": "a"}, {"id": "702", "name": "b"}]}}
    )
    manager = api.as_("usr_default_manager")
    assert [one["id"] for one in manager.get("/api/trials").json()["items"]] == ["T1"]
    assert [one["id"] for one in manager.get("/api/trials/T1/sites").json()["items"]] == ["701"]
    assert manager.put("/api/trials/T1", json=TRIAL).status_code == 404
    assert manager.get("/api/trials/T2").status_code == 404


def test_the_home_organisations_admins_register_organisations(
    admin: Api, api: Api, database: Database
) -> None:
    body = {
        "id": "acme",
        "name": "Acme",
        "allowed_domains": ["Acme.Example"],
        "allowed_hosts": ["h.acme.example"],
    }
    made = admin.post("/api/organisations", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["allowed_domains"] == ["acme.example"]
    assert admin.post("/api/organisations", json=body).status_code == 409
    assert {one["id"] for one in admin.get("/api/organisations").json()["items"]} == {
        "default",
        "other",
        "acme",
    }
    bad = admin.put("/api/organisations/acme", json={"name": "Acme", "allowed_domains": ["no domain"]})
    assert bad.status_code == 422
    assert bad.json()["errors"][0]["pointer"] == "#/allowed_domains/0"
    assert admin.put("/api/organisations/nobody", json={"name": "Nobody"}).status_code == 404
    foreign = api.as_("usr_other_admin")
    assert foreign.get("/api/organisations/other").status_code == 200
    for method, path, content in (
        ("GET", "/api/organisations", None),
        ("GET", "/api/organisations/default", None),
        ("POST", "/api/organisations", {**body, "id": "more"}),
        ("PUT", "/api/organisations/other", {"name": "Mine", "allowed_domains": ["evil.example"]}),
    ):
        assert foreign.call(method, path, json=content).status_code == 403, path


def picture(kind: str, size: tuple[int, int], **options: Any) -> str:
    """In base64."""
    buffer = BytesIO()
    Image.new("RGB", size, (91, 42, 134)).save(buffer, kind, **options)
    return b64encode(buffer.getvalue()).decode()


def test_an_organisation_has_a_colour_words_and_a_logo(
    admin: Api, database: Database, objects: ObjectStore
) -> None:
    path = "/api/organisations/other"
    fields = {"name": "Other", "report_colour": "#5B2A86", "report_footer": "Confidential"}
    assert admin.put(path, json=fields).json()["report_colour"] == "#5b2a86"
    pale = admin.put(path, json={**fields, "report_colour": "#ffee00"})
    assert pale.status_code == 422
    assert pale.json()["errors"][0]["pointer"] == "#/report_colour"
    assert "WCAG 2.2 asks for 4.5" in pale.json()["errors"][0]["detail"]
    for form in ("PNG", "JPEG"):
        given = admin.put(f"{path}/logo", json={"image": picture(form, (1200, 300))})
        assert given.status_code == 200, given.text
        logo = given.json()["logo"]
        assert (logo["width"], logo["height"]) == (480, 120)
        kept = (database.organisations.find_one({"_id": "other"}) or {})["logo"]
        assert objects.get(kept["key"]).startswith(b"\xff\xd8\xff")
    assert admin.put(path, json=fields).json()["logo"] == logo, "other fields leave it alone"
    assert admin.get(path).json()["report_footer"] == "Confidential"
    assert admin.delete(f"{path}/logo").json()["logo"] is None
    assert objects.get(kept["key"]), "a report that was made with it can be made again"
    assert admin.put("/api/organisations/nobody/logo", json={"image": EXAMPLE_LOGO}).status_code == 404
    rows = list(database.audit.find({"action": "organisation.logo_changed"}))
    assert [row["details"]["sha256"] is None for row in rows] == [False, False, True]


def test_an_organisation_has_words_in_mails_and_no_markup_in_them(admin: Api) -> None:
    path = "/api/organisations/other"
    words = {"mail_subject_prefix": "[Other]", "mail_greeting": "Hello,", "mail_footer": "Ask us."}
    kept = admin.put(path, json={"name": "Other", **words}).json()
    assert {name: kept[name] for name in words} == words
    for name, bad in (
        ("mail_subject_prefix", "x" * 41),
        ("mail_greeting", "<b>Hello</b>"),
        ("mail_footer", "a\r\nBcc: b@example.org"),
    ):
        refused = admin.put(path, json={"name": "Other", **words, name: bad})
        assert refused.status_code == 422
        assert [one["pointer"] for one in refused.json()["errors"]] == [f"#/{name}"]
    assert admin.get(path).json()["mail_footer"] == "Ask us."


def test_an_organisation_says_how_many_rows_a_report_may_have(admin: Api, database: Database) -> None:
    path = "/api/organisations/other"
    assert admin.get(path).json()["report_rows"] == 5_000_000
    assert admin.put(path, json={"name": "Other", "report_rows": 250_000}).json()["report_rows"] == 250_000
    for odd in (0, -1, "many", 1.5, True, 10**12):
        refused = admin.put(path, json={"name": "Other", "report_rows": odd})
        assert refused.status_code == 422, odd
        assert [one["pointer"] for one in refused.json()["errors"]] == ["#/report_rows"]
    for by_hand in (True, "7", -3, None):
        database.organisations.update_one({"_id": "other"}, {"$set": {"report_rows": by_hand}})
        assert admin.get(path).json()["report_rows"] == 5_000_000, by_hand
    made = admin.post("/api/organisations", json={"id": "acme", "name": "Acme", "report_rows": 10})
    assert made.json()["report_rows"] == 10


def test_what_is_no_logo_is_refused_and_the_one_before_stays(admin: Api) -> None:
    path = "/api/organisations/other/logo"
    standing = admin.put(path, json={"image": EXAMPLE_LOGO}).json()["logo"]
    svg = b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>").decode()
    broken = b64encode(b64decode(EXAMPLE_LOGO)[:40]).decode()
    bomb = picture("PNG", (30_000, 30_000), optimize=False)
    for image, said in (
        ("&&&", "base64"),
        ("", "neither PNG nor JPEG"),
        (svg, "neither PNG nor JPEG"),
        (broken, "cannot be read"),
        (b64encode(b"\x89PNG\r\n\x1a\n" + b"x" * 200_000).decode(), "at most 200,000"),
        (picture("PNG", (600, 10)), "12 times"),
    ):
        refused = admin.put(path, json={"image": image})
        assert refused.status_code == 422, image[:40]
        assert said in refused.text
        assert refused.json()["errors"][0]["pointer"] == "#/image"
    assert admin.put(path, json={"image": bomb}).status_code in (413, 422)
    assert admin.get("/api/organisations/other").json()["logo"] == standing


def test_reports_go_to_allowed_hosts_alone(admin: Api) -> None:
    admin.put("/api/organisations/default", json={"name": "Default", "allowed_hosts": ["hooks.example.org"]})

    def create(url: str) -> int:
        body = {
            "name": "Hook",
            "schedule_config": {"cadence": "daily"},
            "recipients": [{"type": "webhook", "value": url}],
        }
        return admin.post("/api/scheduled-reports", json=body).status_code

    assert create("https://hooks.example.org/x") == 201
    assert create("https://elsewhere.example.org/x") == 422


# --- trace ----------------------------------------------------------------------------------------


def store_report(database: Database, objects: ObjectStore, identifier: str) -> None:
    """The world's report, made from a dataset of what stands."""
    period = Period.from_key(Cadence.WEEKLY, PERIOD)
    records = list(documents_of(database, "T1", period.previous().start_at, period.end_at))
    tables = tidy_documents(records, {}, period)
    dataset = TrialDataset("T1", "Trial T1", period, tables, "0" * 16, period.end_at)
    save_dataset(objects, dataset)
    assert identifier in reports.reports_by_id(database, [identifier])


def test_a_figure_leads_to_its_documents_as_far_as_they_may_be_read(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    api = serve()
    names = populate(database, objects)
    service = api.as_("usr_default_service")
    line = {"trial": "T1", "kind": "adverse_event", "title": "x", "received_at": "2026-11-17T09:00:00Z"}
    lines = [
        {**line, "id": "a", "site": "701", "data": {"term": "SYNCOPE", "serious": "Y"}},
        {**line, "id": "b", "site": "702", "data": {"term": "RASH", "serious": "N"}},
    ]
    body = "\n".join(json.dumps(one) for one in lines).encode()
    headers = {"Content-Type": "application/x-ndjson"}
    sent = [
        json.loads(one)["id"]
        for one in service.post("/api/documents:batch", data=body, headers=headers).text.splitlines()
    ]
    store_report(database, objects, names["report"])
    subscriber = api.as_("usr_default_subscriber")
    all_of_it = subscriber.get(f"/api/trace/{names['report']}/adverse_events")
    assert all_of_it.status_code == 200, all_of_it.text
    (trial,) = all_of_it.json()["trials"]
    assert (trial["value"], set(trial["documents"])) == (2, set(sent))
    (serious,) = subscriber.get(f"/api/trace/{names['report']}/serious_adverse_events").json()["trials"]
    assert serious["documents"] == sent[:1]
    assert api.as_("usr_other_admin").get(f"/api/trace/{names['report']}/documents").status_code == 404
    assert subscriber.get(f"/api/trace/{names['report']}/nothing").status_code == 422
    for key in list(objects.keys("datasets/")):
        objects.delete(key)
    assert subscriber.get(f"/api/trace/{names['report']}/documents").status_code == 410
