"""The page behind a report's code: what it says, what it never says, and what it costs strangers."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256

import pytest

from reporting_pipeline.delivery.links.verification import verification_code, written_code
from reporting_pipeline.domain.proof import Envelope, ProofVerdict, key_set, read_key_set, verdict_on
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.proof_keys import signing_keys
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import CODE, NOW, SIGNING, populate

FILE = b"%PDF-1.7 world"
BROWSER = {"Accept": "text/html"}
#: What of the report, its subscription, its reader and its trial stands in the records.
SECRETS = ("World", "sub_world", "usr_", "T1", "default", "2026-11-16", "weekly", sha256(FILE).hexdigest())


@pytest.fixture
def nobody(serve: Callable[..., Api], database: Database, objects: ObjectStore) -> Api:
    populate(database, objects)
    return serve(clock=lambda: NOW)


def compared(api: Api, **parts: object) -> dict[str, object]:
    answer = api.call("POST", f"/v/{CODE}", **parts)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_code_tells_that_a_report_stands_and_nothing_of_it(nobody: Api) -> None:
    for code in (CODE, CODE.upper(), f"{CODE[:4]}-{CODE[4:8]}-{CODE[8:]}"):
        assert nobody.get(f"/v/{code}").json() == {"standing": "genuine", "since": None, "same_file": None}
    page = nobody.get(f"/v/{CODE}", headers=BROWSER)
    assert "still stands" in page.text
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert not [secret for secret in SECRETS if secret in page.text]


@pytest.mark.parametrize(
    ("language", "title", "stands", "problem"),
    [
        ("de-CH,de;q=0.9", "Ist dieser Bericht echt?", "Er gilt noch.", "Wählen Sie eine Datei"),
        ("fr", "Ce rapport est-il vrai", "Il vaut toujours.", "Choisissez un fichier"),
        ("es-MX", "¿Es auténtico este informe?", "Aún vale.", "Elija un archivo"),
        ("xx, *;q=0.1", "Is this report genuine?", "It still stands.", "choose a file"),
    ],
)
def test_the_page_speaks_the_language_of_the_browser(
    nobody: Api, language: str, title: str, stands: str, problem: str
) -> None:
    asked = {**BROWSER, "Accept-Language": language}
    page = nobody.get(f"/v/{CODE}", headers=asked).text
    assert title in page
    assert stands in page
    assert problem in nobody.call("POST", f"/v/{CODE}", files={"sha256": (None, "")}, headers=asked).text
    spoken = language[:2] if language[:2] != "xx" else "en"
    assert f'<html lang="{spoken}">' in page
    assert f'<html lang="{spoken}">' in nobody.get("/v/0189", headers=asked).text


def test_every_other_code_gets_one_answer(nobody: Api) -> None:
    answers = {(nobody.get(f"/v/{code}").status_code) for code in ("a" * 16, "b" * 15, "0189", "rep_x")}
    assert answers == {404}
    pages = {nobody.get(f"/v/{code}", headers=BROWSER).text for code in ("a" * 16, "0189")}
    assert len(pages) == 1
    assert nobody.call("POST", f"/v/{'a' * 16}", files={"file": ("x", FILE)}).status_code == 404


def test_a_file_or_its_hash_is_compared_to_the_byte_and_not_kept(nobody: Api, database: Database) -> None:
    names = sorted(database.list_collection_names())
    digest = sha256(FILE).hexdigest()
    assert compared(nobody, files={"file": ("r.pdf", FILE)})["same_file"] is True
    assert compared(nobody, files={"file": ("r.pdf", FILE + b" ")})["same_file"] is False
    assert compared(nobody, files={"sha256": (None, digest.upper())})["same_file"] is True
    assert compared(nobody, files={"file": ("", b""), "sha256": (None, digest)})["same_file"] is True
    assert set(database.list_collection_names()) - set(names) <= {"rate_counters", "rate_windows"}


@pytest.mark.parametrize(
    "parts",
    [
        {"sha256": (None, "abc")},
        {"file": ("x", b"")},
        {"other": (None, "x")},
        {"file": ("x", FILE), "sha256": (None, "abc")},
    ],
)
def test_what_cannot_be_compared_is_refused_with_what_to_do(nobody: Api, parts: dict[str, object]) -> None:
    answer = nobody.call("POST", f"/v/{CODE}", files=parts)
    assert answer.status_code == 422
    assert "SHA-256" in answer.json()["detail"]
    assert "SHA-256" in nobody.call("POST", f"/v/{CODE}", files=parts, headers=BROWSER).text


def test_a_body_that_is_no_form_is_refused(nobody: Api) -> None:
    assert nobody.call("POST", f"/v/{CODE}", json={"sha256": "0" * 64}).status_code == 415


def test_superseded_and_revoked_are_told_with_their_day(nobody: Api, database: Database) -> None:
    (record,) = database.reports.find({"code": CODE})
    older = {
        name: record[name] for name in ("sha256", "key", "rendered_at", "data_as_of", "dataset_versions")
    }
    change = {"superseded": [{**older, "code": CODE}], "sha256": "0" * 64, "code": "b" * 16}
    database.reports.update_one({"_id": record["_id"]}, {"$set": change})
    assert nobody.get(f"/v/{CODE}").json()["standing"] == "superseded"
    assert "made again" in nobody.get(f"/v/{CODE}", headers=BROWSER).text
    revoked = {"superseded.0.revoked": {"by": "usr_x", "at": NOW, "reason": "secret reason"}}
    database.reports.update_one({"_id": record["_id"]}, {"$set": revoked})
    page = nobody.get(f"/v/{CODE}", headers=BROWSER).text
    assert "on 23 November 2026. Do not rely on it." in page
    assert "secret reason" not in page


def test_looks_at_codes_are_limited_and_strangers_take_nobody_s(
    serve: Callable[..., Api], nobody: Api
) -> None:
    api = serve(link_clicks_per_minute=2)
    assert 429 in [api.get(f"/v/{'a' * 16}").status_code for _ in range(90)]
    assert api.get(f"/v/{CODE}").status_code == 200
    assert 429 in [api.get(f"/v/{CODE}").status_code for _ in range(6)]


def test_a_manifest_is_good_with_the_published_keys(nobody: Api, database: Database) -> None:
    (record,) = database.reports.find({"code": CODE})
    analyst = nobody.as_("usr_default_analyst").get(f"/api/report-manifests/{record['_id']}")
    envelope = Envelope.read(analyst.content)
    world = read_key_set(json.dumps(key_set({SIGNING.name: SIGNING.private.public_key()})))
    assert verdict_on(record["sha256"], record["size"], envelope, world) is ProofVerdict.GENUINE
    published = nobody.get("/.well-known/report-keys.json").content
    assert set(read_key_set(published)) == {signing_keys(nobody.settings).current.name}


def test_a_manifest_is_for_whom_the_report_was_made_or_sent_to_and_who_reads_the_organisations(
    nobody: Api, database: Database
) -> None:
    (record,) = database.reports.find({"code": CODE})
    path = f"/api/report-manifests/{record['_id']}"
    person = database.users.find_one({"_id": "usr_default_subscriber"}) or {}
    for name in ("reader", "stranger", "limited"):
        database.users.insert_one({**person, "_id": f"usr_{name}", "email": f"{name}@default.example"})
    database.users.update_one({"_id": "usr_limited"}, {"$set": {"roles": ["manager"], "trials": ["T2"]}})
    database.deliveries.update_one({"state": "sent"}, {"$set": {"user": "usr_reader"}})
    database.deliveries.update_one({"state": "failed"}, {"$set": {"user": "usr_stranger"}})

    def open_to() -> list[str]:
        people = ["default_subscriber", "reader", "stranger", "limited", "default_manager"]
        return [one for one in people if nobody.as_(f"usr_{one}").get(path).status_code == 200]

    assert open_to() == ["default_subscriber", "reader", "default_manager"]
    database.users.update_many({"roles": ["subscriber"]}, {"$set": {"trials": ["T2"]}})
    assert open_to() == ["default_manager"], "of what is open today"


def test_codes_are_typed_as_they_are_printed_and_follow_from_secret_report_and_inputs(nobody: Api) -> None:
    code = verification_code(nobody.settings, "rep_1", "v1")
    assert written_code(f" {code.upper()} ") == code
    others = {
        verification_code(nobody.settings, "rep_1", "v2"),
        verification_code(nobody.settings, "rep_2", "v1"),
    }
    assert len({code, *others}) == 3
    for wrong in ("", "a" * 15, "a" * 17, "1" * 16, "ä" * 16, "a" * 15 + "$"):
        assert written_code(wrong) is None
