"""Users and organisations: who there is, and which addresses may receive reports.

A user's e-mail address is kept in its normal spelling (`domain.access.normal_address`), which makes
the unique index (organisation, email) mean one user per mailbox.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import uuid4

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from reporting_pipeline.domain.access import (
    Decision,
    Role,
    User,
    may_be_recipient,
    may_have,
    normal_address,
)
from reporting_pipeline.domain.addresses import without_detail
from reporting_pipeline.domain.entitlements import ALL, Audience, Entitlements, Extent
from reporting_pipeline.domain.schedules import checked_timezone
from reporting_pipeline.domain.subscriptions import Recipient, name_key
from reporting_pipeline.stores.mongo import Database, Record, find_any, parts

_log = logging.getLogger(__name__)

LOOKED_THROUGH = 2_000  # people, for a part of a name

CHANGEABLE = frozenset(
    {"name", "email", "roles", "entitlements", "timezone", "language", "combine_minutes", "active"}
)


class AddressTaken(ValueError):
    """Another user of the organisation has this address."""


class UserMissing(KeyError):
    """No such user in this organisation."""


def new_user_id() -> str:
    return f"usr_{uuid4().hex[:24]}"


def get_user(database: Database, user_id: str, organisation: str | None = None) -> User | None:
    """The user, also a deactivated one; None when there is none (in `organisation`, when given)."""
    query: Record = {"_id": user_id}
    if organisation is not None:
        query["organisation"] = organisation
    record = database.users.find_one(query)
    return User.from_record(record) if record else None


def last_of_audience(
    database: Database, organisation: str, audience: Audience, but: Collection[str] = ()
) -> User | None:
    """The last active subscriber by id whose reports are written for `audience`, and who is none of `but`;
    None where there is none.
    """
    query: Record = {
        "organisation": organisation,
        "audience": audience.value,
        "active": True,
        "roles": [Role.SUBSCRIBER.value],
        "_id": {"$nin": sorted(but)},
    }
    record = database.users.find_one(query, sort=[("_id", -1)])
    return User.from_record(record) if record else None


def user_by_address(database: Database, organisation: str, address: str) -> User | None:
    """The user with this address in any spelling. ValueError for what is no address."""
    record = database.users.find_one({"organisation": organisation, "email": normal_address(address)})
    return User.from_record(record) if record else None


def called(database: Database, organisation: str, typed: str, limit: int) -> list[str]:
    """The ids of the users who are meant: by an id or an address, or else by a part of a name in either case.

    At most `limit`, by id, of the first LOOKED_THROUGH of the organisation; deactivated ones too.
    """
    if get_user(database, typed, organisation) is not None:
        return [typed]
    with suppress(ValueError):
        one = user_by_address(database, organisation, typed)
        return [one.id] if one else []
    rows = database.users.find({"organisation": organisation}, {"name": 1}).limit(LOOKED_THROUGH)
    key = name_key(typed)
    return sorted(row["_id"] for row in rows if key in name_key(str(row.get("name") or "")))[:limit]


def has_admin(database: Database, organisation: str) -> bool:
    """Whether an active user of the organisation is an admin."""
    admins = {"organisation": organisation, "roles": Role.ADMIN.value, "active": True}
    return database.users.find_one(admins, {"_id": 1}) is not None


def list_users(
    database: Database, organisation: str, after: str | None = None, limit: int = 50
) -> list[User]:
    """One page of an organisation's users by id, deactivated ones too."""
    query: Record = {"organisation": organisation, "erased_at": {"$exists": False}}
    if after is not None:
        query["_id"] = {"$gt": after}
    return [User.from_record(record) for record in database.users.find(query).sort("_id", 1).limit(limit)]


def all_of_organisation(database: Database, organisation: str) -> list[User]:
    """Everybody of an organisation who was not erased, by id."""
    query: Record = {"organisation": organisation, "erased_at": {"$exists": False}}
    return [User.from_record(record) for record in database.users.find(query).sort("_id", 1)]


def who_left(database: Database, organisation: str, limit: int = 1_000) -> list[str]:
    """The ids of an organisation's deactivated users."""
    query = {"organisation": organisation, "active": {"$ne": True}}
    return [record["_id"] for record in database.users.find(query, {"_id": 1}).sort("_id", 1).limit(limit)]


def users_behind(database: Database, addresses: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Whose addresses these are: (organisation, normal address) -> user id, deactivated users too.

    `addresses` are (organisation, address in any spelling); what is no address is nobody's.
    """
    wanted: dict[str, set[str]] = {}
    for organisation, address in addresses:
        with suppress(ValueError):
            wanted.setdefault(organisation, set()).add(normal_address(address))
    found: dict[tuple[str, str], str] = {}
    for organisation, every in wanted.items():
        for some in parts(every):
            # The organisation first: some servers look only the first condition up that has an index.
            query = {"organisation": organisation, "email": {"$in": some}}
            found |= {
                (organisation, user["email"]): user["_id"]
                for user in database.users.find(query, {"email": 1})
            }
    return found


def readers_behind(database: Database, addresses: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Whose rights are asked of what goes to these addresses; as `users_behind`, and of name+detail, name's.

    Of somebody who has that very address it is theirs.
    """
    wanted: dict[tuple[str, str], tuple[str, str]] = {}
    for organisation, address in addresses:
        with suppress(ValueError):
            written = normal_address(address)
            wanted[organisation, written] = organisation, without_detail(written)
    found = users_behind(database, {*wanted, *wanted.values()})
    reader = {written: found.get(written) or found.get(mailbox) for written, mailbox in wanted.items()}
    return {written: user for written, user in reader.items() if user is not None}


def create_user(
    database: Database,
    organisation: str,
    email: str,
    now: datetime,
    *,
    name: str = "",
    roles: Sequence[str] = ("subscriber",),
    entitlements: Entitlements | None = None,
    timezone: str = "UTC",
    language: str = "",
    combine_minutes: int = 0,
    user_id: str | None = None,
) -> User:
    """A new active user, who sees nothing unless `entitlements` say so.

    Raises AddressTaken, or ValueError for a bad address or timezone.
    """
    record: Record = {
        "_id": user_id or new_user_id(),
        "organisation": organisation,
        "name": name,
        "email": normal_address(email),
        "roles": sorted(set(roles)),
        **(entitlements or Entitlements()).as_record(),
        "timezone": checked_timezone(timezone),
        "language": language,
        "combine_minutes": combine_minutes,
        "active": True,
        "created_at": now,
        "updated_at": now,
    }
    try:
        database.users.insert_one(record)
    except DuplicateKeyError:
        raise AddressTaken("a user of this organisation has this address or id") from None
    return User.from_record(record)


def change_user(
    database: Database, organisation: str, user_id: str, changes: Mapping[str, Any], now: datetime
) -> User:
    """Set the given fields of CHANGEABLE. Raises UserMissing, AddressTaken, or ValueError."""
    unknown = sorted(set(changes) - CHANGEABLE)
    if unknown:
        raise ValueError(f"{unknown[0]} cannot be changed; changeable are {', '.join(sorted(CHANGEABLE))}")
    values = dict(changes)
    if "email" in values:
        values["email"] = normal_address(values["email"])
    if "timezone" in values:
        values["timezone"] = checked_timezone(values["timezone"])
    if "roles" in values:
        values["roles"] = sorted(set(values["roles"]))
    if "entitlements" in values:
        values |= values.pop("entitlements").as_record()
    query = {"_id": user_id, "organisation": organisation, "erased_at": {"$exists": False}}
    change: Record = {"$set": {**values, "updated_at": now}}
    before = database.users.find_one(query, {"email": 1})
    if before is not None and values.get("email", before.get("email")) != before.get("email"):
        change["$addToSet"] = {"former_emails": before["email"]}  # still theirs when they are erased
    try:
        record = database.users.find_one_and_update(
            query,
            change,
            return_document=ReturnDocument.AFTER,
        )
    except DuplicateKeyError:
        raise AddressTaken("another user of this organisation has this address") from None
    if record is None:
        raise UserMissing(user_id)
    return User.from_record(record)


_FIRST_FORM: Record = {"audience": {"$exists": False}, "erased_at": {"$exists": False}}


def without_entitlements(database: Database) -> int:
    """How many records of users are of the form in which no trials were all of them."""
    return database.users.count_documents(_FIRST_FORM)


def say_entitlements(database: Database, now: datetime) -> int:
    """Write out what records of the first form meant: there no trials were all of them. Returns how many.

    Only records that do not say an audience are of that form, so a second call changes nothing, and
    nobody whose trials were withdrawn since is opened anything.
    """
    meant = {"sites": [], "subject": "", "audience": Audience.MONITOR.value, "updated_at": now}
    named = database.users.update_many({**_FIRST_FORM, "trials.0": {"$exists": True}}, {"$set": meant})
    everything = database.users.update_many(
        {**_FIRST_FORM, "$or": [{"trials": {"$exists": False}}, {"trials": None}, {"trials": []}]},
        {"$set": {**meant, "trials": ALL}},
    )
    return named.modified_count + everything.modified_count


def forget_entitlements(database: Database, now: datetime) -> int:
    """Back to the first form. Returns how many changed.

    Whoever sees less than it can say (no trial, some sites, an own record, an audience) would see more in
    it, and is deactivated.
    """
    said: Record = {"audience": {"$exists": True}, "erased_at": {"$exists": False}}
    gone = {"sites": "", "subject": "", "audience": ""}
    less: Record = {
        "$or": [{"trials": []}, {"sites.0": {"$exists": True}}, {"audience": {"$ne": Audience.MONITOR.value}}]
    }
    closed = database.users.update_many(
        {**said, **less}, {"$set": {"active": False, "updated_at": now}, "$unset": gone}
    )
    everything = database.users.update_many(
        {**said, "trials": ALL}, {"$set": {"trials": [], "updated_at": now}, "$unset": gone}
    )
    named = database.users.update_many(said, {"$set": {"updated_at": now}, "$unset": gone})
    return closed.modified_count + everything.modified_count + named.modified_count


# --- organisations -----------------------------------------------------------------------------


def get_organisation(database: Database, organisation: str) -> Record:
    """{_id, name, allowed_domains}; one that nobody has described allows no domain."""
    found = database.organisations.find_one({"_id": organisation})
    return found or {"_id": organisation, "name": organisation, "allowed_domains": []}


def all_organisations(database: Database) -> list[Record]:
    """Every organisation that somebody described, as it is stored."""
    return list(database.organisations.find())


def deactivate_all(database: Database, organisation: str, now: datetime) -> int:
    """Deactivate everybody of an organisation. Returns how many were active."""
    changed = database.users.update_many(
        {"organisation": organisation, "active": True}, {"$set": {"active": False, "updated_at": now}}
    )
    return changed.modified_count


def users_by_id(database: Database, ids: Iterable[str]) -> dict[str, User]:
    """Those of `ids` that exist, of any organisation: for the pipeline alone.

    One whose record somebody broke by hand is said and left out: they may have nothing.
    """
    found = {}
    for row in find_any(database.users, "_id", ids):
        try:
            found[row["_id"]] = User.from_record(row)
        except (LookupError, TypeError, ValueError, AttributeError):
            _log.error("user %s is not valid and is passed over", row["_id"], exc_info=True)
    return found


def _domain(text: str) -> str:
    try:
        return normal_address(f"x@{text}").partition("@")[2]
    except ValueError:
        raise ValueError(f"{text!r} is no domain of addresses, such as trials.example") from None


def save_organisation(
    database: Database, organisation: str, name: str, allowed_domains: Iterable[str] = ()
) -> None:
    """Describe an organisation. ValueError for what is no domain."""
    domains = sorted({_domain(one) for one in allowed_domains})
    database.organisations.update_one(
        {"_id": organisation}, {"$set": {"name": name, "allowed_domains": domains}}, upsert=True
    )


def trials_of(database: Database, organisation: str, ids: Collection[str] = ()) -> list[Record]:
    """The organisation's `trials` records, by id; with `ids` only those of them."""
    # The id first: some servers look only the first condition up that has an index.
    query: Record = {"_id": {"$in": list(ids)}} if ids else {}
    return list(database.trials.find(query | {"organisation": organisation}).sort("_id", 1))


def check_recipients(
    database: Database,
    organisation: str,
    recipients: Sequence[Recipient],
    active_ids: Collection[str] = (),
) -> list[tuple[int, Decision]]:
    """(position, refusal) of each recipient the organisation may not send to; [] when all are good.

    `active_ids` are users known to be active and of the organisation: they are not looked up again.
    """
    known_ids = set(active_ids)
    ids = [one.value for one in recipients if one.type == "user" and one.value not in known_ids]
    addresses = [address for each in recipients if (address := _address_or_none(each))]
    elsewhere = any(one.type != "user" for one in recipients)
    record = get_organisation(database, organisation) if elsewhere else {}
    known_ids |= _of_active(database, organisation, "_id", ids)
    known_addresses = _of_active(database, organisation, "email", addresses)
    decisions = (may_be_recipient(each, record, known_ids, known_addresses) for each in recipients)
    return [(position, decision) for position, decision in enumerate(decisions) if not decision]


def without_right(
    database: Database, organisation: str, extent: Extent, recipients: Sequence[Recipient]
) -> list[tuple[int, Decision]]:
    """(position, refusal) of the recipients who are users and may not have what shows `extent`.

    An address is its user's, deactivated ones too. What somebody sees instead is not told.
    """
    named = {place: one.value for place, one in enumerate(recipients) if one.type == "user"}
    written = {place: address for place, one in enumerate(recipients) if (address := _address_or_none(one))}
    behind = readers_behind(database, ((organisation, address) for address in written.values()))
    for place, address in written.items():
        if (organisation, address) in behind:
            named[place] = behind[organisation, address]
    people = users_by_id(database, set(named.values()))
    return [
        (place, _right_of(people.get(user), organisation, extent))
        for place, user in sorted(named.items())
        if not _right_of(people.get(user), organisation, extent)
    ]


def _right_of(user: User | None, organisation: str, extent: Extent) -> Decision:
    if user is None or user.organisation != organisation or not user.active:
        return Decision(False, "is no active user of the organisation")
    if not may_have(user, organisation, extent):
        return Decision(False, "may not see everything that this report shows; ask for fewer trials or sites")
    return Decision(True)


def _of_active(database: Database, organisation: str, field: str, values: Sequence[str]) -> set[str]:
    """Those of `values` that a `field` of an active user holds.

    One field a query, and nothing that is not in its index: with `active` or an `$or` in the filter some
    servers read every user of the organisation.
    """
    if not values:
        return set()
    found = database.users.find(
        {"organisation": organisation, field: {"$in": list(values)}}, {field: 1, "active": 1}
    )
    return {str(user[field]) for user in found if user.get("active") is True}


def _address_or_none(recipient: Recipient) -> str | None:
    if recipient.type != "email":
        return None
    try:
        return normal_address(recipient.value)
    except ValueError:
        return None
