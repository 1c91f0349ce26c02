"""What one reconciliation found: counts of everything, and the first few of each kind by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reporting_pipeline.domain.reconciliation import IRREPLACEABLE, DifferenceKind, Source
from reporting_pipeline.stores.mongo import Record

#: So many of a kind are named; the others are counted.
NAMED = 100
#: An object's side: no record names it.
NOBODY = "nobody"


@dataclass(frozen=True)
class Difference:
    """One difference that was there when it was looked at again."""

    kind: DifferenceKind
    source: Source | None  # None: no record names the object
    key: str
    record: str = ""
    told: str = ""  # for a person

    @property
    def group(self) -> tuple[str, str]:
        return self.kind.value, self.source.value if self.source else NOBODY

    @property
    def needs_a_person(self) -> bool:
        return self.source in IRREPLACEABLE


@dataclass
class Findings:
    """What one reconciliation looked at, found, mended and left."""

    at: datetime
    names: int = 0
    objects: int = 0
    found: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, source)
    mended: Counter[tuple[str, str]] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)  # why an object that nothing names stays
    bytes_orphaned: int = 0
    examples: dict[tuple[str, str], list[Difference]] = field(default_factory=dict)
    for_a_person: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, finding: Difference) -> None:
        self.found[finding.group] += 1
        examples = self.examples.setdefault(finding.group, [])
        if len(examples) < NAMED:
            examples.append(finding)
        if finding.needs_a_person:
            self.for_a_person[finding.group] += 1

    def as_record(self) -> Record:
        """As it is kept in `upkeep`, and printed as JSON."""
        return {
            "ok": not self.for_a_person,
            "names": self.names,
            "objects": self.objects,
            "found": _nested(self.found),
            "mended": _nested(self.mended),
            "left": dict(self.left),
            "bytes_orphaned": self.bytes_orphaned,
            "examples": [
                {
                    "kind": one.kind.value,
                    "source": one.group[1],
                    "key": one.key,
                    "record": one.record,
                    "told": one.told,
                }
                for group in sorted(self.examples)
                for one in self.examples[group]
            ],
        }


def _nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (kind, source), count in sorted(counts.items()):
        nested.setdefault(kind, {})[source] = count
    return nested
