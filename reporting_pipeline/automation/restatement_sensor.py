"""`restatement_sensor`: finds closed periods whose documents changed after their reports were sent.

It asks for no run: it plans jobs, which `on_demand_sensor` serves as it serves everything that no edition
does. A period is left alone until nothing of it changed for a while, so that a day's corrections are one
report and one mail.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from dagster import (
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from reporting_pipeline.assets.documents import documents_fingerprint, fingerprint_of
from reporting_pipeline.assets.scope import DOCUMENTS, Scope
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.restatements import DEFAULT_ON_RESTATEMENT
from reporting_pipeline.partitions import TrialPartition, holds
from reporting_pipeline.resources import MongoResource
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.documents import newest_updates
from reporting_pipeline.stores.jobs import plan_restatements
from reporting_pipeline.stores.mongo import Database, server_time
from reporting_pipeline.stores.organisations import restatement_policy_of
from reporting_pipeline.stores.reports import StoredReport, reports_of
from reporting_pipeline.stores.results import results_of
from reporting_pipeline.stores.trials import organisations_with_trials
from reporting_pipeline.stores.users import all_organisations

LOOK_EVERY_SECONDS = 900
#: Corrections come in rows: nobody is told while they go on.
QUIET = timedelta(hours=1)
#: So long a change is looked for in reports although a snapshot has it.
REMEMBERED = timedelta(days=3)
#: Closed periods that are looked at, the newest first. What changes in older ones is told when asked for.
PERIODS: Mapping[Cadence, int] = {Cadence.DAILY: 35, Cadence.WEEKLY: 27, Cadence.MONTHLY: 13}


def restatement_sensor(scopes: Mapping[Cadence, Scope], settings: Settings) -> SensorDefinition:
    @sensor(
        name="restatement_sensor",
        minimum_interval_seconds=LOOK_EVERY_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Plans reports anew whose period's documents came late, were corrected or withdrawn.",
    )
    def restate(context: SensorEvaluationContext, mongo: MongoResource) -> Iterator[SkipReason]:
        database = mongo.database()
        now = server_time(database)
        # What changed before the first look was told otherwise, or by nobody: a deployment that comes by this
        # sensor with an upgrade does not mail everybody what happened last year.
        since = _read_cursor(context.cursor, now)
        context.update_cursor(since.isoformat())
        planned = 0
        for cadence, scope in scopes.items():
            try:
                planned += restate_closed(database, cadence, scope, settings, now, since)
            except Exception:  # one cadence's trouble must not hold up the others
                context.log.exception(f"{cadence.value} periods could not be looked at")
        yield SkipReason(f"{planned} reports are made again")

    return restate


def restate_closed(
    database: Database,
    cadence: Cadence,
    scope: Scope,
    settings: Settings,
    now: datetime,
    since: datetime | None = None,
) -> int:
    """Plan the restatements of a cadence's closed periods. Returns how many jobs were added.

    Only for what changed after `since`, where it is given.
    """
    policies = {one["_id"]: restatement_policy_of(one) for one in all_organisations(database)}
    moves = partial(_moved, database, scope, organisations_with_trials(database))
    planned, period = 0, Period.last_closed(cadence, now, settings.timezone)
    for _ in range(PERIODS[cadence]):
        if not holds(cadence, settings, now, period):
            break
        moved = moves(period, now, since)
        if moved:
            reports = {
                one.subscription: (one.sha256, _changed_at(one, moved))
                for one in reports_of(database, cadence, period.key)
                if _behind(one, moved)
            }
            planned += plan_restatements(
                database,
                cadence,
                period.key,
                reports,
                lambda one: policies.get(one, DEFAULT_ON_RESTATEMENT),
                now,
            )
        period = period.previous()
    return planned


@dataclass(frozen=True)
class _Moved:
    """Documents of a trial that changed, and have been quiet for a while."""

    at: datetime | None  # the newest change; None where no time is left
    unread: bool  # no snapshot has them yet


def _moved(
    database: Database,
    scope: Scope,
    organisations: Iterable[str],
    period: Period,
    now: datetime,
    since: datetime | None = None,
) -> dict[str, _Moved]:
    """The trials whose documents of the period, or the one before it, are other than their snapshot's, or
    changed lately: somebody's run may have taken them in since, and the others' reports are as they were.

    One request an organisation, however many trials it has; and one for a trial of which that knows nothing
    although its snapshot does.
    """
    written: dict[str, tuple[int, datetime | None]] = {}
    for organisation in organisations:
        written |= newest_updates(database, organisation, period.previous().start_at, period.end_at)
    moved: dict[str, _Moved] = {}
    for trial, result in results_of(database, scope.name(DOCUMENTS), period.key, brief=True).items():
        if not result.done:
            continue
        stands = _said(fingerprint_of(*written.get(trial, (0, None))))
        if trial not in written and stands != _said(result.input_version):
            stands = _said(documents_fingerprint(database, TrialPartition(period, trial)))
        at, unread = _time_of(stands), stands != _said(result.input_version)
        lately = at is not None and at > now - REMEMBERED
        if (unread or lately) and _is_quiet(at, now) and not _is_old(at, since):
            moved[trial] = _Moved(at, unread)
    return moved


def _behind(report: StoredReport, moved: Mapping[str, _Moved]) -> list[_Moved]:
    """What changed of a report's trials since it was made."""
    concerned = [moved[trial] for trial in report.dataset_versions if trial in moved]
    return [one for one in concerned if one.unread or (one.at is not None and one.at > report.rendered_at)]


def _changed_at(report: StoredReport, moved: Mapping[str, _Moved]) -> datetime | None:
    return max((one.at for one in _behind(report, moved) if one.at is not None), default=None)


def _read_cursor(text: str | None, now: datetime) -> datetime:
    """Since when changes are told; from now on, where there is no such time or somebody broke it by hand."""
    try:
        since = datetime.fromisoformat(text or "")
    except ValueError:
        return now
    return since if since.tzinfo is not None and since <= now else now


def _said(fingerprint: str) -> str:
    """What a fingerprint says of the documents, without the code's version: an upgrade corrects nothing."""
    return fingerprint.rpartition("/")[0]


def _time_of(said: str) -> datetime | None:
    """The newest change, as a fingerprint says it; None where no document is left or its time is none."""
    try:
        at = datetime.fromisoformat(said.partition("@")[2])
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _is_old(newest: datetime | None, since: datetime | None) -> bool:
    """Whether nothing changed after `since`; where no time is left that is not known."""
    return since is not None and newest is not None and newest <= since


def _is_quiet(newest: datetime | None, now: datetime) -> bool:
    """Whether nothing changed lately; where no time is left nothing is waited for."""
    return newest is None or newest + QUIET <= now
