"""The audit log: append-only, chained with a key, held by anchors outside the database.

Each row holds the hash of the row before it and its own: an HMAC over canonical JSON of everything else,
with a key that no store holds (`key` names it). So an edit, a deletion, an insertion or a swap breaks the
chain at the first row concerned, and whoever has the database alone cannot compute it anew. A tail that
is cut off leaves a chain that is whole. Two things know how far it went:

- `audit_heads`: the newest row, signed, written with every append.
- `audit/anchors/` in S3: the newest row at some time, from the first row on; signed, each with the hash
  of the one before, written once and never over (locked where the bucket locks objects).

An older backup that was restored goes on behind an anchor that is signed as `restored`: who, when, which
backup, and which rows are gone. The verifier accepts it, and names it.

What is missing there is a failure, never an empty beginning. Rows and an anchor of the first form
(SHA-256 without a key, `audit/anchor.json`) stand up to the row that the first anchor names.

One row per event, also for bulk events: a batch is hashed in one go and inserted with a few requests
(10,000 rendered reports: 10), and "what happened to this report" stays one look-up.

Rows cannot be changed, so they hold no personal data: people are their ids, addresses are marks
(`address_mark`). Erasing a person removes the record that the id or mark points to and leaves the
chain valid. Details that look like an address are refused.
"""

from reporting_pipeline.stores.audit.anchors import (
    ANCHORS,
    FIRST_ANCHOR_KEY,
    anchor_when_due,
    read_anchor,
    write_anchor,
)
from reporting_pipeline.stores.audit.chain import (
    GENESIS,
    Anchor,
    AuditBroken,
    Restored,
    chain_tail,
    record,
    record_many,
    row_hash,
)
from reporting_pipeline.stores.audit.checking import AuditCheck, verify
from reporting_pipeline.stores.audit.events import AuditAction, Event, address_mark, named
from reporting_pipeline.stores.audit.keys import audit_keys, process_keys, use_keys
from reporting_pipeline.stores.audit.reading import events_of
from reporting_pipeline.stores.audit.restoring import anchor_restored, restart_log

__all__ = [
    "ANCHORS",
    "FIRST_ANCHOR_KEY",
    "GENESIS",
    "Anchor",
    "AuditAction",
    "AuditBroken",
    "AuditCheck",
    "Event",
    "Restored",
    "address_mark",
    "anchor_restored",
    "anchor_when_due",
    "audit_keys",
    "chain_tail",
    "events_of",
    "named",
    "process_keys",
    "read_anchor",
    "record",
    "record_many",
    "restart_log",
    "row_hash",
    "use_keys",
    "verify",
    "write_anchor",
]
