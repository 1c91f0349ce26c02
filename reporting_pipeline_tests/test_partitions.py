"""Keys are written and read in one place, and ranges never run over a partition nobody asked for."""

from datetime import UTC, date, datetime

import pytest
from dagster import DagsterInstance, PartitionKeyRange
from dagster._core.definitions.partitions.context import partition_loading_context
from hypothesis import given
from hypothesis import strategies as st

from reporting_pipeline import partitions
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.trial_keys import trial_key, trial_of
from reporting_pipeline.partitions import SubscriptionPartition, TrialPartition, contiguous_ranges
from reporting_pipeline.settings import load_settings

WEEK = Period(Cadence.WEEKLY, date(2026, 11, 16))


@pytest.mark.parametrize("bad", ["", "a|b", "a,b", "-x", "x y", "é", "a" * 101, "x\n"])
def test_a_subscription_id_that_cannot_be_a_partition_key_is_refused_with_its_name(bad: str) -> None:
    with pytest.raises(ValueError, match="subscription id"):
        _ = SubscriptionPartition(WEEK, bad).key


@pytest.mark.parametrize("bad", ["", "é" * 60])
def test_a_trial_id_that_is_empty_or_makes_too_long_a_key_is_refused_with_its_name(bad: str) -> None:
    with pytest.raises(ValueError, match="trial id"):
        _ = TrialPartition(WEEK, bad).key


@pytest.mark.parametrize(
    ("trial", "key"),
    [
        ("CDISCPILOT01", "CDISCPILOT01"),
        ("A_1-b.2", "A_1-b.2"),
        ("TRIAL 01", "TRIAL~2001"),
        ("A/B", "A~2FB"),
        ("../x", "~2E~2E~2Fx"),
        ("a...b", "a.~2E~2Eb"),
        ("a|b,c~d", "a~7Cb~2Cc~7Ed"),
        ("Étude-1", "~C3~89tude-1"),
    ],
)
def test_a_trial_keeps_its_sponsors_id_and_its_key_holds_nothing_that_means_something(
    trial: str, key: str
) -> None:
    assert trial_key(trial) == key


@given(st.text(min_size=1, max_size=20))
def test_every_trial_id_has_a_key_of_its_own_that_dagster_takes_and_that_is_read_back(trial: str) -> None:
    key = trial_key(trial)
    assert trial_of(key) == trial
    assert set(key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.~")
    assert "..." not in key
    assert TrialPartition.parse(f"2026-11-16|{key}", Cadence.WEEKLY, "UTC").trial == trial


@given(st.text(max_size=20))
def test_what_is_no_trials_key_is_an_error_and_never_another_trial(key: str) -> None:
    try:
        trial = trial_of(key)
    except ValueError:
        return
    assert trial_key(trial) == key


def test_a_key_is_read_back_as_it_was_written() -> None:
    trial = TrialPartition(WEEK, "CDISCPILOT01")
    assert str(trial.key) == "2026-11-16|CDISCPILOT01"
    assert TrialPartition.parse(str(trial.key), Cadence.WEEKLY, "UTC") == trial
    subscription = SubscriptionPartition(WEEK, "sub_0123456789abcdef")
    assert SubscriptionPartition.parse(str(subscription.key), Cadence.WEEKLY, "UTC") == subscription


@pytest.mark.parametrize("bad", ["2026-11-16", "2026-11-17|T", "nonsense|T", "2026-11-16|a|b"])
def test_a_malformed_key_is_an_error_and_never_another_partition(bad: str) -> None:
    with pytest.raises(ValueError, match=r"period|partition key|does not start"):
        TrialPartition.parse(bad, Cadence.WEEKLY, "UTC")


@given(
    st.lists(st.sampled_from("wpx"), max_size=60),
    st.integers(min_value=1, max_value=7),
)
def test_ranges_cover_what_is_wanted_and_pass_over_nothing_that_may_not_run(
    kinds: list[str], limit: int
) -> None:
    keys = [f"k{number:02}" for number in range(len(kinds))]
    wanted = {key for key, kind in zip(keys, kinds, strict=True) if kind == "w"}
    passable = {key for key, kind in zip(keys, kinds, strict=True) if kind == "p"}
    found = contiguous_ranges(keys, wanted, limit, passable)
    covered = [key for one in found for key in keys[keys.index(one.first) : keys.index(one.last) + 1]]
    assert wanted <= set(covered) <= wanted | passable
    assert len(covered) == len(set(covered))
    assert all(one.size <= limit for one in found)
    assert all(one.first in wanted and one.last in wanted for one in found) or limit < len(keys)


@pytest.mark.parametrize("cadence", list(Cadence))
def test_dagster_sees_the_same_windows_as_the_domain(cadence: Cadence) -> None:
    settings = load_settings({"REPORTING_TIMEZONE": "America/New_York"})
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    definition = partitions.periods(cadence, settings, now)
    with partition_loading_context(effective_dt=now):
        keys = definition.get_partition_keys()
        assert keys[-1] == Period.last_closed(cadence, now, settings.timezone).key
        for key in keys:
            window = definition.time_window_for_partition_key(key)
            period = Period.from_key(cadence, key, settings.timezone)
            assert (window.start.timestamp(), window.end.timestamp()) == (
                period.start_at.timestamp(),
                period.end_at.timestamp(),
            )


def test_a_range_over_subscriptions_is_the_keys_between_its_ends() -> None:
    settings = load_settings({})
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    definition = partitions.by_subscription(Cadence.WEEKLY, settings, now)
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("weekly_subscriptions", ["sub_a", "sub_b", "sub_c", "sub_d"])
        ends = PartitionKeyRange(
            SubscriptionPartition(WEEK, "sub_b").key, SubscriptionPartition(WEEK, "sub_c").key
        )
        with partition_loading_context(effective_dt=now, dynamic_partitions_store=instance):
            keys = definition.get_partition_keys_in_range(ends)
    assert keys == ["2026-11-16|sub_b", "2026-11-16|sub_c"]
