"""Rights asked below `usecases.callers`, too: by the handle of a caller, and where letters are given back."""

from __future__ import annotations

import pytest

from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.results import AssetResult, save_results
from reporting_pipeline.stores.scope import Scoped
from reporting_pipeline.usecases import failed_stages
from reporting_pipeline_tests.api.conftest import ROLES
from reporting_pipeline_tests.api.world import NOW, PERIOD, populate

READ_LETTERS = {"analyst", "manager", "admin"}
GIVE_BACK = {"manager", "admin"}
READ_REPORTS = {"subscriber", "analyst", "manager", "admin"}


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
def test_each_role_reaches_what_its_rights_say(
    organisations: None, database: Database, objects: ObjectStore, settings: Settings, role: str
) -> None:
    names = populate(database, objects)
    failed = AssetResult(
        "weekly/trial_dataset", PERIOD, "T1", "failed", "v1", NOW, reason="broken", attempts=99
    )
    save_results(database, [failed])
    letter = failed_stages.identifier_of("weekly/trial_dataset", PERIOD, "T1")
    caller = users.get_user(database, f"usr_default_{role}")
    assert caller is not None

    told = failed_stages.failed_stages(database, settings, caller)
    assert [one.id for one in told] == ([letter] if role in READ_LETTERS else [])
    gave = failed_stages.try_again(database, settings, caller, letter, NOW)
    assert (gave is not None) == (role in GIVE_BACK)
    assert database.asset_results.count_documents({"asset": failed.asset}) == (role not in GIVE_BACK)
    mine = Scoped(database, caller)
    assert mine.requeue_matching({"channel": "email", "edition": "none:such"}, NOW, 10) == 0
    assert mine.requeue(names["letter"], NOW) == (role in GIVE_BACK)
    state = (database.deliveries.find_one({"_id": names["letter"]}) or {})["state"]
    assert state == ("pending" if role in GIVE_BACK else "failed")
    assert (mine.report(names["report"]) is not None) == (role in READ_REPORTS)
