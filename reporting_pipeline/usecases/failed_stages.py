"""What of a trial could not be fetched or aggregated: found, and tried again.

The dead letters of the first two stages. One of them is a result (`stores.results`) that failed for good or
as often as is tried; its reports were made without the trial, or wait. Those of rendering are jobs, those of
notifying are deliveries.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reporting_pipeline.domain.access import Action, ResourceKind, User, reach_of
from reporting_pipeline.domain.jobs import EditionState
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit, editions, results, trials
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.results import AssetResult

Stage = Literal["fetch", "aggregate"]
#: The last part of an asset's name -> its stage, as the runs are queued.
STAGES: Mapping[str, Stage] = {
    "documents": "fetch",
    "trial_dataset": "aggregate",
    "trial_media": "aggregate",
    "trial_status": "aggregate",
}
_PREFIX = "stage_"


@dataclass(frozen=True)
class FailedStage:
    id: str
    stage: Stage
    asset: str
    edition: str
    trial: str
    attempts: int
    reason: str
    at: datetime


def failed_stages(
    database: Database,
    settings: Settings,
    caller: User,
    stage: Stage | None = None,
    edition: str | None = None,
) -> list[FailedStage]:
    """By id, of the trials that are wholly open to `caller`; none for who reads no dead letters."""
    if reach_of(caller, Action.READ, ResourceKind.DEAD_LETTER) is None:
        return []
    wanted = [
        f"{cadence.value}/{asset}"
        for cadence in Cadence
        for asset, its_stage in STAGES.items()
        if stage in (None, its_stage) and (edition is None or edition.startswith(f"{cadence.value}:"))
    ]
    own = caller.entitlements
    mine = [
        trial
        for trial in trials.ids_of(database, caller.organisation)
        if own.covers_trial(trial) and own.sites_of(trial) is None and not own.own_record_only
    ]
    found = [_told(one) for one in results.given_up(database, wanted, mine, settings.max_attempts)]
    return sorted((one for one in found if edition in (None, one.edition)), key=lambda one: one.id)


def try_again(
    database: Database, settings: Settings, caller: User, identifier: str, now: datetime
) -> bool | None:
    """Forget that it failed, so that it is made at the next look. None when the caller has no such failure.

    True: its edition is open, and makes it. False: the edition is over; the next report of that period that
    somebody asks for makes it.
    """
    one = next((each for each in failed_stages(database, settings, caller) if each.id == identifier), None)
    return None if one is None else give_back(database, caller, one, now)


def give_back(database: Database, caller: User, one: FailedStage, now: datetime) -> bool | None:
    """`try_again` of one that was just found for the caller; None for who gives nothing back."""
    if reach_of(caller, Action.REQUEUE, ResourceKind.DEAD_LETTER) is None:
        return None
    named = name_of(one.id)
    if named is None or not results.forget_result(database, *named):
        return None
    details = {"stage": one.stage, "edition": one.edition}
    audit.record(
        database,
        audit.AuditAction.REQUEUED,
        caller.id,
        audit.named(one.trial),
        now,
        organisation=caller.organisation,
        details=details,
    )
    try:
        return editions.get_edition(database, one.edition).state is EditionState.OPEN
    except editions.EditionMissing:
        return False


def identifier_of(asset: str, period: str, trial: str) -> str:
    """An id for addresses: a trial's own id may hold any character."""
    name = results.result_id(asset, period, trial).encode()
    return _PREFIX + urlsafe_b64encode(name).decode().rstrip("=")


def name_of(identifier: str) -> tuple[str, str, str] | None:
    """(asset, period, trial) of an id; None when it is none."""
    text = identifier.removeprefix(_PREFIX)
    try:
        name = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (NotBase64, ValueError):
        return None
    path, _, trial = name.partition("|")
    asset, _, period = path.rpartition("/")
    return (asset, period, trial) if asset and period and trial else None


def _told(result: AssetResult) -> FailedStage:
    cadence, _, asset = result.asset.partition("/")
    return FailedStage(
        id=identifier_of(result.asset, result.period, result.item),
        stage=STAGES[asset],
        asset=result.asset,
        edition=f"{cadence}:{result.period}",
        trial=result.item,
        attempts=result.attempts,
        reason=result.reason,
        at=result.at,
    )
