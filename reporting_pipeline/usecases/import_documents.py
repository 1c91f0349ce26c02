"""Files of others into the stores of a deployment: the trial registered, its documents taken in once.

The same import again changes nothing, and one that was cut off goes on where it stood: ids follow from
the source, and a document keeps the arrival it was first taken in with. A document that cannot be taken
in becomes a finding and keeps no other out.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from itertools import islice
from tempfile import TemporaryFile
from zoneinfo import ZoneInfo

from reporting_pipeline.intake.checking import stored_id
from reporting_pipeline.intake.dates import NOON, collected_at
from reporting_pipeline.intake.documents import SourceDocument
from reporting_pipeline.intake.sources import ImportSource
from reporting_pipeline.intake.understanding import Understanding, tell_older
from reporting_pipeline.stores import audit, document_versions, documents, trials
from reporting_pipeline.stores.documents import Arrival, DocumentInvalid
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore

ACTOR = "import"
CHUNK = 500
COLLECTED, NOW = "collected", "now"
CLOSED = "closed"


@dataclass(frozen=True)
class ImportOptions:
    """Into which organisation, and when the documents count as arrived where the source does not say:
    on their collection date, now, or at one instant."""

    organisation: str
    arrival: str | datetime  # COLLECTED, NOW or an instant
    now: datetime
    zone: ZoneInfo
    dry_run: bool = False
    time_of_day: time = NOON


@dataclass
class Imported:
    """What an import did, or would do."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    withdrawn: int = 0  # arrivals of documents that were withdrawn: they stay so
    trials: dict[str, str] = field(default_factory=dict)  # trial -> registered, known or closed


def import_documents(
    database: Database,
    objects: ObjectStore,
    found: Iterable[SourceDocument],
    source: ImportSource,
    options: ImportOptions,
    understanding: Understanding,
    progress: Callable[[int], None] = lambda done: None,
) -> Imported:
    """Take in `found`, the documents of `source`; of several with one id the last, unless it is withdrawn.

    Raises TrialExists when another organisation has one of its trials. What was taken in before an error
    is audited all the same.
    """
    done = Imported()
    counted = 0
    waiting = iter(_seen(_last_of_each(found, options, understanding), understanding))
    try:
        while some := list(islice(waiting, CHUNK)):
            for trial in sorted({document.trial for document in some} - done.trials.keys()):
                done.trials[trial] = _register(database, source, trial, options, understanding)
            valid = _take_in(database, objects, some, options, understanding, done)
            _add_sites(database, valid, options)
            counted += len(some)
            progress(counted)
    finally:
        if not options.dry_run and (done.created or done.changed):
            _audit(database, done, options)
    return done


def _last_of_each(
    found: Iterable[SourceDocument], options: ImportOptions, understanding: Understanding
) -> Iterator[SourceDocument]:
    """Each document once, whichever is the last of its id; none that is withdrawn at last.

    They wait in a file: which of them is the last is known at the end alone, and there may be more than
    memory holds.
    """
    last: dict[str, int] = {}  # id -> place in the file
    versions: dict[str, int | None] = {}
    with TemporaryFile() as waiting:
        for document in found:
            identifier = _identifier(document, options)
            if document.is_older_than(versions.get(identifier)):
                tell_older(document, understanding)
                continue
            versions[identifier] = document.version
            before = last.pop(identifier, None)
            if document.withdrawn:
                continue
            if before is not None:
                detail = "Stands twice; the later one counts."
                understanding.finding(document.source_id, "duplicate_id", "id", detail)
            last[identifier] = waiting.tell()
            pickle.dump(document, waiting)
        for place in last.values():
            waiting.seek(place)
            yield pickle.load(waiting)  # noqa: S301 (written above)


def _seen(found: Iterable[SourceDocument], understanding: Understanding) -> Iterator[SourceDocument]:
    for document in found:
        understanding.saw(document.record("", None, ""))
        yield document


def _register(
    database: Database, source: ImportSource, trial: str, options: ImportOptions, understanding: Understanding
) -> str:
    standing = trials.get_trial(database, options.organisation, trial)
    if standing is not None and trials.is_closed(standing):
        detail = "The trial is closed; nothing of it was taken in. Reopen it first."
        understanding.finding(trial, "refused", "trial", detail)
        return CLOSED
    if standing is not None:
        return "known"
    if options.dry_run and documents.trial_record(database, trial) is not None:
        raise trials.TrialExists(f"The id {trial!r} is taken; give another one")
    facts = source.facts(trial)
    record = {
        "_id": trial,
        "organisation": options.organisation,
        "title": facts.title[:1000],
        "sponsor": facts.sponsor[:1000],
        "phase": facts.phase[:1000],
        "therapeutic_area": facts.therapeutic_area[:1000],
        "sites": [{"id": site, "name": name} for site, name in facts.sites],
    }
    if not options.dry_run:
        trials.add_trial(database, record)
        subject, home = audit.named(trial), options.organisation
        audit.record(
            database, audit.AuditAction.TRIAL_CREATED, ACTOR, subject, options.now, organisation=home
        )
    return "registered"


def _add_sites(database: Database, valid: Sequence[Record], options: ImportOptions) -> None:
    """Sites that documents name and the trial does not have yet."""
    if options.dry_run:
        return
    by_trial: dict[str, dict[str, str]] = {}
    for record in valid:
        by_trial.setdefault(record["trial"], {})[record["site"]] = f"Site {record['site']}"
    for trial, sites in by_trial.items():
        standing = trials.get_trial(database, options.organisation, trial)
        if standing is not None:
            trials.add_sites(database, standing, sites)


def _take_in(
    database: Database,
    objects: ObjectStore,
    some: Sequence[SourceDocument],
    options: ImportOptions,
    understanding: Understanding,
    done: Imported,
) -> list[Record]:
    """The records that are sound; they stand then, unless this is a dry run."""
    taken = [document for document in some if done.trials[document.trial] != CLOSED]
    done.refused += len(some) - len(taken)
    taken = [one for one in taken if not _is_left_out(one, understanding, done)]
    ids = _identified(database, taken, options)
    standing = documents.documents_by_id(database, ids)
    valid: list[Record] = []
    for identifier, document in ids.items():
        before = standing.get(identifier)
        at = before["received_at"] if before else _arrival(document, options, understanding)
        record = {**document.record(identifier, at, options.organisation), "external_id": document.source_id}
        if before and document.stored_id:
            record["external_id"] = before.get("external_id", "")
        record["file"] = before.get("file") if before else None  # a source says nothing of files
        try:
            valid.append(documents.validated(record, None, options.now))
        except DocumentInvalid as error:
            done.refused += 1
            for name, detail in error.problems:
                understanding.finding(document.source_id, "refused", name, detail)
    if options.dry_run:
        _count(database, valid, standing, done)
        return valid
    arrivals = (Arrival(record) for record in valid)
    ingested = documents.ingest_many(database, objects, arrivals, options.now)
    done.created += len(ingested.created)
    done.changed += len(ingested.changed)
    done.unchanged += ingested.unchanged
    done.withdrawn += ingested.withdrawn
    return valid


def _count(database: Database, valid: Sequence[Record], standing: dict[str, Record], done: Imported) -> None:
    new = [record["_id"] for record in valid if record["_id"] not in standing]
    gone = document_versions.withdrawn_of(database, new)
    for record in valid:
        before = standing.get(record["_id"])
        if record["_id"] in gone:
            done.withdrawn += 1
        elif before is None:
            done.created += 1
        elif documents.same_document(before, record):
            done.unchanged += 1
        else:
            done.changed += 1


def _is_left_out(document: SourceDocument, understanding: Understanding, done: Imported) -> bool:
    """Whether its reader must not see all of the document: what they must not would be emptied."""
    if document.shortened:
        done.refused += 1
        detail = "Some of its fields were withheld from whoever read it, and would be lost."
        understanding.finding(document.source_id, "refused", "withheld", detail)
    return document.shortened


def _identified(
    database: Database, taken: Sequence[SourceDocument], options: ImportOptions
) -> dict[str, SourceDocument]:
    """`taken` by the ids that they are stored under.

    A document that was read from the API has its id here where it stands here or was withdrawn; what
    was read from another deployment is a document by the caller's own id.
    """
    answered = {one.stored_id: one for one in taken if one.stored_id}
    known = {
        identifier
        for identifier, record in documents.documents_by_id(database, answered).items()
        if (record["organisation"], record["trial"]) == (options.organisation, answered[identifier].trial)
    }
    known |= document_versions.withdrawn_of(database, answered.keys() - known)
    return {one.stored_id if one.stored_id in known else _own_identifier(one, options): one for one in taken}


def _identifier(document: SourceDocument, options: ImportOptions) -> str:
    return document.stored_id or _own_identifier(document, options)


def _own_identifier(document: SourceDocument, options: ImportOptions) -> str:
    if document.from_table:
        return documents.document_id(document.trial, document.kind, *document.key)
    return stored_id(options.organisation, document.trial, document.source_id)


def _arrival(document: SourceDocument, options: ImportOptions, understanding: Understanding) -> datetime:
    if document.received_at is not None:
        return document.received_at
    if isinstance(options.arrival, datetime):
        return options.arrival
    if options.arrival == NOW:
        return options.now
    collected = collected_at(document.collected, options.zone, options.time_of_day)
    if collected is None:
        understanding.finding(
            document.source_id, "no_arrival", "collected", "Has no date to arrive on; it arrives now."
        )
        return options.now
    return collected.astimezone(UTC)


def _audit(database: Database, done: Imported, options: ImportOptions) -> None:
    details = {"created": done.created, "changed": done.changed, "refused": done.refused}
    audit.record(
        database,
        audit.AuditAction.DOCUMENTS_IMPORTED,
        ACTOR,
        "documents",
        options.now,
        organisation=options.organisation,
        details=details,
    )
