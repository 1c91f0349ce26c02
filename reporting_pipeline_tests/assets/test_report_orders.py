"""What is to be made: one record that somebody broke by hand stops its own report alone."""

from __future__ import annotations

from typing import Any

import pytest

from reporting_pipeline.assets.report_orders import read_orders
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline_tests.delivery.broken import BROKEN
from reporting_pipeline_tests.delivery.seeds import seed

IDS = ["sub_00000", "sub_00001", "sub_00002"]


@pytest.mark.parametrize(("collection", "identifier", "update"), BROKEN, ids=str)
def test_records_broken_by_hand_stop_nobody_elses_report(
    database: Database, collection: str, identifier: str, update: dict[str, Any]
) -> None:
    seed(database, None, 3)
    database[collection].update_one({"_id": identifier}, update)
    orders, problems = read_orders(database, IDS)
    assert (sorted(orders), sorted(problems)) == (IDS[1:], IDS[:1])
