"""The figures of a report: one trial, one period, one subscription's filters, beside the period before.

Pure pandas; nothing is drawn here. `DEFINITIONS` says in words what every figure counts, the report
prints those words, and a test recomputes the figures from raw tables by them. A figure whose
documents the filters leave out is absent (None), never 0.

Filters: `trials`, `sites` and `kinds` choose documents and the facts that come from them;
`file_types` chooses only which files and images are shown and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from reporting_pipeline.domain.datasets import Thumbnail, TrialDataset
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.facts import Facts, Listing
from reporting_pipeline.domain.subscriptions import Filters

#: Mildest first; AEs without a severity are counted as NOT_STATED.
SEVERITIES = ("MILD", "MODERATE", "SEVERE", "NOT STATED")
NOT_CODED = "Not coded"


class Figure(StrEnum):
    """The key figures, in the order in which a reader meets them."""

    DOCUMENTS = "documents"
    SUBJECTS = "subjects"
    SITES = "sites"
    ADVERSE_EVENTS = "adverse_events"
    SERIOUS_ADVERSE_EVENTS = "serious_adverse_events"
    SUBJECTS_WITH_ADVERSE_EVENTS = "subjects_with_adverse_events"
    LAB_RESULTS_ASSESSED = "lab_results_assessed"
    ABNORMAL_LABS = "abnormal_labs"
    ABNORMAL_LAB_SHARE = "abnormal_lab_share"
    VISITS = "visits"
    DISPOSITIONS = "dispositions"
    FILES_OK = "files_ok"
    FILES_MISSING = "files_missing"
    FILES_CORRUPT = "files_corrupt"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def definition(self) -> str:
        return DEFINITIONS[self]

    @property
    def kind(self) -> Kind | None:
        """The kind of document it is counted from; None when it is counted from all kinds."""
        return _KINDS.get(self)


_LABELS: Mapping[Figure, str] = {
    Figure.DOCUMENTS: "Documents received",
    Figure.SUBJECTS: "Subjects with activity",
    Figure.SITES: "Sites active",
    Figure.ADVERSE_EVENTS: "Adverse events",
    Figure.SERIOUS_ADVERSE_EVENTS: "Serious adverse events",
    Figure.SUBJECTS_WITH_ADVERSE_EVENTS: "Subjects with an AE",
    Figure.LAB_RESULTS_ASSESSED: "Lab results with a range",
    Figure.ABNORMAL_LABS: "Lab results out of range",
    Figure.ABNORMAL_LAB_SHARE: "Share out of range",
    Figure.VISITS: "Visits",
    Figure.DISPOSITIONS: "Dispositions",
    Figure.FILES_OK: "Files received intact",
    Figure.FILES_MISSING: "Files missing",
    Figure.FILES_CORRUPT: "Files unreadable",
}

DEFINITIONS: Mapping[Figure, str] = {
    Figure.DOCUMENTS: "Documents whose time of arrival falls in the period.",
    Figure.SUBJECTS: "Different subjects named by at least one of these documents.",
    Figure.SITES: "Different sites from which at least one of these documents came.",
    Figure.ADVERSE_EVENTS: "Adverse events reported by these documents, each report counted once; "
    "the event itself may have begun before the period.",
    Figure.SERIOUS_ADVERSE_EVENTS: "Those adverse events that the site marked as serious.",
    Figure.SUBJECTS_WITH_ADVERSE_EVENTS: "Different subjects with at least one of these adverse events.",
    Figure.LAB_RESULTS_ASSESSED: "Laboratory results with a numeric value in standard units and at least "
    "one limit of a reference range.",
    Figure.ABNORMAL_LABS: "Laboratory results in standard units whose value lies below the low or above "
    "the high limit of its range; a value equal to a limit is within.",
    Figure.ABNORMAL_LAB_SHARE: "Lab results out of range divided by lab results with a range, in per cent.",
    Figure.VISITS: "Subject visits reported by these documents, planned and unplanned.",
    Figure.DISPOSITIONS: "Disposition records (for example completed, or withdrawn) reported by these "
    "documents.",
    Figure.FILES_OK: "Files of these documents that were found, match their recorded size and checksum, "
    "and can be opened.",
    Figure.FILES_MISSING: "Files that a document names and that were not found in the store.",
    Figure.FILES_CORRUPT: "Files that were found but are damaged, not what they claim to be, or cannot be "
    "opened.",
}

_KINDS: Mapping[Figure, Kind] = {
    Figure.ADVERSE_EVENTS: Kind.ADVERSE_EVENT,
    Figure.SERIOUS_ADVERSE_EVENTS: Kind.ADVERSE_EVENT,
    Figure.SUBJECTS_WITH_ADVERSE_EVENTS: Kind.ADVERSE_EVENT,
    Figure.LAB_RESULTS_ASSESSED: Kind.LAB,
    Figure.ABNORMAL_LABS: Kind.LAB,
    Figure.ABNORMAL_LAB_SHARE: Kind.LAB,
    Figure.VISITS: Kind.VISIT,
    Figure.DISPOSITIONS: Kind.DISPOSITION,
}

_TABLE_KINDS: Mapping[str, Kind] = {
    "adverse_events": Kind.ADVERSE_EVENT,
    "labs": Kind.LAB,
    "vitals": Kind.VITALS,
    "visits": Kind.VISIT,
    "dispositions": Kind.DISPOSITION,
}


@dataclass(frozen=True)
class Value:
    """A figure in the period and in the period before. NaN: a share of nothing."""

    current: float
    previous: float

    @property
    def change(self) -> float:
        return self.current - self.previous


@dataclass(frozen=True)
class TrialFigures:
    """Everything a report says about one trial in the current period.

    Frames of counts are small and ready; lists of facts are `Listing`s, which give a part of
    themselves as records and the whole as a frame.
    """

    trial: str
    title: str
    values: Mapping[Figure, Value | None]
    #: index: the period's days "YYYY-MM-DD", all of them; columns: kinds that occur; counts
    documents_by_day: pd.DataFrame
    #: index: system organ class, most events first; columns: SEVERITIES; counts
    adverse_events_by_class: pd.DataFrame
    #: index: test, most out of range first, only tests with any; columns: below, above, assessed
    labs_outside_range: pd.DataFrame
    #: index: site; columns: planned, unplanned; counts
    visits_by_site: pd.DataFrame
    #: index: site; columns: documents, subjects, adverse_events, serious, labs, out_of_range, visits,
    #: bad_files; counts
    site_activity: pd.DataFrame
    #: columns of TABLES["adverse_events"]; serious first, then by severity, site, subject
    adverse_events: Listing
    #: columns of TABLES["labs"] and `deviation`: distance outside the range in widths of the range
    abnormal_labs: Listing
    #: columns of TABLES["documents"], of all kinds of the filter, in order of arrival
    documents: Listing
    #: those documents with a file of the filter's file types
    files: Listing
    notes: Listing
    #: columns of TABLES["findings"]
    findings: Listing
    #: all filtered facts of the current period by table, for CSV and XLSX
    tables: Mapping[str, Listing]
    media: Mapping[str, Thumbnail]

    @property
    def is_empty(self) -> bool:
        """No document in the period matches the filters."""
        return not len(self.documents)

    @property
    def synthetic_documents(self) -> int:
        return int(self.documents["synthetic"].sum())


def selects_trial(filters: Filters, trial: str) -> bool:
    return not filters.trials or trial in filters.trials


def covers(filters: Filters, kind: Kind | None) -> bool:
    """Whether documents of `kind` pass the filters (None: a figure of all kinds)."""
    return kind is None or not filters.kinds or kind.value in filters.kinds


def figures_for(dataset: TrialDataset, filters: Filters) -> TrialFigures:
    """The figures of one trial under `filters`. The caller has chosen the trial."""
    facts = dataset.facts
    rows = {name: _rows(facts[name], name, filters) for name in ("documents", *_TABLE_KINDS)}
    has_file = _has_file(facts["documents"], filters)
    documents = facts["documents"].listing(rows["documents"][0])
    files = documents.where(has_file)
    labs = facts["labs"]
    outside = rows["labs"][0] & _outside(labs)
    current = {name: rows[name][0] for name in _TABLE_KINDS}
    return TrialFigures(
        trial=dataset.trial,
        title=dataset.title,
        values=_key_figures(facts, rows, has_file, filters),
        documents_by_day=_by_day_and_kind(documents, [day.isoformat() for day in dataset.period.days()]),
        adverse_events_by_class=_by_class(facts["adverse_events"], current["adverse_events"]),
        labs_outside_range=_by_test(labs, current["labs"]),
        visits_by_site=_visits_by_site(facts["visits"], current["visits"]),
        site_activity=_site_activity(facts, rows, documents, files),
        adverse_events=facts["adverse_events"].listing(current["adverse_events"]),
        abnormal_labs=facts["abnormal_labs"].listing(outside),
        documents=documents,
        files=files,
        notes=documents.where(facts["documents"]["note"] != ""),
        findings=_findings(facts, filters, documents),
        tables={name: Listing(facts[name], np.flatnonzero(mask)) for name, mask in current.items()},
        media={
            sha: dataset.media[sha]
            for sha, status in zip(files["file_sha256"].tolist(), files["file_status"].tolist(), strict=True)
            if status == "ok" and sha in dataset.media
        },
    )


def total(trials: Iterable[TrialFigures]) -> dict[Figure, Value | None]:
    """The key figures of several trials together: sums; subjects and sites count once per trial.

    The share is recomputed from the sums, never averaged.
    """
    trials = list(trials)
    summed: dict[Figure, Value | None] = {}
    for figure in Figure:
        values = [value for trial in trials if (value := trial.values[figure]) is not None]
        summed[figure] = (
            Value(sum(v.current for v in values), sum(v.previous for v in values)) if values else None
        )
    summed[Figure.ABNORMAL_LAB_SHARE] = _share(
        summed[Figure.ABNORMAL_LABS], summed[Figure.LAB_RESULTS_ASSESSED]
    )
    return summed


Masks = tuple[np.ndarray, np.ndarray]


def _rows(table: Facts, name: str, filters: Filters) -> Masks:
    """Which rows of the period and of the period before pass the filters for sites and kinds."""
    if name in _TABLE_KINDS and not covers(filters, _TABLE_KINDS[name]):
        return table.none, table.none
    now, before = table.current, table.previous
    if filters.sites:
        selected = table.one_of("site", filters.sites)
        now, before = now & selected, before & selected
    if name == "documents" and filters.kinds:
        selected = table.one_of("kind", filters.kinds)
        now, before = now & selected, before & selected
    return now, before


def _has_file(documents: Facts, filters: Filters) -> np.ndarray:
    has: np.ndarray = documents["file_status"] != ""
    return has & documents.one_of("file_type", filters.file_types) if filters.file_types else has


def _key_figures(
    facts: Mapping[str, Facts], rows: Mapping[str, Masks], has_file: np.ndarray, filters: Filters
) -> dict[Figure, Value | None]:
    now, before = (
        _counts(facts, {name: pair[side] for name, pair in rows.items()}, has_file) for side in (0, 1)
    )
    values: dict[Figure, Value | None] = {
        figure: Value(now[figure], before[figure]) if covers(filters, figure.kind) else None for figure in now
    }
    values[Figure.ABNORMAL_LAB_SHARE] = _share(
        values[Figure.ABNORMAL_LABS], values[Figure.LAB_RESULTS_ASSESSED]
    )
    return {figure: values[figure] for figure in Figure}


def _counts(
    facts: Mapping[str, Facts], rows: Mapping[str, np.ndarray], has_file: np.ndarray
) -> dict[Figure, float]:
    """The key figures of one window: `rows` are masks by table, `has_file` one of the documents."""
    documents, events, labs = facts["documents"], facts["adverse_events"], facts["labs"]
    status = documents["file_status"][rows["documents"] & has_file]
    return {
        Figure.DOCUMENTS: int(rows["documents"].sum()),
        Figure.SUBJECTS: _distinct(documents["subject"], rows["documents"]),
        Figure.SITES: _distinct(documents["site"], rows["documents"]),
        Figure.ADVERSE_EVENTS: int(rows["adverse_events"].sum()),
        Figure.SERIOUS_ADVERSE_EVENTS: int((events["serious"] & rows["adverse_events"]).sum()),
        Figure.SUBJECTS_WITH_ADVERSE_EVENTS: _distinct(events["subject"], rows["adverse_events"]),
        Figure.LAB_RESULTS_ASSESSED: int((_assessed(labs) & rows["labs"]).sum()),
        Figure.ABNORMAL_LABS: int((_outside(labs) & rows["labs"]).sum()),
        Figure.VISITS: int(rows["visits"].sum()),
        Figure.DISPOSITIONS: int(rows["dispositions"].sum()),
        Figure.FILES_OK: int((status == "ok").sum()),
        Figure.FILES_MISSING: int((status == "missing").sum()),
        Figure.FILES_CORRUPT: int((status == "corrupt").sum()),
    }


def _share(part: Value | None, whole: Value | None) -> Value | None:
    if part is None or whole is None:
        return None
    return Value(
        100 * part.current / whole.current if whole.current else float("nan"),
        100 * part.previous / whole.previous if whole.previous else float("nan"),
    )


def _distinct(column: np.ndarray, rows: np.ndarray) -> int:
    """Different values in `rows`; "" means nobody and does not count."""
    return len(set(column[rows].tolist()) - {""})


def _assessed(labs: Facts) -> np.ndarray:
    assessed: np.ndarray = ~np.isnan(labs["value"]) & ~(np.isnan(labs["low"]) & np.isnan(labs["high"]))
    return assessed


def _below(labs: Facts) -> np.ndarray:
    # A comparison with NaN is False, which is what a missing value or limit means here.
    below: np.ndarray = labs["value"] < labs["low"]
    return below


def _above(labs: Facts) -> np.ndarray:
    above: np.ndarray = labs["value"] > labs["high"]
    return above


def _outside(labs: Facts) -> np.ndarray:
    return _below(labs) | _above(labs)


def _frame(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    # Arrays of a given type: finding the type out costs more than the counting.
    return pd.DataFrame(counts, index=np.array(rows, dtype=object), columns=np.array(columns, dtype=object))


def _counted(keys: list[str], others: list[str], rows: list[str], columns: list[str]) -> pd.DataFrame:
    """Counts of pairs as a frame with exactly `rows` and `columns`."""
    row_at = {key: n for n, key in enumerate(rows)}
    column_at = {key: n for n, key in enumerate(columns)}
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for (key, other), times in Counter(zip(keys, others, strict=True)).items():
        if key in row_at:
            counts[row_at[key], column_at[other]] = times
    return _frame(counts, rows, columns)


def _by_day_and_kind(documents: Listing, days: list[str]) -> pd.DataFrame:
    kinds = documents["kind"].tolist()
    known = [kind.value for kind in Kind]
    present = set(kinds)
    columns = [kind for kind in known if kind in present] + sorted(present.difference(known))
    return _counted(documents["day"].tolist(), kinds, days, columns)


def _by_class(events: Facts, rows: np.ndarray) -> pd.DataFrame:
    classes = [name or NOT_CODED for name in events["system_organ_class"][rows].tolist()]
    severities = [s if s in SEVERITIES else SEVERITIES[-1] for s in events["severity"][rows].tolist()]
    in_all = Counter(classes)
    most_first = sorted(in_all, key=lambda name: (-in_all[name], name))
    return _counted(classes, severities, most_first, list(SEVERITIES))


def _by_test(labs: Facts, rows: np.ndarray) -> pd.DataFrame:
    sides = [
        Counter(labs["test"][rows & side].tolist()) for side in (_below(labs), _above(labs), _assessed(labs))
    ]
    out = sides[0] + sides[1]
    most_first = sorted(out, key=lambda test: (-out[test], test))
    counts = np.array([[side[test] for side in sides] for test in most_first], dtype=np.int64)
    return _frame(counts.reshape(len(most_first), 3), most_first, ["below", "above", "assessed"])


def _visits_by_site(visits: Facts, rows: np.ndarray) -> pd.DataFrame:
    sites = visits["site"][rows].tolist()
    planned = ["planned" if flag else "unplanned" for flag in visits["planned"][rows].tolist()]
    return _counted(sites, planned, sorted(set(sites)), ["planned", "unplanned"])


def _site_activity(
    facts: Mapping[str, Facts], rows: Mapping[str, Masks], documents: Listing, files: Listing
) -> pd.DataFrame:
    events, labs = facts["adverse_events"], facts["labs"]
    of_events, of_labs = rows["adverse_events"][0], rows["labs"][0]
    pairs = {
        (site, subject)
        for site, subject in zip(documents["site"].tolist(), documents["subject"].tolist(), strict=True)
        if subject
    }
    columns = {
        "documents": Counter(documents["site"].tolist()),
        "subjects": Counter(site for site, _ in pairs),
        "adverse_events": Counter(events["site"][of_events].tolist()),
        "serious": Counter(events["site"][of_events & events["serious"]].tolist()),
        "labs": Counter(labs["site"][of_labs & _assessed(labs)].tolist()),
        "out_of_range": Counter(labs["site"][of_labs & _outside(labs)].tolist()),
        "visits": Counter(facts["visits"]["site"][rows["visits"][0]].tolist()),
        "bad_files": Counter(files["site"][files["file_status"] != "ok"].tolist()),
    }
    sites = sorted(columns["documents"] | columns["adverse_events"])
    counts = np.array([[column[site] for column in columns.values()] for site in sites], dtype=np.int64)
    return _frame(counts.reshape(len(sites), len(columns)), sites, list(columns))


def _findings(facts: Mapping[str, Facts], filters: Filters, documents: Listing) -> Listing:
    """What was odd in the period, for the filter's sites and kinds.

    A finding about a record that did not become a document is always shown: nobody could say
    which filter it would have passed.
    """
    findings = facts["findings"]
    keep = findings.current
    if filters.sites:
        keep = keep & findings.one_of("site", (*filters.sites, ""))
    if filters.kinds or filters.sites:
        left_out = set(facts["documents"]["document_id"].tolist()).difference(
            documents["document_id"].tolist()
        )
        about = [document not in left_out for document in findings["document_id"].tolist()]
        keep = keep & np.array(about, dtype=bool)
    return findings.listing(keep)
