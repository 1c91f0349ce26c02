"""A document before it is stored or reported: what a source says, and how it becomes a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class SourceDocument:
    """One document as its source holds it. `source_id` is the caller's own id, unique in the trial."""

    source_id: str
    trial: str
    site: str
    subject: str
    kind: str
    title: str
    collected: str  # ISO 8601 as collected
    data: Mapping[str, Any] = field(repr=False)
    key: tuple[str, ...] = ()  # what its stored id is made of, beside the trial and the kind
    received_at: datetime | None = None  # None: the source does not say
    note: str | None = None
    synthetic: bool = False
    stored_id: str = ""  # of a document that was read from the API: what it is called there
    version: int | None = None  # as the source numbers it
    shortened: bool = False  # parts of it were withheld from whoever read it from the API
    withdrawn: bool = False  # it says so itself, or that a later version took its place
    from_table: bool = False  # its `key` was made from a row, not given by the caller

    def is_older_than(self, version: int | None) -> bool:
        """Whether another one with the same id, of this version, is a later one by both their numbers."""
        return self.version is not None and version is not None and self.version < version

    def of_trial(self, trial: str) -> SourceDocument:
        """The same document, of `trial`."""
        return replace(self, trial=trial)

    def record(self, identifier: str, received_at: datetime | None, organisation: str) -> dict[str, Any]:
        """The record as `domain.documents` describes it, without `updated_at`."""
        return {
            "_id": identifier,
            "organisation": organisation,
            "trial": self.trial,
            "site": self.site,
            "subject": self.subject,
            "kind": self.kind,
            "title": self.title,
            "received_at": received_at,
            "collected": self.collected,
            "note": self.note,
            "synthetic": self.synthetic,
            "data": dict(self.data),
            "file": None,
        }
