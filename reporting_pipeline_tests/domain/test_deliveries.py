"""The rules of a delivery's state: up only, bounded retries, and nothing guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reporting_pipeline.domain.deliveries import (
    BACKOFF,
    SETTLED,
    WEBHOOK_BACKOFF,
    Outcome,
    SendResult,
    after_attempt,
    delivery_id,
    from_wire_id,
    is_address,
    job_state,
    mailbox,
    retry_delay,
    retry_instant,
    short_error,
    states_below,
    wire_id,
)
from reporting_pipeline.domain.jobs import DeliveryState, JobState

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
states = st.sampled_from(list(DeliveryState))


def join(current: DeliveryState, evidence: DeliveryState) -> DeliveryState:
    """What the ledger's update makes of evidence: the state moves only where it is below."""
    return evidence if current.value in states_below(evidence) else current


@given(states, states, states)
def test_evidence_is_a_lattice(a: DeliveryState, b: DeliveryState, c: DeliveryState) -> None:
    assert join(a, b) == join(b, a)
    assert join(a, a) == a
    assert join(join(a, b), c) == join(a, join(b, c))


def test_delivered_is_below_bounced_and_above_sent() -> None:
    assert join(DeliveryState.BOUNCED, DeliveryState.DELIVERED) is DeliveryState.BOUNCED
    assert join(DeliveryState.DELIVERED, DeliveryState.SENT) is DeliveryState.DELIVERED


@given(st.integers(1, 30), st.integers(0, 10**6))
def test_a_wait_is_one_five_or_thirty_minutes_with_jitter(failures: int, number: int) -> None:
    base = BACKOFF[min(failures, 3) - 1]
    assert base <= retry_delay(failures, Random(number)) <= base * 1.2


def test_a_webhook_is_tried_again_as_standard_webhooks_proposes() -> None:
    waits = [retry_delay(failures, Random(1), WEBHOOK_BACKOFF) for failures in range(1, 8)]
    proposed = [timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)]
    assert all(least <= wait <= least * 1.2 for least, wait in zip(proposed, waits, strict=True))


def test_two_workers_do_not_come_back_at_once() -> None:
    assert len({retry_delay(1, Random(number)) for number in range(50)}) > 40


def change(outcome: Outcome, failures: int = 0, retry_at: datetime | None = None) -> tuple[str, int]:
    result = SendResult(outcome, retry_at=retry_at)
    changed = after_attempt(result, failures, NOW, Random(1), max_attempts=4)
    assert (changed.next_attempt_at is None) == (changed.state in SETTLED)
    return changed.state.value, changed.failures


@pytest.mark.parametrize(
    ("outcome", "failures", "expected"),
    [
        (Outcome.ACCEPTED, 0, ("sent", 0)),
        (Outcome.PERMANENT, 0, ("failed", 1)),
        (Outcome.RETRY, 0, ("pending", 1)),
        (Outcome.RETRY, 2, ("pending", 3)),
        (Outcome.RETRY, 3, ("failed", 4)),
        (Outcome.THROTTLED, 3, ("pending", 3)),
        (Outcome.HALTED, 3, ("pending", 3)),
        (Outcome.UNKNOWN, 0, ("unknown", 1)),
        (Outcome.UNKNOWN, 9, ("unknown", 10)),
    ],
)
def test_what_an_attempt_does(outcome: Outcome, failures: int, expected: tuple[str, int]) -> None:
    assert change(outcome, failures) == expected


def test_a_broken_header_does_not_park_the_channel() -> None:
    far = SendResult(Outcome.THROTTLED, retry_at=NOW + timedelta(days=900))
    assert after_attempt(far, 0, NOW, Random(1), max_attempts=4).next_attempt_at == NOW + timedelta(hours=1)
    past = SendResult(Outcome.THROTTLED, retry_at=NOW - timedelta(days=900))
    again = after_attempt(past, 0, NOW, Random(1), max_attempts=4).next_attempt_at
    assert again is not None
    assert again > NOW


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-RateLimit-Reset": "1795421700"}, datetime(2026, 11, 23, 8, 15, tzinfo=UTC)),
        ({"x-ratelimit-reset": " 1795421700 "}, datetime(2026, 11, 23, 8, 15, tzinfo=UTC)),
        ({"Retry-After": "30"}, NOW + timedelta(seconds=30)),
        ({"Retry-After": "Mon, 23 Nov 2026 08:15:00 GMT"}, datetime(2026, 11, 23, 8, 15, tzinfo=UTC)),
        ({"Retry-After": "Monday, 23-Nov-26 08:15:00 GMT"}, datetime(2026, 11, 23, 8, 15, tzinfo=UTC)),
        ({"Retry-After": "Mon Nov 23 08:15:00 2026"}, datetime(2026, 11, 23, 8, 15, tzinfo=UTC)),
        (
            {"Retry-After": "Sun, 23 Nov 2036 08:15:00 GMT", "Date": "Sun, 23 Nov 2036 08:05:00 GMT"},
            NOW + timedelta(minutes=10),
        ),
        ({"Retry-After": "1.5"}, NOW + timedelta(seconds=2)),
        ({"Retry-After": "60", "X-RateLimit-Reset": "1"}, NOW + timedelta(seconds=60)),
        ({"X-RateLimit-Reset": "90"}, NOW + timedelta(seconds=90)),
        ({"Retry-After": "Mon, 23 Nov 99999 08:15:00 GMT"}, None),
        ({"Retry-After": "Mon, 99 Nov 2026 08:15:00 GMT"}, None),
        ({"Retry-After": "as soon as the moon is full"}, None),
        ({"Retry-After": "٣٠"}, None),
        ({"X-RateLimit-Reset": "9" * 400}, None),
        ({"X-RateLimit-Reset": "-1"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers: dict[str, str], expected: datetime | None) -> None:
    assert retry_instant(headers, NOW) == expected


@given(st.lists(states, max_size=6))
def test_a_job_waits_for_its_last_delivery(found: list[DeliveryState]) -> None:
    verdict = job_state(found)
    if not found or any(state not in SETTLED for state in found):
        assert verdict is None
    elif DeliveryState.FAILED in found or DeliveryState.BOUNCED in found:
        assert verdict is not None
        reached = DeliveryState.SENT in found or DeliveryState.DELIVERED in found
        assert verdict[0] is (JobState.COMPLETED if reached else JobState.FAILED)
        assert verdict[1]  # who was not reached is told either way
    else:
        assert verdict is not None
        assert verdict[0] in (JobState.COMPLETED, JobState.SKIPPED)


@given(st.text())
def test_what_is_kept_of_an_error_is_one_short_line(text: str) -> None:
    kept = short_error(text)
    assert len(kept) <= 500
    assert kept.isprintable()


#: Of text of any kind next to none is an address: of this most is, with what people put around one and in it.
names = st.text("aZ9-_", max_size=6).map(lambda text: f"a{text}b")
around = st.sampled_from(["", " ", "\t", "\r\n"])
odd = st.sampled_from(["", "", ".x", "+x", "\r\n", "\u00e9"])


@given(st.builds("{0}{1}{2}@{3}.org{0}".format, around, names, odd, st.sampled_from(["EXAMPLE", "a-9.b"])))
def test_an_address_that_is_accepted_has_one_spelling_and_no_line_break(text: str) -> None:
    spelled = mailbox(text)
    assume(is_address(spelled))
    assert spelled == spelled.lower()
    assert spelled.isascii()
    assert spelled.isprintable()
    assert mailbox(spelled) == spelled


def test_a_forced_copy_has_an_id_of_its_own() -> None:
    delivery = "dlv_" + "0a" * 12
    for copy in (1, 2, 12, 999):
        assert from_wire_id(wire_id(delivery, copy)) == (delivery, copy)
    for strange in ("", delivery + ".1", delivery + ".", delivery + ".-2", delivery.upper(), delivery + "\n"):
        with pytest.raises(ValueError, match="not a delivery id"):
            from_wire_id(strange)


def test_what_is_not_known_goes_again_after_the_time_that_is_set_and_never_before() -> None:
    after = timedelta(minutes=90)

    change = after_attempt(
        SendResult(Outcome.UNKNOWN), 0, NOW, Random(1), max_attempts=4, unknown_resend=after
    )

    assert change.next_attempt_at == NOW + after


@pytest.mark.parametrize(
    ("text", "plain"),
    [("a@example.org", True), ("A@EXAMPLE.org", False), ("no address", False), ("", False)],
)
def test_only_the_one_spelling_is_a_plain_address(text: str, plain: bool) -> None:
    assert is_address(text) is plain


def test_an_error_keeps_its_words_and_its_length() -> None:
    assert short_error("535 authentication\nfailed\x00") == "535 authentication failed "
    assert short_error("x" * 501) == "x" * 499 + "…"


def test_ids_of_deliveries_and_of_their_first_copies_are_of_one_form() -> None:
    """The other side knows a delivery by it: a ledger that was lost is planned again with the same."""
    identifier = delivery_id("job_1", "email", "a@example.org")

    assert identifier == "dlv_09eb7ff72d90cac64f693380"
    assert [wire_id(identifier, copy) for copy in (0, 1, 2)] == [identifier, identifier, f"{identifier}.2"]
