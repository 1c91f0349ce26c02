"""The trials of an organisation, whatever somebody wrote beside them."""

from __future__ import annotations

from typing import Any

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.trials import list_trials


def test_a_trial_whose_id_is_no_text_stops_no_page(database: Database) -> None:
    of_one: dict[str, Any] = {"organisation": "org_1", "title": "x"}
    database.trials.insert_many([{"_id": one, **of_one} for one in ("T-1", 7, "T-2", "T-3")])
    assert [one["_id"] for one in list_trials(database, "org_1", limit=2)] == ["T-1", "T-2"]
    assert [one["_id"] for one in list_trials(database, "org_1", after="T-2")] == ["T-3"]
    assert [one["_id"] for one in list_trials(database, "org_1", among=["T-2", "T-9"])] == ["T-2"]
