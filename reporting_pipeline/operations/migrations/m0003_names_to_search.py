"""Subscriptions are found by their name: each gets the folded name that is searched."""

from __future__ import annotations

from reporting_pipeline.operations.migrations.step import Beat, Step
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.subscription_search import drop_name_keys, set_name_keys, without_name_key


def _up(database: Database, beat: Beat) -> int:
    changed = 0
    while some := set_name_keys(database):
        changed += some
        beat()
    return changed


def _down(database: Database, beat: Beat) -> int:
    changed = drop_name_keys(database)
    beat()
    return changed


STEP = Step(3, "names of subscriptions can be searched", _up, without_name_key, _down)
