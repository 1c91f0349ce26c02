"""All that is kept about one person: given out as a file, or taken away everywhere.

What is personal: the user's record, the names and recipients in their subscriptions, their addresses
in other people's subscriptions, deliveries and everything that came of them, and the reports made
for them; all of it inside one organisation, by whole addresses in any spelling. That somebody opted
out, and that an address is suppressed, survives as a keyed hash. The audit log holds ids and marks only
(`stores.audit`); it stays, and stays valid, while what its ids point to is emptied. Trial documents are
not the user's data and are not touched.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path
from typing import Any

from reporting_pipeline.domain.access import ResourceKind, User, may_have
from reporting_pipeline.domain.addresses import ERASED, holds, same_mailbox, without
from reporting_pipeline.domain.entitlements import Entitlements, Extent
from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.domain.masked_recipients import shown
from reporting_pipeline.domain.own_records import event_shown, rights_shown
from reporting_pipeline.domain.sealing import SealBroken
from reporting_pipeline.domain.subscriptions import name_key
from reporting_pipeline.stores.lifecycle import cancel_jobs
from reporting_pipeline.stores.mongo import Database, Record, find_any
from reporting_pipeline.stores.objects import ObjectMissing, ObjectStore
from reporting_pipeline.stores.person_keys import destroy
from reporting_pipeline.stores.report_files import ReportFiles
from reporting_pipeline.stores.scope import Scoped
from reporting_pipeline.stores.subscriptions import LIVE
from reporting_pipeline.stores.suppressions import forget_opt_out, hash_suppression

BATCH = 500
# Not searched for the address: what cannot hold it (audit), what is the trial's (documents, trials),
# and what is handled field by field.
_NOT_SWEPT = frozenset(
    {
        *("audit", "audit_heads", "documents", "trials", "users", "organisations", "rate_counters"),
        *("suppressions", "unsubscribes", "address_marks"),
    }
)


class UserUnknown(KeyError):
    """No such user (in this organisation)."""


@dataclass(frozen=True)
class Erasure:
    """What was taken away, in numbers; safe to put into the audit log."""

    subscriptions: int = 0  # ended
    recipients: int = 0  # places in other people's subscriptions
    jobs: int = 0  # cancelled
    deliveries: int = 0  # emptied
    reports: int = 0
    objects: int = 0  # files deleted
    other_records: int = 0  # in which the address stood elsewhere


# --- export ------------------------------------------------------------------------------------


def export_user(
    database: Database,
    objects: ObjectStore,
    user_id: str,
    now: datetime,
    caller: User | None = None,
    ring: Keyring | None = None,
) -> bytes:
    """A zip with all about a user: one JSON file per kind of record, and their reports under `reports/`.

    A report goes out only where the user and the `caller` (None: the user) may have it today, by what it
    was made from; the others are listed in `withheld.json`, and those whose file is gone in
    `missing_files.json`. `ring` opens what is sealed (`person_keys.wrapping_keys`). Raises UserUnknown.
    """
    user = _user(database, user_id)
    records = _records_about(database, user)
    readers = [User.from_record(user), *([caller] if caller is not None else [])]
    records["reports"], withheld = _readable(records["reports"], readers)
    if caller is not None and caller.id != user_id:
        withheld += _keep_open_ones(Scoped(database, caller), records)
        records["user"] = [rights_shown(caller, one, user_id) for one in records["user"]]
        records["audit"] = [event_shown(caller, one) for one in records["audit"]]
    files = ReportFiles(database, objects, ring)
    missing: list[str] = []
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in records.items():
            told = [_without_whole_trials(_with_short_urls(row)) for row in rows]
            _add(archive, f"{name}.json", _json(told), now)
        for report in records["reports"]:
            try:
                body = files.get(report["key"])
            except (ObjectMissing, SealBroken):
                missing.append(report["_id"])
                continue
            _add(archive, f"reports/{_file_name(report)}", body, now)
        _add(archive, "missing_files.json", _json(missing), now)
        _add(archive, "withheld.json", _json(withheld), now)
    return buffer.getvalue()


def _with_short_urls(record: Record) -> Record:
    """A record as it goes out: the addresses of webhooks are keys that their owner has, and nobody's data."""
    told = dict(record)
    if isinstance(told.get("recipient"), str):
        told["recipient"] = shown(told["recipient"])
    if isinstance(told.get("recipients"), list):
        told["recipients"] = [
            {**one, "value": shown(str(one["value"]))} if isinstance(one, dict) and "value" in one else one
            for one in told["recipients"]
        ]
    return told


def _without_whole_trials(record: Record) -> Record:
    """A job or report without what was out of the usual in its trials: figures of all subjects and sites."""
    told = {name: value for name, value in record.items() if name != "unusual"}
    if isinstance(awaiting := told.get("awaiting_release"), dict):
        told["awaiting_release"] = {**awaiting, "reasons": []}
    return told


def _readable(reports: Sequence[Record], readers: Sequence[User]) -> tuple[list[Record], list[Record]]:
    """(what all of `readers` may have, what is withheld and why)."""
    given, withheld = [], []
    for report in reports:
        extent = Extent.of_report(report)
        decisions = [may_have(reader, report["organisation"], extent) for reader in readers]
        refused = next((each for each in decisions if not each), None)
        if report.get("awaiting_release"):
            names = {name: report.get(name) for name in ("_id", "subscription", "cadence", "period")}
            withheld.append({**names, "reason": "it waits until somebody releases it"})
        elif refused is None:
            given.append(report)
        else:
            names = {name: report.get(name) for name in ("_id", "subscription", "cadence", "period")}
            withheld.append({**names, "reason": "it shows data that is not open any more"})
    return given, withheld


#: What somebody else's export holds as far as its reader may read it anyway.
_SCOPED = {
    "subscriptions": ResourceKind.SUBSCRIPTION,
    "received_from": ResourceKind.SUBSCRIPTION,
    "jobs": ResourceKind.JOB,
    "deliveries": ResourceKind.DELIVERY,
}


def _keep_open_ones(mine: Scoped, records: dict[str, list[Record]]) -> list[Record]:
    """Leave what is open to the reader in `records`; returns what was taken out, by id."""
    taken = []
    for name, kind in _SCOPED.items():
        shown = mine.among(kind, [row["_id"] for row in records[name]])
        taken += [
            {"_id": row["_id"], "reason": "it is of trials that are not open to you"}
            for row in records[name]
            if row["_id"] not in shown
        ]
        records[name] = [row for row in records[name] if row["_id"] in shown]
    return taken


def _records_about(database: Database, user: Record) -> dict[str, list[Record]]:
    user_id, address = user["_id"], user.get("email")
    subscriptions = list(database.subscriptions.find({"owner": user_id}).sort("_id", 1))
    ids = [each["_id"] for each in subscriptions]
    to_user: list[Record] = [{"user": user_id}]
    if address:
        to_user.append({"recipient": address, "organisation": user["organisation"]})
    deliveries = list(database.deliveries.find({"$or": to_user}).sort("_id", 1))
    return {
        "user": [user],
        "subscriptions": subscriptions,
        "received_from": list(
            database.subscriptions.find(
                {**_same_place(user), "recipients.value": {"$in": [user_id, address]}},
                {"name": 1, "organisation": 1, "schedule": 1, "status": 1},
            )
        ),
        "jobs": list(database.jobs.find({"subscription": {"$in": ids}, "owner": user_id}).sort("_id", 1)),
        "reports": list(database.reports.find({"subscription": {"$in": ids}}).sort("_id", 1)),
        "deliveries": deliveries,
        "unsubscribes": _unsubscribes(database, user["organisation"], [address] if address else []),
        "audit": list(
            database.audit.find(
                {"organisation": user["organisation"], "$or": [{"actor": user_id}, {"subject": user_id}]}
            ).sort("seq", 1)
        ),
    }


def _add(archive: zipfile.ZipFile, name: str, body: bytes, now: datetime) -> None:
    # The date is that of the export, not of this machine's clock.
    info = zipfile.ZipInfo(name, date_time=now.timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, body)


def _file_name(report: Mapping[str, Any]) -> str:
    """Made of ids alone: a name from a record could climb out of the folder it is unpacked into."""
    parts = (str(report[field]) for field in ("cadence", "period", "_id", "format"))
    cadence, period, identifier, extension = (re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in parts)
    return f"{cadence}-{period}-{identifier}.{extension}"


def _json(rows: Sequence[Any]) -> bytes:
    def plain(value: Any) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    return json.dumps(rows, indent=2, ensure_ascii=False, default=plain).encode()


# --- erasure -----------------------------------------------------------------------------------


def erase_user(database: Database, objects: ObjectStore, user_id: str, now: datetime) -> Erasure:
    """Take a person's data away from every collection and object. May be repeated, also after a crash.

    The user is deactivated first, so that nothing new is made or sent meanwhile, and emptied last,
    so that a second call knows what to look for. Raises UserUnknown. The caller notes it in the
    audit log, with the numbers returned.
    """
    user = _user(database, user_id)
    database.users.update_one({"_id": user_id}, {"$set": {"active": False, "updated_at": now}})
    addresses = _addresses(database, user)
    owned = [row["_id"] for row in database.subscriptions.find({"owner": user_id}, {"_id": 1})]

    # In this order: what is planned between the two is found by the second.
    subscriptions = _end_subscriptions(database, owned, now)
    jobs = sum(cancel_jobs(database, each, "the user was erased", now, "erased") for each in owned)
    recipients = _leave_other_subscriptions(database, user, addresses, now)
    deliveries = _empty_deliveries(database, user["organisation"], user_id, addresses, now)
    destroy(database, user["organisation"], user_id, now)  # what is sealed opens nowhere any more
    files, reports = _delete_reports(database, objects, owned)
    database.idempotency.delete_many({"principal": user_id})
    database.console_sessions.delete_many({"user": user_id})
    database.address_marks.delete_many({"organisation": user["organisation"], "address": {"$in": addresses}})
    for row in _unsubscribes(database, user["organisation"], addresses):
        forget_opt_out(database, row)
    for address in addresses:
        shared = _is_elsewhere(database, user, address)
        hash_suppression(database, user["organisation"], address, shared=shared)
    others = _sweep(database, user, frozenset(addresses))
    _empty_user(database, user, now)
    return Erasure(subscriptions, recipients, jobs, deliveries, reports, files, others)


def _user(database: Database, user_id: str) -> Record:
    user = database.users.find_one({"_id": user_id})
    if user is None:
        raise UserUnknown(user_id)
    return user


def addresses_of(database: Database, user_id: str) -> list[str]:
    """Every address that is this user's, now or before, or was asked for; not what is another's now."""
    user = database.users.find_one({"_id": user_id})
    if user is None:
        return []
    asked = (user.get("email_asked") or {}).get("address")
    return _addresses(database, user, [asked] if asked else [])


def _addresses(database: Database, user: Record, more: Sequence[str] = ()) -> list[str]:
    if user.get("erased_at"):
        return []
    given = [user.get("email"), *(user.get("former_emails") or ()), *more]
    own = {address for each in given if each and (address := same_mailbox(str(each)))}
    taken = {
        row["email"]
        for row in database.users.find(
            {"organisation": user["organisation"], "email": {"$in": sorted(own)}}, {"email": 1}
        )
        if row["_id"] != user["_id"]
    }
    return sorted(own - taken)


def _is_elsewhere(database: Database, user: Record, address: str) -> bool:
    """Whether another organisation has a user with this address: what is theirs stays."""
    query = {"email": address, "organisation": {"$ne": user["organisation"]}}
    return database.users.find_one(query, {"_id": 1}) is not None


def _unsubscribes(database: Database, organisation: str, addresses: Sequence[str]) -> list[Record]:
    """The opt-outs of these addresses from subscriptions of the organisation."""
    found = [
        row for row in database.unsubscribes.find() if same_mailbox(str(row.get("recipient"))) in addresses
    ]
    own = {
        row["_id"]
        for row in find_any(
            database.subscriptions,
            "_id",
            (row["subscription"] for row in found),
            {"organisation": organisation},
            {"_id": 1},
        )
    }
    return [row for row in found if row["subscription"] in own]


def _end_subscriptions(database: Database, owned: Sequence[str], now: datetime) -> int:
    changed = database.subscriptions.update_many(
        {"_id": {"$in": list(owned)}},
        {
            "$set": {
                "status": "ended",
                "next_due_at": None,
                "name": ERASED,
                "name_key": name_key(ERASED),
                "description": "",
                "recipients": [],
                "parameters": {},
                "updated_at": now,
            },
            "$inc": {"version": 1},
        },
    )
    return changed.modified_count


def _leave_other_subscriptions(
    database: Database, user: Record, addresses: Sequence[str], now: datetime
) -> int:
    """Out of the recipients of others. One left with nobody is paused: its owner did not ask for it."""
    left = 0
    for row in database.subscriptions.find({"recipients.value": {"$exists": True}, **_same_place(user)}):
        kept = [each for each in row["recipients"] if not _is_theirs(each, user["_id"], addresses)]
        if len(kept) == len(row["recipients"]):
            continue
        change: Record = {"recipients": kept, "updated_at": now}
        if not kept and row["status"] in LIVE:
            change |= {"status": "paused", "next_due_at": None, "paused_until": None}
        answer = database.subscriptions.update_one(
            {"_id": row["_id"], "version": row["version"]}, {"$set": change, "$inc": {"version": 1}}
        )
        if answer.modified_count:
            left += len(row["recipients"]) - len(kept)
        else:  # changed meanwhile; the sweep at the end takes what is still there
            gone = [each["value"] for each in row["recipients"] if each not in kept]
            database.subscriptions.update_one(
                {"_id": row["_id"]},
                {"$pull": {"recipients": {"value": {"$in": gone}}}, "$inc": {"version": 1}},
            )
        if not kept:
            cancel_jobs(database, row["_id"], "its only recipient was erased", now, "paused")
    return left


def _is_theirs(recipient: Mapping[str, Any], user_id: str, addresses: Sequence[str]) -> bool:
    value = str(recipient.get("value"))
    return value == user_id or same_mailbox(value) in addresses


def _same_place(user: Record) -> Record:
    return {"organisation": user["organisation"], "owner": {"$ne": user["_id"]}}


def _empty_deliveries(
    database: Database, organisation: str, user_id: str, addresses: Sequence[str], now: datetime
) -> int:
    """The record stays for the counts; the recipient becomes one of its own, as the unique index asks."""
    query: Record = {"organisation": organisation, "erased_at": {"$exists": False}}
    emptied = 0
    for row in database.deliveries.find(query, batch_size=BATCH):
        if row.get("user") != user_id and same_mailbox(str(row.get("recipient"))) not in addresses:
            continue
        waiting = row.get("state") in ("pending", "unknown")
        change: Record = {
            "recipient": f"erased:{row['_id']}",
            "address": "",
            "moved_from": [],
            "user": None,
            "error": None,
            "attempts": [{**attempt, "error": None} for attempt in row.get("attempts") or []],
            "erased_at": now,
        }
        if waiting:
            change |= {"state": "suppressed", "error": "the user was erased", "next_attempt_at": None}
            change |= {"settled_at": now, "lease_token": None, "lease_until": None}
        emptied += database.deliveries.update_one({"_id": row["_id"]}, {"$set": change}).modified_count
        database.delivery_events.delete_many({"delivery": row["_id"]})
    return emptied


def _delete_reports(database: Database, objects: ObjectStore, owned: Sequence[str]) -> tuple[int, int]:
    """(files deleted, records deleted). Older renderings stand under the same prefix and go too."""
    files = records = 0
    for report in database.reports.find({"subscription": {"$in": list(owned)}}):
        prefix = f"reports/{report['cadence']}/{report['period']}/{report['subscription']}/"
        for key in {report["key"], *objects.keys(prefix)}:
            objects.delete_versions(key)
            files += 1
        # The file first: a record without a file can be looked for again, the reverse cannot.
        records += database.reports.delete_one({"_id": report["_id"]}).deleted_count
    return files, records


def _sweep(database: Database, user: Record, addresses: frozenset[str]) -> int:
    """Take the addresses out of wherever else a text holds them: stored answers, alerts, reasons, events.

    Whole addresses, in any spelling. Records of another organisation stay, and so do those of none in
    particular that speak of an address which another organisation has, too.
    """
    shared = frozenset(address for address in addresses if _is_elsewhere(database, user, address))
    changed = 0
    for name in sorted(set(database.list_collection_names()) - _NOT_SWEPT):
        if name.startswith("system."):
            continue
        for row in database[name].find({}, batch_size=BATCH):
            place = row.get("organisation", None)
            if place is None and name == "idempotency":
                place = _organisation_of(database, str(row.get("principal")))
            wanted = addresses if place == user["organisation"] else addresses - shared
            if place not in (None, user["organisation"]) or not wanted:
                continue
            changed += _clean(database, name, row, wanted)
    return changed


def _clean(database: Database, name: str, row: Record, addresses: frozenset[str]) -> int:
    identifier = row.pop("_id")
    if isinstance(identifier, str) and holds(identifier, addresses):
        return database[name].delete_one({"_id": identifier}).deleted_count
    cleaned = {field: _without(value, addresses) for field, value in row.items()}
    change = {field: value for field, value in cleaned.items() if value != row[field]}
    if not change:
        return 0
    if name == "idempotency":  # half an answer is none
        return database[name].delete_one({"_id": identifier}).deleted_count
    # Only the fields concerned: a worker may be moving the record's state at this moment.
    return database[name].update_one({"_id": identifier}, {"$set": change}).modified_count


def _organisation_of(database: Database, user_id: str) -> str | None:
    found = database.users.find_one({"_id": user_id}, {"organisation": 1})
    return str(found["organisation"]) if found else None


def _without(value: Any, addresses: frozenset[str]) -> Any:
    if isinstance(value, str):
        return without(value, addresses)
    if isinstance(value, bytes):
        return without(value.decode("utf-8", "surrogateescape"), addresses).encode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {without(str(key), addresses): _without(inner, addresses) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without(inner, addresses) for inner in value]
    return value


def _empty_user(database: Database, user: Record, now: datetime) -> None:
    """The id stays as the pseudonym that the audit log and the jobs speak of."""
    database.users.replace_one(
        {"_id": user["_id"]},
        {
            "organisation": user["organisation"],
            "name": "",
            "email": f"{user['_id'].lower()}@erased.invalid",
            "roles": [],
            **Entitlements().as_record(),
            "timezone": "UTC",
            "active": False,
            "erased_at": user.get("erased_at") or now,
        },
    )


def forget_mails(folder: Path, addresses: Collection[str]) -> int:
    """Delete the mails to these addresses (normal spelling), in any spelling. Returns how many."""
    if not addresses or not folder.is_dir():
        return 0
    gone = 0
    for path in folder.glob("*.eml"):
        try:
            with path.open("rb") as file:
                headers = BytesHeaderParser(policy=default).parse(file)
            written = " ".join(str(headers.get(name, "")) for name in ("To", "Cc", "Bcc"))
        except (OSError, ValueError):
            continue
        if holds(written, addresses):
            path.unlink(missing_ok=True)
            gone += 1
    return gone
