"""What of a dataset a reader gets, and which cells of a count must not be told: the one policy table.

A reader's rows are taken out of the dataset before anything is made of it, so that what is not theirs
cannot come into a body, a total, a chart or a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from reporting_pipeline.domain.clinical.blinding import is_unblinding, visit_is_unblinding
from reporting_pipeline.domain.clinical.findings import COMPARING_CODES, FINDING_CODES
from reporting_pipeline.domain.clinical.numbers import digits, is_number
from reporting_pipeline.domain.clinical.payloads import Subject
from reporting_pipeline.domain.clinical.rows import MEASUREMENTS
from reporting_pipeline.domain.datasets import RESTRICTED, TABLES, TrialDataset, table_from_rows
from reporting_pipeline.domain.deferred import DeferredTable
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.entitlements import Audience

#: Counts of people below this are not told (EMA policy 0070, Health Canada's public release of data).
SMALLEST_CELL = 11
#: Stands where a reader must not know what a text says.
WITHHELD = "Not shown to this audience."


@dataclass(frozen=True)
class DisclosurePolicy:
    """What one audience may see of a trial; which rows are theirs is their entitlement's."""

    arm: bool  # who gets which treatment (`domain.datasets.RESTRICTED`)
    free_text: bool  # notes and titles as somebody wrote them: a name or a treatment may stand in them
    images: bool  # pictures of files: what is burned into one cannot be taken out


#: audience -> what it may see. Blinding: ICH E6(R3) 4.1; what could unblind is left out, not masked.
POLICIES: Mapping[Audience, DisclosurePolicy] = {
    Audience.PARTICIPANT: DisclosurePolicy(arm=False, free_text=False, images=False),
    Audience.SITE: DisclosurePolicy(arm=False, free_text=True, images=True),
    Audience.MONITOR: DisclosurePolicy(arm=False, free_text=True, images=True),
    Audience.SPONSOR: DisclosurePolicy(arm=False, free_text=False, images=False),
    Audience.SAFETY_BOARD: DisclosurePolicy(arm=True, free_text=True, images=True),
}

#: Columns that hold a person's own words, or may: table -> columns.
FREE_TEXT: Mapping[str, tuple[str, ...]] = {
    "documents": ("title", "note", "file_name", "file_reason"),
    "adverse_events": ("term",),
    "dispositions": ("term",),
    "deviations": ("term",),
    "medications": ("term", "indication"),
    "medical_history": ("term",),
    **{name: ("text_result", "reason_not_done") for name in MEASUREMENTS.values()},
    "visits": ("reason_not_done",),
    "findings": ("message",),
}


def for_audience(dataset: TrialDataset, audience: Audience) -> TrialDataset:
    """The dataset without what the audience must not see; before anything is counted or drawn.

    Withheld columns are emptied, so that no section, chart or file can show them. A coded term stands
    where the words as written are withheld. `shown` says what was left in.
    """
    policy = POLICIES[audience]
    tables = dict(dataset.tables)
    withheld: list[dict[str, object]] = []
    if not policy.arm:
        withheld = _blind(tables, dataset.deferred)
    if not policy.free_text:
        for name, columns in FREE_TEXT.items():
            tables[name] = _without_words(name, tables[name], columns)
        tables["omissions"] = _without_quotes(tables["omissions"])
    if withheld and audience is not Audience.PARTICIPANT:  # of one person the number alone may tell
        more = table_from_rows("findings", withheld)
        tables["findings"] = pd.concat([tables["findings"], more], ignore_index=True)
    wanted = json.dumps([dataset.shown, audience.value, asdict(policy)], sort_keys=True)
    return replace(
        dataset,
        tables=tables,
        media=dataset.media if policy.images else {},
        shown=sha256(wanted.encode()).hexdigest()[:16],
        deferred={name: replace(one, audience=audience) for name, one in dataset.deferred.items()},
    )


#: Columns that `shown_batch` looks at.
LOOKED_AT = (
    *("site", "subject", "unblinding", "visit", "visit_number", "visit_unblinding"),
    *("value", "value_text"),
)


def shown_batch(table: DeferredTable, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What the reader of a deferred table gets of a batch of it, which has the columns LOOKED_AT: as
    `restricted` and `for_audience` leave it of a table in memory."""
    batch = rows_shown(table, batch)
    if table.audience is None:
        return batch
    policy = POLICIES[table.audience]
    if not policy.arm:
        batch = _batch_without_visits(batch)
    return batch if policy.free_text else _batch_without_words(table.name, batch)


def row_digest(dataset: TrialDataset, name: str) -> bytes:
    """Equal for equal rows of a table of results, in memory or not, as far as their reader gets them."""
    columns, digest = list(TABLES[name]), sha256()
    table = dataset.deferred.get(name)
    parts: Iterable[pd.DataFrame] = (
        [dataset.tables[name]]
        if table is None
        else (shown_batch(table, one).to_pandas() for one in table.read(columns))
    )
    for part in parts:
        hashes = pd.util.hash_pandas_object(part[columns], index=False)
        digest.update(hashes.to_numpy().tobytes())
    return digest.digest()


#: Columns that `rows_shown` looks at.
CHOOSING = ("site", "subject", "unblinding")


def rows_shown(table: DeferredTable, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of a batch of a deferred table that its reader gets, as they are kept: for counting."""
    batch = _own_rows(table, batch)
    blinded = table.audience is not None and not POLICIES[table.audience].arm
    return batch.filter(pc.invert(batch["unblinding"])) if blinded else batch


@dataclass
class _Telling:
    """What of a table of results tells who gets the treatment."""

    tests: set[str] = field(default_factory=set)
    other_tests: set[str] = field(default_factory=set)
    documents: set[str] = field(default_factory=set)  # with such a result
    named_after: set[str] = field(default_factory=set)  # with another one, at a visit whose name tells it
    results: int = 0  # of the period

    def add(self, rows: pd.DataFrame) -> None:
        """Rows of the table with the columns _TOLD_BY."""
        tells, visit_tells = rows["unblinding"].astype(bool), rows["visit_unblinding"].astype(bool)
        self.tests.update(rows["test_code"][tells])
        self.other_tests.update(rows["test_code"][~tells])
        self.documents.update(rows["document_id"][tells])
        self.named_after.update(rows["document_id"][~tells & visit_tells])
        self.results += int((rows["window"][tells] == "current").sum())


_TOLD_BY = ("document_id", "window", "site", "subject", "test_code", "unblinding", "visit_unblinding")


def _telling(name: str, frame: pd.DataFrame, deferred: Mapping[str, DeferredTable]) -> _Telling:
    """Of the rows that are the reader's, wherever they are."""
    found, table = _Telling(), deferred.get(name)
    if table is None:
        found.add(frame)
        return found
    for batch in table.read(_TOLD_BY):
        found.add(_own_rows(table, batch).select(list(_TOLD_BY)).to_pandas())
    return found


def _own_rows(table: DeferredTable, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of a batch that are the reader's by site and subject."""
    if table.sites is not None:
        batch = batch.filter(pc.is_in(batch["site"], value_set=pa.array(table.sites, pa.string())))
    return batch.filter(pc.equal(batch["subject"], table.subject)) if table.subject else batch


def _batch_without_visits(batch: pa.RecordBatch) -> pa.RecordBatch:
    if not pc.any(batch["visit_unblinding"]).as_py():
        return batch
    names = [_visit_by_number(one) for one in batch["visit_number"].to_pandas()]
    shown = pc.if_else(batch["visit_unblinding"], pa.array(names, batch["visit"].type), batch["visit"])
    for name, cells in (("visit", shown), ("visit_unblinding", pa.repeat(False, batch.num_rows))):
        batch = batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), cells)
    return batch


def _batch_without_words(name: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    concerned = {*FREE_TEXT[name], "value", "value_text", "original_result"}
    frame = batch.select([one for one in batch.schema.names if one in concerned]).to_pandas()
    told = _without_words(name, frame, FREE_TEXT[name])
    for place, column in enumerate(batch.schema):
        if column.name in concerned:
            cells = pa.array(told[column.name], type=column.type, from_pandas=True)
            batch = batch.set_column(place, column, cells)
    return batch


#: What a document of `Kind.SUBJECT` may say to everybody: a field that nobody knows may name an arm.
_OPEN_OF_SUBJECTS = frozenset(Subject.model_fields) - RESTRICTED["subjects"]


def document_shown(record: Mapping[str, Any], audience: Audience) -> dict[str, Any]:
    """A record of `documents` as an audience may read it, by the policies that its reports keep to.

    `withheld` names the fields that were emptied: title, note, data, file. A record that is none of ours
    comes back with as little. Never changes `record`.
    """
    policy = POLICIES[audience]
    treated = record.get("kind") == Kind.EXPOSURE.value and not policy.arm
    shown = dict(record)
    withheld = []
    if treated or not policy.free_text:
        withheld += ["title", "note", "data"]
    elif not policy.arm and isinstance(record.get("data"), dict):
        data = _without_arms(record["data"], subject=record.get("kind") == Kind.SUBJECT.value)
        shown["data"] = _without_telling_visits(_without_telling_results(data))
        if shown["data"] != record["data"]:
            withheld.append("data")
        if _names_telling_visit(record["data"]):
            withheld.append("title")
            shown["title"] = WITHHELD
    if treated or not policy.free_text or not policy.images:
        withheld.append("file")
    if treated or not policy.free_text:
        shown |= {"title": WITHHELD, "note": None, "data": {}}
    if "file" in withheld:
        shown["file"] = None
    kept = [name for name in withheld if record.get(name)]
    return shown | {"withheld": kept}


def _without_arms(data: Mapping[str, Any], *, subject: bool) -> dict[str, Any]:
    if subject:
        return {name: value for name, value in data.items() if name in _OPEN_OF_SUBJECTS}
    return {name: value for name, value in data.items() if name not in RESTRICTED["subjects"]}


def _without_telling_results(data: Mapping[str, Any]) -> dict[str, Any]:
    results = data.get("results")
    if not isinstance(results, (list, tuple)):
        return dict(data)
    kept = [one for one in results if not (isinstance(one, Mapping) and is_unblinding(one))]
    return {**data, "results": kept}


def _names_telling_visit(data: Mapping[str, Any]) -> bool:
    results = data.get("results")
    listed = results if isinstance(results, (list, tuple)) else ()
    return any(visit_is_unblinding(one) for one in (data, *listed) if isinstance(one, Mapping))


def _without_telling_visits(data: Mapping[str, Any]) -> dict[str, Any]:
    """A payload without the names of visits that tell who gets the treatment, nor that they do."""
    kept = {name: value for name, value in data.items() if name != "visit_unblinding"}
    if visit_is_unblinding(data):
        kept.pop("visit", None)
    if isinstance(results := kept.get("results"), (list, tuple)):
        kept["results"] = [
            _without_telling_visits(one) if isinstance(one, Mapping) else one for one in results
        ]
    return kept


def _blind(tables: dict[str, pd.DataFrame], deferred: Mapping[str, DeferredTable]) -> list[dict[str, object]]:
    """Empty whatever says who gets which treatment, what was said about it when it was read included.

    Rows that are not in memory are left to `shown_batch`, but what they say is taken out of the other tables.
    Gives findings that say how much of each table was withheld and why, not what.
    """
    withheld: list[dict[str, object]] = []
    telling: set[str] = set()  # documents with a result that tells who gets the treatment
    named_after: set[str] = set()  # documents with a visit whose name does
    for name in MEASUREMENTS.values():
        found = _telling(name, tables[name], deferred)
        named_after |= found.named_after
        if found.documents:
            telling |= found.documents
            tables["omissions"] = _without_tests(tables["omissions"], name, found.tests - found.other_tests)
            withheld.append(_withheld(name, found.results))
            kept = ~tables[name]["unblinding"].astype(bool)
            tables[name] = tables[name][kept].reset_index(drop=True)
    named_after |= _without_visits(tables)
    for name in ("subjects", "exposures"):
        frame = tables[name]
        open_ones = [column for column in frame.columns if column not in RESTRICTED[name]]
        blank = table_from_rows(name, [{} for _ in range(len(frame))])
        tables[name] = blank.assign(**{column: frame[column].to_numpy() for column in open_ones})
    tables["exposures"] = tables["exposures"].iloc[:0]
    documents, findings = tables["documents"], tables["findings"]
    at_telling_visit = documents["document_id"].isin(named_after)
    if named_after:
        of_period = int((documents["window"][at_telling_visit] == "current").sum())
        withheld.append(_withheld("visit", of_period))
    treated = documents["kind"] == "exposure"
    tables["documents"] = documents.assign(
        title=documents["title"].mask((treated | at_telling_visit).astype(bool), ""),
        note=documents["note"].mask(treated, ""),
    )
    revealing = findings["document_id"].isin(documents["document_id"][treated])
    hidden = RESTRICTED["subjects"]
    named = findings["field"].map(lambda path: bool(hidden & set(str(path).replace("[", ".").split("."))))
    tell = findings["document_id"].isin(telling)
    fields = findings["field"].map(str)
    named |= tell & (fields.str.startswith("results") | fields.isin(_OF_RESULTS))
    tables["findings"] = findings.assign(
        message=findings["message"].mask((revealing | named).astype(bool), WITHHELD)
    )
    return [one for one in withheld if one["message"]]


def _without_visits(tables: dict[str, pd.DataFrame]) -> set[str]:
    """Take out the names of visits that tell; the documents that were named after one."""
    found: set[str] = set()
    for name, frame in tables.items():
        if "visit_unblinding" not in frame or not (tells := frame["visit_unblinding"].astype(bool)).any():
            continue
        found.update(frame["document_id"][tells])
        numbered = frame["visit_number"].map(_visit_by_number) if "visit_number" in frame else ""
        tables[name] = frame.assign(visit=frame["visit"].mask(tells, numbered), visit_unblinding=False)
    return found


def _visit_by_number(number: float) -> str:
    """What stands for a visit's name: two of them stay two."""
    return "" if number != number else f"Visit {digits(number)}"


def _withheld(part: str, number: int) -> dict[str, object]:
    """A finding on what an unblinded reader would see: how much, and why, not what. Of none there is none."""
    what = "Names of visits" if part == "visit" else "Results"
    told = f"{what} that tell who gets the treatment are not shown to this audience: {number:,}."
    return {"window": "current", "code": "withheld", "field": part, "message": told if number else ""}


#: Fields of findings that are made of a result when it stands in its table, and quote it.
_OF_RESULTS = ("unit", "collected")


def _without_tests(omissions: pd.DataFrame, table: str, tests: Iterable[str]) -> pd.DataFrame:
    """What is left out, without tests of which nothing is shown: "labs/DRUG (plasma)" names one."""
    parts = {f"{table}/{test}" for test in tests}
    of_them = omissions["part"].map(lambda part: str(part).partition(" (")[0] in parts).astype(bool)
    return omissions[~of_them].reset_index(drop=True)


def _without_words(name: str, frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    if name == "findings":
        return frame.assign(message=WITHHELD) if len(frame) else frame
    emptied = {column: "" for column in columns}
    if "value_text" in frame:  # a number is a result; words are words
        numeric = frame["value"].notna() | frame["value_text"].map(is_number).astype(bool)
        results = [column for column in ("value_text", "original_result") if column in frame]
        return frame.assign(**emptied, **{one: frame[one].where(numeric, "") for one in results})
    return frame.assign(**emptied)


def _without_quotes(omissions: pd.DataFrame) -> pd.DataFrame:
    """The parts that are left out, without the reasons that quote what was sent."""
    return omissions.assign(reason=WITHHELD) if len(omissions) else omissions


def restricted(dataset: TrialDataset, sites: Sequence[str] | None, subject: str = "") -> TrialDataset:
    """The dataset with the rows of `sites` (None: all) and, when given, of `subject` alone.

    Findings keep the rows of the documents that are left. Pictures are kept of
    files that are left. `shown` says what was left in, and is part of the key of a shared body.
    """
    if sites is None and not subject:
        return dataset
    documents = _rows(dataset.tables["documents"], sites, subject)
    kept = set(documents["document_id"])
    tables = {
        name: documents
        if name == "documents"
        else _rows(table, sites, subject)
        if "subject" in table.columns and name != "findings"
        else table
        if "document_id" not in table.columns  # what is said of the trial as a whole
        else table[table["document_id"].isin(kept)].reset_index(drop=True)
        for name, table in dataset.tables.items()
    }
    tables["findings"] = _within(tables["findings"])
    tables["omissions"] = _of_a_part(tables["omissions"])
    files = set(documents["file_sha256"])
    media = {digest: picture for digest, picture in dataset.media.items() if digest in files}
    wanted = json.dumps([None if sites is None else sorted(sites), subject])
    shown = sha256(wanted.encode()).hexdigest()[:16]
    chosen = None if sites is None else tuple(sites)
    deferred = {name: replace(one, sites=chosen, subject=subject) for name, one in dataset.deferred.items()}
    return replace(dataset, tables=tables, media=media, shown=shown, deferred=deferred)


def _within(findings: pd.DataFrame) -> pd.DataFrame:
    """What compares documents with each other in general words: it names those that are not the reader's."""
    compares = findings["code"].isin(COMPARING_CODES)
    general = findings["code"].map(lambda code: FINDING_CODES.get(code, WITHHELD))
    return findings.assign(message=findings["message"].mask(compares, general))


def _of_a_part(omissions: pd.DataFrame) -> pd.DataFrame:
    """What is left out, without the counts and units of the whole trial that its reason quotes."""
    of_one_test = omissions["part"].str.contains("/", regex=False).astype(bool)
    reasons = of_one_test.map({True: _UNITS_DIFFER, False: _MUCH_MALFORMED})
    return omissions.assign(reason=reasons.astype("object"))


_UNITS_DIFFER = (
    "the test has more than one standard unit in the trial, so no figure over its results can be right; each "
    "result is shown beside its own range"
)
_MUCH_MALFORMED = (
    "so many documents of the trial are malformed that counts may be too low; the findings name "
    "each value of those that are shown"
)


def _rows(table: pd.DataFrame, sites: Sequence[str] | None, subject: str) -> pd.DataFrame:
    kept = pd.Series(True, index=table.index)
    if sites is not None:
        kept &= table["site"].isin(list(sites))
    if subject:
        kept &= table["subject"] == subject
    return table[kept].reset_index(drop=True)


def suppressed(counts: Mapping[str, int], smallest: int = SMALLEST_CELL) -> dict[str, int | None]:
    """Counts of people by category whose sum is told, without those that must not be: None.

    A count of 1 to `smallest` - 1 is left out (0 may be told). One that was left out alone could be had
    back from the sum, so the next smallest goes with it; and so until what is left out adds up to
    `smallest` at least, because a sum below that tells as much.
    """
    if any(count < 0 for count in counts.values()):
        raise ValueError("a count of people is not negative")
    hidden = {name for name, count in counts.items() if 0 < count < smallest}
    rest = sorted((count, name) for name, count in counts.items() if count >= smallest)
    while hidden and rest and (len(hidden) < 2 or sum(counts[name] for name in hidden) < smallest):
        hidden.add(rest.pop(0)[1])
    if len(hidden) == 1 or 0 < sum(counts[name] for name in hidden) < smallest:
        hidden = set(counts)  # too few people in all: nothing of it is told, 0 neither
    return {name: None if name in hidden else count for name, count in counts.items()}
