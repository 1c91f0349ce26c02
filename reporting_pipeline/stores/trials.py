"""Trials as they are registered, changed and closed; `stores.documents` holds the shape of their record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, ReturnDocument

from reporting_pipeline.stores.documents import TrialInvalid, checked_trial, upsert_trial
from reporting_pipeline.stores.mongo import Database, Record


class TrialExists(ValueError):
    """A trial with this id is registered already."""


def is_closed(trial: Mapping[str, Any]) -> bool:
    return trial.get("closed_at") is not None


def get_trial(database: Database, organisation: str, trial: str) -> Record | None:
    """The organisation's trial, closed or not; None when there is none."""
    return database.trials.find_one({"_id": trial, "organisation": organisation})


def list_trials(
    database: Database,
    organisation: str,
    among: Collection[str] = (),
    after: str | None = None,
    limit: int = 50,
) -> list[Record]:
    """The organisation's trials by id; `among` empty means all of them, `after` the last id already read."""
    query: Record = {"organisation": organisation}
    conditions: Record = {"$gt": after or ""}  # texts alone: what somebody wrote by hand may have another id
    if among:
        conditions["$in"] = sorted(among)
    query["_id"] = conditions
    return list(database.trials.find(query).sort("_id", ASCENDING).limit(limit))


def ids_of(database: Database, organisation: str) -> list[str]:
    """The ids of an organisation's trials, closed ones included."""
    found = database.trials.find({"organisation": organisation}, {"_id": 1})
    return sorted(one for record in found if isinstance(one := record["_id"], str))


def organisations_with_trials(database: Database) -> list[str]:
    """The organisations that trials are registered for, described or not."""
    return sorted(one for one in database.trials.distinct("organisation") if isinstance(one, str))


def add_trial(database: Database, trial: Mapping[str, Any]) -> Record:
    """Register a trial. Raises TrialExists, or TrialInvalid that says which field is wrong."""
    if database.trials.find_one({"_id": trial["_id"]}, {"_id": 1}) is not None:
        # One answer, whoever has it: which trials others have is not told.
        raise TrialExists(f"The id {trial['_id']!r} is taken; give another one")
    return upsert_trial(database, trial)


def change_trial(database: Database, before: Record, changes: Mapping[str, Any]) -> Record:
    """The trial with `changes` of its fields; the others stay, as they are by then. Raises TrialInvalid."""
    valid = checked_trial({**before, **changes})
    return _changed(database, before, {"$set": {name: valid[name] for name in changes}})


def put_site(database: Database, before: Record, site: Mapping[str, str]) -> Record:
    """The trial with this site, new or named anew; sites that others add meanwhile stay. TrialInvalid."""
    others = [one for one in before.get("sites", []) if one["id"] != site["id"]]
    kept = checked_trial({**before, "sites": [*others, dict(site)]})["sites"][-1]
    of_trial = {"_id": before["_id"], "organisation": before["organisation"]}
    added = database.trials.update_one(
        {**of_trial, "sites.id": {"$ne": kept["id"]}}, {"$push": {"sites": kept}}
    )
    if not added.modified_count:
        database.trials.update_one({**of_trial, "sites.id": kept["id"]}, {"$set": {"sites.$": kept}})
    return database.trials.find_one(of_trial) or before


def add_sites(database: Database, before: Record, sites: Mapping[str, str]) -> Record:
    """The trial with those of `sites` (id to name) that it does not have yet. Raises TrialInvalid."""
    standing = {site["id"] for site in before.get("sites", [])}
    new = [{"id": site, "name": name} for site, name in sorted(sites.items()) if site not in standing]
    return change_trial(database, before, {"sites": [*before.get("sites", []), *new]}) if new else before


def _changed(database: Database, before: Record, change: Record) -> Record:
    found = database.trials.find_one_and_update(
        {"_id": before["_id"], "organisation": before["organisation"]},
        change,
        return_document=ReturnDocument.AFTER,
    )
    return found or before


def close_trial(database: Database, before: Record, now: datetime) -> Record:
    """Nothing is taken in any more; what was reported stays. Closing twice keeps the first instant."""
    return before if is_closed(before) else change_trial(database, before, {"closed_at": now})


def reopen_trial(database: Database, before: Record) -> Record:
    return change_trial(database, before, {"closed_at": None})


__all__ = [
    "TrialExists",
    "TrialInvalid",
    "add_sites",
    "add_trial",
    "change_trial",
    "close_trial",
    "get_trial",
    "is_closed",
    "list_trials",
    "put_site",
    "reopen_trial",
]


def trials_followed(database: Database, window: str, report_types: Collection[str]) -> frozenset[str]:
    """The trials of which an active subscription of these types reports; one that names none follows all."""
    wanted = {"report_type": {"$in": sorted(report_types)}, "window": window, "status": "active"}
    shown = {"filters.trials": 1, "organisation": 1}
    named: set[str] = set()
    whole: set[str] = set()
    for record in database.subscriptions.find(wanted, shown) if report_types else ():
        filters, organisation = record.get("filters"), record.get("organisation")
        trials = filters.get("trials") if isinstance(filters, Mapping) else None
        # A record that somebody broke by hand follows nothing, and stops nobody's tick.
        if isinstance(trials, list) and trials:
            named.update(trial for trial in trials if isinstance(trial, str))
        elif not trials and isinstance(organisation, str):
            whole.add(organisation)
    if whole:
        query = {"organisation": {"$in": sorted(whole)}}
        found = database.trials.find(query, {"_id": 1})
        named.update(one for trial in found if isinstance(one := trial["_id"], str))
    return frozenset(named)
