"""Which run works on which partition now: a partition is made by one run at a time.

Runs may overlap: somebody asks for a report that a run of the edition has not come to yet. Each run claims
some partitions before it looks whether they are made, and holds them until its records and Dagster's events
of them are written; what another run holds it leaves for later.

`partition_claims`, one record per asset, changed by one conditional update each time:

    _id      "weekly/subscriber_reports"
    number   counts the changes; a change that was overtaken by another is tried again
    runs     run id -> the partition keys that it holds
    at       of the last change (UTC)

A run that died keeps what it held until somebody else claims it: that run is told that it is unfinished,
since files, records and events may stand in part.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo.errors import DuplicateKeyError

from reporting_pipeline.stores.heartbeats import living_runs
from reporting_pipeline.stores.mongo import Database

_Held = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Claimed:
    """What of the partitions that were asked for a run holds now; the rest is another's."""

    keys: frozenset[str]
    unfinished: frozenset[str]  # those among them that a run held which died


class PartitionClaims:
    """The partitions of one asset that one run holds. `silence`: a run without a heartbeat for so long is
    dead."""

    def __init__(self, database: Database, asset: str, run_id: str, silence: timedelta) -> None:
        self._database = database
        self._asset = asset
        self._run_id = run_id
        self._silence = silence

    def take(self, wanted: Collection[str], keep: Iterable[str], now: datetime) -> Claimed:
        """Hold `keep` and what of `wanted` no living run holds; let go of all else; `now` by the server.

        One step for all of it: of two runs that want the same partition one gets it, whenever they ask.
        """
        kept = frozenset(keep)
        while True:
            number, held = self._standing()
            others = {run: keys for run, keys in held.items() if run != self._run_id}
            living = living_runs(self._database, others, now - self._silence)
            taken = frozenset(wanted) - _all(keys for run, keys in others.items() if run in living)
            dead = {run: keys for run, keys in others.items() if run not in living}
            left = {run: keys - taken for run, keys in dead.items()}
            if self._change(number, {**others, **left, self._run_id: kept | taken}, now):
                return Claimed(taken, taken & _all(dead.values()))

    def release(self, now: datetime) -> None:
        """Let go of everything, at the end of a run that finished what it held. One that failed does not:
        what it held is unfinished."""
        self.take((), (), now)

    def _standing(self) -> tuple[int, _Held]:
        record = self._database.partition_claims.find_one({"_id": self._asset})
        if record is None:
            return 0, {}
        return record["number"], {run: frozenset(keys) for run, keys in record["runs"].items()}

    def _change(self, number: int, held: _Held, now: datetime) -> bool:
        """Write what these runs hold; False when somebody changed the record since it was `number`."""
        record = {
            "_id": self._asset,
            "number": number + 1,
            "runs": {run: sorted(keys) for run, keys in held.items() if keys},
            "at": now,
        }
        claims = self._database.partition_claims
        if number:
            return claims.replace_one({"_id": self._asset, "number": number}, record).matched_count == 1
        try:
            claims.insert_one(record)
        except DuplicateKeyError:  # somebody else began it
            return False
        return True


def _all(some: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*some)
