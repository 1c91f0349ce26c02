"""A reader of each audience, and every report type for somebody it is written for."""

from __future__ import annotations

from datetime import UTC, datetime

from reporting_pipeline.domain.entitlements import Audience, problem_of
from reporting_pipeline.reports.types import REPORT_TYPES
from reporting_pipeline.samples.readers import READERS, make_readers
from reporting_pipeline.stores.mongo import Database

NOW = datetime(2026, 11, 23, 0, 10, tzinfo=UTC)


def test_every_audience_is_there_and_every_type_but_the_subscribers_own_goes_to_whom_it_is_for() -> None:
    assert {reader.entitlements.audience for reader in READERS.values()} == set(Audience)
    made = {reader.report[0] for reader in READERS.values()}
    assert made == set(REPORT_TYPES) - {"trial_activity"}
    for reader in READERS.values():
        assert problem_of(reader.entitlements) is None
        kind, parameters, _ = reader.report
        assert reader.entitlements.audience in REPORT_TYPES[kind].audiences
        REPORT_TYPES[kind].parameters.model_validate(dict(parameters))


def test_readers_are_added_once(database: Database) -> None:
    first = make_readers(database, now=NOW)
    assert (first.users, first.subscriptions) == (6, 6)
    again = make_readers(database, now=NOW)
    assert (again.users, again.subscriptions) == (0, 0)
