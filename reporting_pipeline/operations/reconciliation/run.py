"""One reconciliation of a deployment: both sides read, what differs looked at again, told and mended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reporting_pipeline.domain.reconciliation import DifferenceKind, Named, Stored, paired, suspicion
from reporting_pipeline.operations.reconciliation import mend
from reporting_pipeline.operations.reconciliation.confirm import confirmed_names, confirmed_orphans
from reporting_pipeline.operations.reconciliation.findings import Difference, Findings
from reporting_pipeline.operations.reconciliation.inventory import inventory_objects
from reporting_pipeline.operations.reconciliation.names import PREFIXES, UnreadableRecord, all_names
from reporting_pipeline.operations.reconciliation.sorting import SortedOnDisk
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.upkeep import save_upkeep

RECONCILIATION = "reconciliation"
#: A younger object may have its record yet to come; longer than any run takes.
GRACE = timedelta(days=2)
SUSPECTS_AT_ONCE = 500


def reconcile(
    database: Database,
    objects: ObjectStore,
    now: datetime,
    *,
    mending: bool,
    inventory: str = "",
    grace: timedelta = GRACE,
    hashes: bool = False,
) -> Findings:
    """Hold the records against the bucket, both ways, at `now`; the figures are kept in `upkeep`.

    `mending`: tag orphans older than `grace`, forget records of what can be made again, raise alerts of
    what only a person can mend. Without it nothing but the figures is written. `inventory`: the manifest
    of an S3 inventory instead of a listing. `hashes`: ask the store for the SHA-256 of every object whose
    record has one, a request each. Raises ValueError for an inventory or a listing that cannot be used.
    """
    run = _Run(database, objects, now, mending, Findings(now), mend.held_periods(database))
    with closing(SortedOnDisk()) as ordered:
        run.findings.names = ordered.add_names(run.readable(all_names(database)))
        # A listing is sorted, too: stores on a file system list a/b before a-/b.
        listed = inventory_objects(objects, inventory) if inventory else _listed(objects)
        run.findings.objects = ordered.add_objects(listed)
        run.look(ordered.names(), ordered.objects(), now - grace, hashes)
    if mending:
        mend.release_orphans(database, objects)
        mend.tell_a_person(database, run.findings, now)
    save_upkeep(database, RECONCILIATION, {**run.findings.as_record(), "mending": mending}, now)
    return run.findings


def _listed(objects: ObjectStore) -> Iterator[Stored]:
    for prefix in PREFIXES:
        for entry in objects.listing(prefix):
            yield Stored(entry.key, entry.size, entry.modified_at)


@dataclass
class _Run:
    """One reconciliation under way; what is suspected waits for company, never for long."""

    database: Database
    objects: ObjectStore
    now: datetime
    mending: bool
    findings: Findings
    held_periods: frozenset[tuple[str, str]]
    names: list[Named] = field(default_factory=list)  # suspected
    orphans: list[Stored] = field(default_factory=list)  # suspected

    def readable(self, names: Iterable[Named | UnreadableRecord]) -> Iterator[Named]:
        """The names, without the records that cannot be read: these are found at once."""
        for one in names:
            if isinstance(one, Named):
                yield one
            else:
                told = "the record does not say which object is its own"
                self.findings.add(Difference(DifferenceKind.UNREADABLE, one.source, "", one.record, told))

    def look(
        self, names: Iterable[Named], stored: Iterable[Stored], orphans_before: datetime, hashes: bool
    ) -> None:
        for name, standing in paired(names, stored):
            kind = suspicion((name, standing), orphans_before)
            if kind is DifferenceKind.ORPHAN and standing is not None:
                self.orphans.append(standing)
            elif name is not None and (kind is not None or (hashes and name.sha256)):
                self.names.append(name)
            elif name is None:
                self.findings.left["younger than the grace period"] += 1
            if len(self.names) + len(self.orphans) >= SUSPECTS_AT_ONCE:
                self._confirm()
        self._confirm()

    def _confirm(self) -> None:
        for finding in confirmed_names(self.database, self.objects, self.names):
            self.findings.add(finding)
            if self.mending and mend.forget_what_is_gone(self.database, finding):
                self.findings.mended[finding.group] += 1
        self._confirm_orphans()
        self.names, self.orphans = [], []

    def _confirm_orphans(self) -> None:
        unnamed = confirmed_orphans(self.database, self.orphans)
        if belonging := len(self.orphans) - len(unnamed):
            self.findings.left["belongs to a record, which names a newer one"] += belonging
        known = mend.known_orphans(self.database, unnamed)
        for orphan in unnamed:
            reason = (
                "noted before, waits for retention"
                if orphan.key in known
                else mend.why_it_stays(self.objects, orphan.key, self.held_periods)
            )
            if reason:
                self.findings.left[reason] += 1
                continue
            finding = Difference(
                DifferenceKind.ORPHAN, None, orphan.key, told=f"{orphan.size:,} bytes that no record names"
            )
            self.findings.add(finding)
            self.findings.bytes_orphaned += orphan.size
            if self.mending and mend.tag_orphan(self.database, self.objects, orphan, self.now):
                self.findings.mended[finding.group] += 1
