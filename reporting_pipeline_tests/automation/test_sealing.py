"""An edition of an organisation whose reports are sealed: none is open in the bucket, all arrive."""

from __future__ import annotations

from pathlib import Path

import pytest
from dagster import DagsterInstance
from pydantic import SecretStr

from reporting_pipeline.assets.scope import PRODUCT
from reporting_pipeline.domain.sealing import is_sealed, sealed_size
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.person_keys import wrapping_keys
from reporting_pipeline.stores.report_files import ReportFiles
from reporting_pipeline.stores.reports import reports_of
from reporting_pipeline.usecases.reproduce import reproduce
from reporting_pipeline_tests.automation.crank import ORGANISATION, Crank, open_crank, usual_documents


def edition(crank: Crank) -> Crank:
    """Two people of one trial, one of whom has the file with the mail."""
    record = {"_id": ORGANISATION, "name": "Default", "sealing": "by_person"}
    crank.database.organisations.replace_one({"_id": ORGANISATION}, record, upsert=True)
    crank.add_trial("T-ALPHA")
    crank.arrive(*usual_documents("T-ALPHA", crank.period()))
    crank.subscribe("one", Filters(trials=("T-ALPHA",)), parameters={"attach": True})
    crank.subscribe("two", Filters(trials=("T-ALPHA",)))
    crank.complete()
    return crank


@pytest.fixture
def sealing(
    settings: Settings,
    database: Database,
    objects: ObjectStore,
    instance: DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> Crank:
    chosen = settings.model_copy(update={"seal_secret": SecretStr("s" * 40)})
    return open_crank(chosen, database, objects, instance, monkeypatch)


def test_each_report_is_sealed_for_its_owner_and_arrives(sealing: Crank, tmp_path: Path) -> None:
    made = edition(sealing)
    files = ReportFiles.of(made.database, made.objects, made.settings)
    found = list(reports_of(made.database, made.period().cadence, made.period().key))
    assert len(found) == 2
    for report in found:
        assert is_sealed(report.key)
        stored = made.objects.get(report.key)
        assert (b"%PDF" in stored, len(stored)) == (False, sealed_size(report.size))
        assert files.get(report.key).startswith(b"%PDF")
        assert files.digest(report.key) == report.sha256
        ring = wrapping_keys(made.settings)
        again = reproduce(made.database, made.objects, report.id, PRODUCT, tmp_path / "cache", ring)
        assert again.equal, again
    assert made.database.person_keys.count_documents({}) == 2, "the body is one, the seals are two"
    assert made.mailed() == ["one@example.org", "two@example.org"]
    (attached,) = [part for mail in made.mails() for part in mail.iter_attachments()]
    assert attached.get_content().startswith(b"%PDF")


def test_without_the_secret_nothing_is_stored_open(empty: Crank) -> None:
    made = edition(empty)
    assert list(made.objects.keys("reports/")) == []
    assert made.mailed() == []
    assert {job["state"] for job in made.jobs().values()} <= {"pending", "failed"}
