"""What every asset partition came to: the record that stages read to know what is done.

`asset_results`, one record per asset and partition:

    _id            "weekly/documents/2026-11-16|CDISCPILOT01"
    asset          "weekly/documents"
    period, item   "2026-11-16", "CDISCPILOT01" (a trial or a subscription)
    state          done | failed | skipped (must not be made; no failure)
    input_version  of what it was made from
    version        of what was made (done)
    detail         what later stages need, e.g. S3 keys (done)
    metadata       of its materialization, each value as Dagster serializes it (done)
    reason         for a person (failed, skipped); permanent: True when another try cannot help
    attempts       tries at the same input_version
    run_id, at     who and when (UTC)
    inputs_at      when that run read what it was made from (UTC); None where each partition's is read alone
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any

from reporting_pipeline.stores.mongo import Database, Record, find_any, put_records

DONE, FAILED, SKIPPED = "done", "failed", "skipped"


@dataclass(frozen=True)
class AssetResult:
    asset: str
    period: str
    item: str
    state: str
    input_version: str
    at: datetime
    version: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    permanent: bool = False
    attempts: int = 0
    run_id: str = ""
    inputs_at: datetime | None = None

    @property
    def done(self) -> bool:
        return self.state == DONE


def result_id(asset: str, period: str, item: str) -> str:
    return f"{asset}/{period}|{item}"


def results_of(
    database: Database, asset: str, period: str, items: Sequence[str] | None = None, brief: bool = False
) -> dict[str, AssetResult]:
    """The results of one asset and period, by trial or subscription. `brief`: without detail and metadata."""
    shown = {"detail": 0, "metadata": 0} if brief else None
    if items is None:
        found: Iterable[Record] = database.asset_results.find({"asset": asset, "period": period}, shown)
    else:
        ids = (result_id(asset, period, item) for item in items)
        found = find_any(database.asset_results, "_id", ids, None, shown)
    return {record["item"]: _result(record) for record in found}


def failed_results_of(database: Database, asset: str, period: str) -> dict[str, AssetResult]:
    """The failed ones among the results of one asset and period, without detail and metadata."""
    query = {"asset": asset, "period": period, "state": FAILED}
    found = database.asset_results.find(query, {"detail": 0, "metadata": 0})
    return {record["item"]: _result(record) for record in found}


def given_up(
    database: Database, assets: Sequence[str], items: Collection[str], most_attempts: int
) -> list[AssetResult]:
    """The failed results that nothing tries again, of some trials (or subscriptions), by id; brief.

    Those are the permanent ones, and those that were tried `most_attempts` times at the same input.
    """
    over: Record = {"$or": [{"permanent": True}, {"attempts": {"$gte": most_attempts}}]}
    found: list[Record] = []
    for asset in assets:
        query = {"asset": asset, "state": FAILED, "item": {"$in": list(items)}, **over}
        found += database.asset_results.find(query, {"detail": 0, "metadata": 0})
    return [_result(record) for record in sorted(found, key=itemgetter("_id"))]


def save_results(database: Database, results: Iterable[AssetResult]) -> None:
    """Write results in a few requests; the attempts at an unchanged input are counted on."""
    put_records(database.asset_results, [_record(result) for result in results])


def forget_result(database: Database, asset: str, period: str, item: str) -> bool:
    """Forget that a partition was made, because what it made is gone. The next look asks for it again."""
    found = database.asset_results.delete_one({"_id": result_id(asset, period, item)})
    return found.deleted_count == 1


def _record(result: AssetResult) -> Record:
    return {
        "_id": result_id(result.asset, result.period, result.item),
        "asset": result.asset,
        "period": result.period,
        "item": result.item,
        "state": result.state,
        "input_version": result.input_version,
        "version": result.version,
        "detail": dict(result.detail),
        "metadata": dict(result.metadata),
        "reason": result.reason,
        "permanent": result.permanent,
        "attempts": result.attempts,
        "run_id": result.run_id,
        "at": result.at,
        "inputs_at": result.inputs_at,
    }


def _result(record: Record) -> AssetResult:
    return AssetResult(**{name: record[name] for name in AssetResult.__dataclass_fields__ if name in record})
