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

#: update of the first reader's delivery -> what is said of it.
BROKEN_DELIVERIES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"$set": {"organisation": [["x"]]}}, "organisation is not text"),
    ({"$unset": {"job": ""}}, "job is not text"),
    ({"$set": {"subscription": {}}}, "subscription is not text"),
    ({"$set": {"recipient": 7}}, "recipient is not text"),
    ({"$set": {"channel": "pigeon"}}, "channel is none that is known"),
    ({"$set": {"channel": ["email"]}}, "channel is none that is known"),
    ({"$set": {"attempt": "x"}}, "attempt is not a whole number"),
    ({"$set": {"failures": True}}, "failures is not a whole number"),
    ({"$set": {"user": ["x"]}}, "user is not text"),
    ({"$set": {"report": 7}}, "report is not text"),
    ({"$set": {"mail": ["x"]}}, "mail is not text"),
    ({"$set": {"due_at": "soon"}}, "due_at is not a time"),
)

#: update of the first reader's job, which its delivery can do without.
BROKEN_JOBS: tuple[dict[str, Any], ...] = (
    {"$unset": {"state": ""}},
    {"$set": {"state": ["x"]}},
    {"$set": {"report": ["x"]}},
    {"$set": {"organisation": 7}},
    {"$set": {"omissions": 7, "has_omissions": True}},
    {"$set": {"period": None}},
)
