"""Which occurrences become jobs, which are passed over, and why. Pure: the clock is passed in.

The rules, for one subscription:

1. An occurrence belongs to the period that ended last before its nominal local date: the period `P`
   with the date in `[P.end, P.next.end)`. Both are dates; the subscriber's calendar and the
   deployment's need not agree on the hour.
2. A job is due when its occurrence is, but never before the period has closed: what falls before
   that is due the moment it closes. Occurrences that become due at one and the same moment are one
   job, since the same report would be sent twice.
3. What was missed (due at `now` already) follows the subscription's `catch_up`: `latest` serves the
   newest, `all` serves each, `skip` serves none that is later than SKIP_TOLERANCE. `lateness_hours`
   bounds all three.
4. Nothing is made up for a time before the subscription was made or resumed, but for one thing: a
   subscription made after the window closed, too late for every occurrence in the range, gets the
   report of the window that had just closed when it was made, at once. Otherwise the first report
   would come up to a whole window after the day somebody subscribed.
5. Nor for a time before its schedule was changed: what the new schedule would have been due before that
   is made up for only where nothing else of the period was served (`stores.jobs` looks). Otherwise whoever
   moves Monday's report to another day that is past would get it a second time.
6. An edition that a person opened for a period is meant for everybody: every active subscription
   gets its newest occurrence in the range, however late and whenever it was made.

Each occurrence that is passed over by rule 2 or 3, or because of a pause, is a record too, in state
"skipped" with its reason. Occurrences before a subscription existed are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from hashlib import sha256
from typing import cast
from zoneinfo import ZoneInfo

from reporting_pipeline.domain.editions import edition_id
from reporting_pipeline.domain.jobs import AskedFor, JobRecord, JobState
from reporting_pipeline.domain.periods import Cadence, Period, window_start
from reporting_pipeline.domain.restatements import OnRestatement
from reporting_pipeline.domain.schedules import Occurrence, due_between, occurrences, window_of
from reporting_pipeline.domain.subscriptions import CatchUp, Subscription

# An edition opens minutes after its window closed and a sensor ticks every few seconds: that is not
# "missed" for somebody who wants nothing late.
SKIP_TOLERANCE = timedelta(hours=1)

NORMAL_PRIORITY = 0
_FOLLOWED = frozenset(
    {
        *("edition", "cadence", "subscription", "owner", "organisation", "period", "period_end_at", "report"),
        # What rights look at.
        *("trials", "sites", "kinds", "file_types", "shown", "subject", "audience"),
    }
)
RUN_NOW_PRIORITY = 10


@dataclass(frozen=True)
class PlanRules:
    """How an edition is planned."""

    by_hand: bool = False  # a person asked for this period: rule 6


@dataclass(frozen=True)
class Planned:
    """One occurrence of one subscription, and what is to become of it."""

    period: Period
    occurrence: Occurrence
    due_at: datetime  # UTC; never before the period has closed
    skipped: str = ""  # why it is not served; "" when it is


def plan_jobs(
    subscriptions: Iterable[Subscription],
    period: Period,
    now: datetime,
    rules: PlanRules = PlanRules(),
) -> Iterator[JobRecord]:
    """Job records of `period` for those of `subscriptions` that are active and of its window.

    Deterministic but for `created_at`: planning again gives records of the same ids, which the
    unique index keeps out.
    """
    for subscription in subscriptions:
        if subscription.status == "active" and window_of(subscription.schedule) is period.cadence:
            for planned in plan_period(subscription, period, now, rules):
                yield job_record(subscription, planned, now)


def plan_period(
    subscription: Subscription,
    period: Period,
    now: datetime,
    rules: PlanRules = PlanRules(),
) -> list[Planned]:
    """What becomes of each occurrence of `subscription` that belongs to `period`, by due time."""
    found = occurrences(subscription.schedule, period.end, period.next().end)
    candidates = _by_due_time(_planned(period, occurrence) for occurrence in found)
    if rules.by_hand:
        return _only_newest(candidates, now)
    alive = [each for each in candidates if each.due_at >= subscription.created_at]
    if not alive:
        return _first_report(candidates, subscription, period)
    newer_is_due = _newer_is_due(subscription, period, now)
    return _with_catch_up(subscription, alive, now, newer_is_due)


def plan_due(subscription: Subscription, since: datetime, now: datetime, timezone: str) -> list[Planned]:
    """What becomes of each occurrence due in `[since, now]`, whatever its period, by due time.

    `timezone` is the deployment's, in which the periods are. For a subscription whose `next_due_at`
    is `since`: it finds what no edition has planned, such as after a change of the schedule.
    """
    found = due_between(subscription.schedule, since, now)
    candidates = [_planned(period_of(subscription, each, timezone), each) for each in found]
    begun = subscription.rescheduled_at or subscription.created_at
    alive = [each for each in _by_due_time(candidates) if each.due_at >= begun]
    return _with_catch_up(subscription, alive, now, newer_is_due=False)


def plan_first(subscription: Subscription, now: datetime, timezone: str) -> list[Planned]:
    """What becomes of a new subscription's occurrences: from the window closed before it was made on."""
    period = Period.last_closed(window_of(subscription.schedule), subscription.created_at, timezone)
    later = plan_due(subscription, subscription.created_at, now, timezone)
    return plan_period(subscription, period, now) + [each for each in later if each.period != period]


def period_of(subscription: Subscription, occurrence: Occurrence, timezone: str) -> Period:
    """The period that an occurrence reports on: rule 1."""
    cadence = window_of(subscription.schedule)
    return Period(cadence, window_start(cadence, occurrence.local_date), timezone).previous()


def job_record(subscription: Subscription, planned: Planned, now: datetime) -> JobRecord:
    """The record of `jobs` for one planned occurrence."""
    named = subscription.filters.named()
    return {
        "_id": job_id(subscription.id, planned.period.key, planned.occurrence.key),
        "edition": edition_id(planned.period.cadence, planned.period.key),
        "cadence": planned.period.cadence.value,
        "subscription": subscription.id,
        "owner": subscription.owner,
        "organisation": subscription.organisation,
        "trials": named["trials"],
        "sites": named["sites"],
        "kinds": named["kinds"],
        "file_types": named["file_types"],
        "period": planned.period.key,
        "period_end_at": planned.period.end_at,
        "occurrence": planned.occurrence.key,
        "note": planned.occurrence.note,
        "due_at": planned.due_at,
        "priority": NORMAL_PRIORITY,
        "on_demand": False,  # True: rendered by itself, not with its edition
        "state": (JobState.SKIPPED if planned.skipped else JobState.PENDING).value,
        "error": planned.skipped or None,
        "attempts": 0,
        "report": report_id(planned.period.cadence, planned.period.key, subscription.id),
        "rendered_at": None,  # until then there is no such report
        "created_at": now,
        "completed_at": now if planned.skipped else None,
    }


def report_id(cadence: Cadence, period: str, subscription: str) -> str:
    """The document id printed on the report of a period key: the same for every rendering of it."""
    return f"rep_{sha256(f'{cadence}|{period}|{subscription}'.encode()).hexdigest()[:20]}"


def job_id(subscription: str, period: str, occurrence: str) -> str:
    """The same for the same occurrence, whoever plans it."""
    return f"job_{sha256(f'{subscription}|{period}|{occurrence}'.encode()).hexdigest()[:24]}"


def run_now_record(
    subscription: Subscription, period: Period, number: int, requested_by: str, now: datetime
) -> JobRecord:
    """The job of the `number`-th run of `period` that a person asked for: due at once, ahead of all."""
    occurrence = Occurrence(now.astimezone(ZoneInfo(subscription.schedule.timezone)).date(), now)
    key = f"run-{number}"
    return {
        **job_record(subscription, Planned(period, occurrence, now), now),
        **asked_for(requested_by, now),
        "_id": job_id(subscription.id, period.key, key),
        "occurrence": key,
        "note": "",
    }


def follow_up_record(job: JobRecord, now: datetime) -> JobRecord:
    """The job that sends the whole report after `job` sent one with omissions: due at once, and once."""
    key = f"{job['occurrence']}+whole"
    followed = {name: value for name, value in job.items() if name in _FOLLOWED}
    changed = {
        "_id": job_id(job["subscription"], job["period"], key),
        "occurrence": key,
        "follows": job["_id"],
        "note": "the whole report, after one with omissions",
        "due_at": now,
        "priority": NORMAL_PRIORITY,
        "on_demand": True,  # its edition may be over
        "state": JobState.PENDING.value,
        "error": None,
        "attempts": 0,
        "rendered_at": None,
        "created_at": now,
        "completed_at": None,
    }
    return cast("JobRecord", followed | changed)


def restatement_record(
    job: JobRecord, sha256: str, number: int, policy: OnRestatement, now: datetime
) -> JobRecord:
    """The job that brings what took the place of the file `sha256` to whoever got it by `job`: due at once.

    `number` counts the period's restatements for this subscription, from 1.
    """
    key = f"{str(job['occurrence']).partition('+')[0]}+restated-{number}"
    return {
        **follow_up_record(job, now),
        "_id": job_id(job["subscription"], job["period"], key),
        "occurrence": key,
        "note": "made again, since its data was corrected or came late",
        "restates": sha256,
        "restatement": policy.value,
        "asked_at": now,  # a snapshot older than this lacks what changed
    }


def asked_for(requested_by: str, now: datetime) -> AskedFor:
    """What a person's wish to have a job now changes in its record."""
    return {
        "due_at": now,
        "priority": RUN_NOW_PRIORITY,
        "on_demand": True,
        "requested_by": requested_by,
        "asked_at": now,
    }


def due_today(subscription: Subscription, period: Period, now: datetime) -> Planned | None:
    """The newest occurrence of `period` that is to be served by the end of the subscriber's day, if any."""
    until = end_of_day(subscription, now)
    found = (each for each in plan_period(subscription, period, now) if not each.skipped)
    return max((each for each in found if each.due_at < until), key=lambda each: each.due_at, default=None)


def end_of_day(subscription: Subscription, now: datetime) -> datetime:
    """When the subscriber's calendar shows another date (UTC)."""
    zone = ZoneInfo(subscription.schedule.timezone)
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, zone).astimezone(UTC)


# --- the rules ---------------------------------------------------------------------------------


def _planned(period: Period, occurrence: Occurrence) -> Planned:
    return Planned(period, occurrence, max(occurrence.due_at, period.end_at))


def _by_due_time(planned: Iterable[Planned]) -> list[Planned]:
    return sorted(planned, key=lambda each: (each.due_at, each.occurrence.due_at, each.occurrence.key))


def _only_newest(candidates: Sequence[Planned], now: datetime) -> list[Planned]:
    """Rule 6: the newest that is due, and what is still to come."""
    due = [each for each in candidates if each.due_at <= now]
    return [*due[-1:], *_together(each for each in candidates if each.due_at > now)]


def _first_report(candidates: Sequence[Planned], subscription: Subscription, period: Period) -> list[Planned]:
    """Rule 4: the newest occurrence, if the period was the last closed one when the subscription was made."""
    if not candidates or subscription.created_at >= period.next().end_at:
        return []
    return [replace(candidates[-1], due_at=subscription.created_at)]


def _newer_is_due(subscription: Subscription, period: Period, now: datetime) -> bool:
    """Whether an occurrence of a later period is due already, which makes this period's out of date."""
    following = period.next()
    if now < following.end_at:
        return False
    found = occurrences(subscription.schedule, following.end, following.next().end)
    return any(max(each.due_at, following.end_at) <= now for each in found)


def _with_catch_up(
    subscription: Subscription, candidates: Sequence[Planned], now: datetime, newer_is_due: bool
) -> list[Planned]:
    """Rules 2 and 3. `candidates` by due time."""
    together = _together(candidates)
    missed = [each for each in together if _is_missed(each, now)]
    newest = None if newer_is_due or not missed else missed[-1]
    return [
        replace(each, skipped=_reason_to_skip(subscription, each, now, newest))
        if _is_missed(each, now)
        else each
        for each in together
    ]


def _is_missed(each: Planned, now: datetime) -> bool:
    return not each.skipped and each.due_at <= now


def _reason_to_skip(subscription: Subscription, each: Planned, now: datetime, newest: Planned | None) -> str:
    late = now - each.due_at
    limit = timedelta(hours=subscription.lateness_hours) if subscription.lateness_hours else None
    if subscription.resumed_at is not None and each.due_at < subscription.resumed_at:
        return "the subscription was paused when it was due"
    if limit is not None and late > limit:
        return f"it came up {_in_words(late)} late; the subscription's limit is {_in_words(limit)}"
    if subscription.catch_up is CatchUp.SKIP and late > SKIP_TOLERANCE:
        return f"it came up {_in_words(late)} late, and the subscription skips what was missed"
    if subscription.catch_up is CatchUp.LATEST and each is not newest:
        by = f"that of {newest.occurrence.key}" if newest else "that of a later period"
        return f"it was missed, and a newer occurrence, {by}, is served instead"
    return ""


def _together(candidates: Iterable[Planned]) -> list[Planned]:
    """Rule 2: of several occurrences of a period due at the same moment the last one is served."""
    found: list[Planned] = []
    for each in candidates:
        if found and (found[-1].due_at, found[-1].period) == (each.due_at, each.period):
            reason = f"it was due at the same moment as that of {each.occurrence.key}: one report is sent"
            found[-1] = replace(found[-1], skipped=reason)
        found.append(each)
    return found


def _in_words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours:.0f} hours" if hours >= 2 else f"{span.total_seconds() / 60:.0f} minutes"
