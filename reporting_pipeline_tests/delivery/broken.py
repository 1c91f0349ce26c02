"""What somebody may have broken by hand in the records that a delivery stands on."""

from __future__ import annotations

from typing import Any

#: (collection, id, update), each of what `seeds.seed` made for its first reader.
BROKEN: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("subscriptions", "sub_00000", {"$set": {"schedule": 7}}),
    ("subscriptions", "sub_00000", {"$set": {"filters": "x"}}),
    ("subscriptions", "sub_00000", {"$set": {"parameters": 7}}),
    ("subscriptions", "sub_00000", {"$unset": {"owner": ""}}),
    ("subscriptions", "sub_00000", {"$set": {"owner": 7}}),
    ("subscriptions", "sub_00000", {"$set": {"owner": ["x"]}}),
    ("users", "usr_00000", {"$set": {"roles": 7}}),
    ("users", "usr_00000", {"$unset": {"organisation": ""}}),
    ("users", "usr_00000", {"$set": {"email_asked": "x"}}),
)
