"""A sealed report: read by every way in which its reader may have it, and by none once they are erased."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from reporting_pipeline.delivery.links.tokens import file_token, report_url
from reporting_pipeline.domain.access import User
from reporting_pipeline.operations.reconciliation.run import reconcile
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import deliveries as ledger
from reporting_pipeline.stores import users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.report_files import ReportFiles, sealed_key
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import CODE, FILE, OWNER, populate

NOW = datetime.now(UTC)
SECRET = "s" * 40


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"seal_secret": type(settings.link_secret)(SECRET)})


@pytest.fixture
def ids(database: Database, objects: ObjectStore, settings: Settings, organisations: None) -> dict[str, str]:
    """The world's report, sealed for its owner."""
    found = populate(database, objects)
    report = database.reports.find_one({"code": CODE}) or {}
    key = sealed_key(report["key"], sealed=True)
    owner = users.get_user(database, OWNER)
    assert owner is not None
    ReportFiles.of(database, objects, settings).put(key, FILE, "application/pdf", owner, NOW)
    objects.delete(report["key"])
    database.reports.update_one({"_id": report["_id"]}, {"$set": {"key": key}})
    return {**found, "key": key}


@pytest.fixture
def api(serve: Callable[..., Api], ids: dict[str, str]) -> Api:
    return serve()


def followed(api: Api, answer: Any) -> Any:
    """What the address that was answered leads to, for anybody."""
    assert answer.status_code == 307, answer.text
    address = urlsplit(answer.headers["location"])
    assert f"{address.scheme}://{address.netloc}" == api.settings.public_url.rstrip("/")
    return api.with_token(None).get(address.path)


def linked(api: Api, database: Database) -> str:
    """The path of a link that was mailed to the owner."""
    job: Any = database.jobs.find_one({"subscription": "sub_world"})
    subscription = database.subscriptions.find_one({"_id": "sub_world"}) or {}
    target = ledger.Target("email", "subscriber@default.example", OWNER)
    delivery: Any = ledger.new_delivery(job, subscription, target, NOW)
    database.deliveries.insert_one({**delivery, "state": "sent"})
    return urlsplit(report_url(api.settings, delivery, NOW)).path


def test_what_lies_in_the_bucket_is_nobodys_to_read(ids: dict[str, str], objects: ObjectStore) -> None:
    assert FILE not in objects.get(ids["key"])


def test_its_reader_has_it_by_download_link_and_export(
    api: Api, ids: dict[str, str], database: Database
) -> None:
    owner = api.as_(OWNER)
    for answer in (
        owner.get(f"/api/report-executions/{ids['job']}/download"),
        api.with_token(None).get(linked(api, database)),
    ):
        file = followed(api, answer)
        assert (file.status_code, file.content) == (200, FILE)
        assert file.headers["content-type"] == "application/pdf"
        assert 'filename="world.pdf"' in file.headers["content-disposition"]
        assert file.headers["cache-control"] == "no-store"
    export = api.as_("usr_default_admin").get(f"/api/users/{OWNER}/export").content
    archive = zipfile.ZipFile(io.BytesIO(export))
    assert FILE in [archive.read(name) for name in archive.namelist() if name.startswith("reports/")]


def test_its_address_is_good_for_a_minute_and_for_nothing_else(api: Api, ids: dict[str, str]) -> None:
    secret = api.settings.link_secret.get_secret_value()
    soon, past = (datetime.now(UTC) + timedelta(seconds=s) for s in (60, -1))
    sha256 = "0" * 64
    for token in (
        "x",
        file_token(secret, ids["report"], sha256, soon),
        file_token("o" * 40, ids["report"], sha256, soon),
        file_token(secret, "rep_none", sha256, soon),
        file_token(secret, ids["report"], sha256, past),
    ):
        assert api.with_token(None).get(f"/r/file/{token}").status_code == 404


def test_once_its_reader_is_erased_copies_of_it_open_nowhere(
    api: Api, ids: dict[str, str], database: Database, objects: ObjectStore
) -> None:
    """A version, a replica, a backup: the file and its record as they were, put back."""
    file, record = objects.get(ids["key"]), database.reports.find_one({"code": CODE}) or {}
    address = api.as_(OWNER).get(f"/api/report-executions/{ids['job']}/download").headers["location"]
    assert api.as_("usr_default_admin").delete(f"/api/users/{OWNER}").status_code == 204
    objects.put(ids["key"], file)
    database.reports.replace_one({"_id": record["_id"]}, record, upsert=True)
    anybody = api.with_token(None)
    assert anybody.get(urlsplit(address).path).status_code == 404
    admin = api.as_("usr_default_admin")
    assert admin.get(f"/api/report-executions/{ids['job']}/download").status_code == 404
    person = User(id=OWNER, organisation="default", roles=frozenset())
    with pytest.raises(LookupError, match="destroyed"):
        ReportFiles.of(database, objects, api.settings).put(ids["key"], FILE, "x", person, NOW)


def test_an_organisation_asks_for_it_where_the_deployment_can(serve: Callable[..., Api]) -> None:
    body = {"name": "Default", "sealing": "by_person"}
    able, unable = serve(), serve(seal_secret=None)
    refused = unable.as_("usr_default_admin").put("/api/organisations/default", json=body)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/sealing")
    taken = able.as_("usr_default_admin").put("/api/organisations/default", json=body)
    assert (taken.status_code, taken.json().get("sealing")) == (200, "by_person"), taken.text


def test_a_reconciliation_knows_its_size(
    ids: dict[str, str], database: Database, objects: ObjectStore
) -> None:
    def differing() -> set[str]:
        found = reconcile(database, objects, NOW + timedelta(days=9), mending=False, hashes=True).examples
        return {one.key for (kind, _), some in found.items() for one in some if kind.startswith("wrong")}

    assert ids["key"] not in differing()
    objects.put(ids["key"], objects.get(ids["key"])[:-1])
    assert ids["key"] in differing()
