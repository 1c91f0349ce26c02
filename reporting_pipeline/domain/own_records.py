"""Who a participant is in their trial: told to themselves and to those who see that record anyway.

A person's name beside a subject id says whose the clinical record is. Belongs here: to whom the id is told,
wherever people's rights are read: the person, the audit log, an export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reporting_pipeline.domain.access import User
from reporting_pipeline.domain.entitlements import Entitlements

#: Stands where the reader must not know the id; sent back, it leaves what stands.
WITHHELD_SUBJECT = "…"


def person_shown(reader: User, person: User) -> User:
    """`person` as `reader` may read them."""
    own = person.entitlements
    if not own.subject or reader.id == person.id or reader.entitlements.includes(own):
        return person
    return replace(person, entitlements=replace(own, subject=WITHHELD_SUBJECT))


def rights_shown(reader: User, rights: Mapping[str, Any], person: str) -> dict[str, Any]:
    """The rights of `person` (an id) as a record of `users` or a row of the audit log has them."""
    known = reader.id == person or reader.entitlements.includes(Entitlements.from_record(rights))
    return dict(rights) if known or not rights.get("subject") else {**rights, "subject": WITHHELD_SUBJECT}


def event_shown(reader: User, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the audit log as `reader` may read it: of a change of rights, both values."""
    details = row.get("details") or {}
    changed = {
        name: rights_shown(reader, details[name], str(row.get("subject")))
        for name in ("before", "after")
        if isinstance(details.get(name), Mapping)
    }
    return {**row, "details": {**details, **changed}} if changed else dict(row)
