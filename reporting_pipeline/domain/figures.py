"""The figures of a report: one trial, one period, one subscription's filters, beside the period before.

Pure pandas; nothing is drawn here. `DEFINITIONS` says in words what every figure counts, the report
prints those words, and a test recomputes the figures from raw tables by them. A figure whose
documents the filters leave out is absent (None), never 0.

Filters: `trials`, `sites` and `kinds` choose documents and the facts that come from them;
`file_types` chooses only which files and images are shown and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from reporting_pipeline.domain.datasets import Thumbnail, TrialDataset
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.subscriptions import Filters

CURRENT, PREVIOUS = "current", "previous"
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
    """Everything a report says about one trial. Frames hold the current period only."""

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
    adverse_events: pd.DataFrame
    #: columns of TABLES["labs"] and `deviation`: distance outside the range in widths of the range
    abnormal_labs: pd.DataFrame
    #: columns of TABLES["documents"], of all kinds of the filter, in order of arrival
    documents: pd.DataFrame
    #: those documents with a file of the filter's file types
    files: pd.DataFrame
    notes: pd.DataFrame
    #: columns of TABLES["findings"]
    findings: pd.DataFrame
    #: all filtered fact tables of the current period, for CSV and XLSX
    tables: Mapping[str, pd.DataFrame]
    media: Mapping[str, Thumbnail]

    @property
    def is_empty(self) -> bool:
        """No document in the period matches the filters."""
        return self.documents.empty

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
    tables = dataset.tables
    masks = {name: _masks(tables[name], name, filters) for name in ("documents", *_TABLE_KINDS)}
    documents = _in_order_of_arrival(tables["documents"][masks["documents"][0]])
    files = documents[_has_file(documents, filters)].reset_index(drop=True)
    current = {name: tables[name][masks[name][0]] for name in _TABLE_KINDS}
    labs = current["labs"]
    abnormal = labs[_outside(labs)]
    return TrialFigures(
        trial=dataset.trial,
        title=dataset.title,
        values=_key_figures(tables, masks, filters),
        documents_by_day=_by_day_and_kind(documents, [day.isoformat() for day in dataset.period.days()]),
        adverse_events_by_class=_by_class(current["adverse_events"]),
        labs_outside_range=_by_test(labs),
        visits_by_site=_visits_by_site(current["visits"]),
        site_activity=_site_activity(documents, current, abnormal, files),
        adverse_events=_listing(current["adverse_events"]),
        abnormal_labs=_by_deviation(abnormal),
        documents=documents,
        files=files,
        notes=documents[documents["note"].to_numpy() != ""].reset_index(drop=True),
        findings=_findings(dataset, filters, documents),
        tables=current,
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


def _masks(table: pd.DataFrame, name: str, filters: Filters) -> Masks:
    """Which rows of the period and of the period before pass the filters for sites and kinds."""
    if name in _TABLE_KINDS and not covers(filters, _TABLE_KINDS[name]):
        nothing = np.zeros(len(table), dtype=bool)
        return nothing, nothing
    window = table["window"].to_numpy()
    now, before = window == CURRENT, window == PREVIOUS
    if filters.sites:
        selected = table["site"].isin(filters.sites).to_numpy()
        now, before = now & selected, before & selected
    if name == "documents" and filters.kinds:
        selected = table["kind"].isin(filters.kinds).to_numpy()
        now, before = now & selected, before & selected
    return now, before


def _in_order_of_arrival(documents: pd.DataFrame) -> pd.DataFrame:
    return _ordered(
        documents, documents["received_at"].astype("int64").tolist(), documents["document_id"].tolist()
    )


def _ordered(frame: pd.DataFrame, *keys: list[Any]) -> pd.DataFrame:
    """The rows sorted by `keys`. Sorting tuples beats pandas by far on the small tables of a week."""
    places = list(zip(*keys, strict=True))
    order = sorted(range(len(places)), key=places.__getitem__)
    return frame.iloc[order].reset_index(drop=True)


def _has_file(documents: pd.DataFrame, filters: Filters) -> np.ndarray:
    has = documents["file_status"].to_numpy() != ""
    if filters.file_types:
        has = has & documents["file_type"].isin(filters.file_types).to_numpy()
    return has


def _key_figures(
    tables: Mapping[str, pd.DataFrame], masks: Mapping[str, Masks], filters: Filters
) -> dict[Figure, Value | None]:
    has_file = _has_file(tables["documents"], filters)
    now, before = (
        _counts(tables, {name: pair[side] for name, pair in masks.items()}, has_file) for side in (0, 1)
    )
    values: dict[Figure, Value | None] = {
        figure: Value(now[figure], before[figure]) if covers(filters, figure.kind) else None for figure in now
    }
    values[Figure.ABNORMAL_LAB_SHARE] = _share(
        values[Figure.ABNORMAL_LABS], values[Figure.LAB_RESULTS_ASSESSED]
    )
    return {figure: values[figure] for figure in Figure}


def _counts(
    tables: Mapping[str, pd.DataFrame], rows: Mapping[str, np.ndarray], has_file: np.ndarray
) -> dict[Figure, float]:
    """The key figures of one window: `rows` are masks by table, `has_file` one of the documents."""
    documents, events, labs = tables["documents"], tables["adverse_events"], tables["labs"]
    status = documents["file_status"].to_numpy()[rows["documents"] & has_file]
    return {
        Figure.DOCUMENTS: int(rows["documents"].sum()),
        Figure.SUBJECTS: _distinct(documents["subject"], rows["documents"]),
        Figure.SITES: _distinct(documents["site"], rows["documents"]),
        Figure.ADVERSE_EVENTS: int(rows["adverse_events"].sum()),
        Figure.SERIOUS_ADVERSE_EVENTS: int((events["serious"].to_numpy() & rows["adverse_events"]).sum()),
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


def _distinct(column: pd.Series, rows: np.ndarray) -> int:
    """Different values in `rows`; "" means nobody and does not count."""
    return len(set(column.to_numpy()[rows].tolist()) - {""})


def _assessed(labs: pd.DataFrame) -> np.ndarray:
    value, low, high = (labs[column].to_numpy() for column in ("value", "low", "high"))
    return ~np.isnan(value) & ~(np.isnan(low) & np.isnan(high))


def _outside(labs: pd.DataFrame) -> np.ndarray:
    # A comparison with NaN is False, which is what a missing value or limit means here.
    value, low, high = (labs[column].to_numpy() for column in ("value", "low", "high"))
    return (value < low) | (value > high)


def _counted(keys: list[str], others: list[str], rows: list[str], columns: list[str]) -> pd.DataFrame:
    """Counts of pairs as a frame with exactly `rows` and `columns`."""
    row_at = {key: n for n, key in enumerate(rows)}
    column_at = {key: n for n, key in enumerate(columns)}
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    pairs = [(row_at[a], column_at[b]) for a, b in zip(keys, others, strict=True) if a in row_at]
    if pairs:
        np.add.at(counts, tuple(np.array(pairs).T), 1)
    return pd.DataFrame(counts, index=rows, columns=columns)


def _by_day_and_kind(documents: pd.DataFrame, days: list[str]) -> pd.DataFrame:
    kinds = documents["kind"].tolist()
    known = [kind.value for kind in Kind]
    present = set(kinds)
    columns = [kind for kind in known if kind in present] + sorted(present.difference(known))
    return _counted(documents["day"].tolist(), kinds, days, columns)


def _by_class(events: pd.DataFrame) -> pd.DataFrame:
    classes = [name or NOT_CODED for name in events["system_organ_class"].tolist()]
    severities = [s if s in SEVERITIES else SEVERITIES[-1] for s in events["severity"].tolist()]
    counts = _counted(classes, severities, sorted(set(classes)), list(SEVERITIES))
    return counts.iloc[np.argsort(-counts.to_numpy().sum(axis=1), kind="stable")]


def _by_test(labs: pd.DataFrame) -> pd.DataFrame:
    tests = labs["test"].to_numpy()
    value = labs["value"].to_numpy()
    sides = {
        "below": value < labs["low"].to_numpy(),
        "above": value > labs["high"].to_numpy(),
        "assessed": _assessed(labs),
    }
    names = sorted(set(tests[sides["below"] | sides["above"]].tolist()))
    at = {name: n for n, name in enumerate(names)}
    counts = np.zeros((len(names), 3), dtype=np.int64)
    codes = np.array([at.get(test, -1) for test in tests.tolist()], dtype=np.int64)
    for column, mask in enumerate(sides.values()):
        np.add.at(counts[:, column], codes[mask & (codes >= 0)], 1)
    order = np.argsort(-(counts[:, 0] + counts[:, 1]), kind="stable")
    return pd.DataFrame(counts, index=names, columns=list(sides)).iloc[order]


def _visits_by_site(visits: pd.DataFrame) -> pd.DataFrame:
    sites = visits["site"].tolist()
    planned = ["planned" if flag else "unplanned" for flag in visits["planned"].tolist()]
    return _counted(sites, planned, sorted(set(sites)), ["planned", "unplanned"])


def _site_activity(
    documents: pd.DataFrame,
    current: Mapping[str, pd.DataFrame],
    abnormal: pd.DataFrame,
    files: pd.DataFrame,
) -> pd.DataFrame:
    events = current["adverse_events"]
    sites = sorted(set(documents["site"].tolist()) | set(events["site"].tolist()))
    named = documents[documents["subject"] != ""]
    pairs = {*zip(named["site"].tolist(), named["subject"].tolist(), strict=True)}
    columns = {
        "documents": documents["site"].tolist(),
        "subjects": [site for site, _ in pairs],
        "adverse_events": events["site"].tolist(),
        "serious": events.loc[events["serious"], "site"].tolist(),
        "labs": current["labs"]["site"].to_numpy()[_assessed(current["labs"])].tolist(),
        "out_of_range": abnormal["site"].tolist(),
        "visits": current["visits"]["site"].tolist(),
        "bad_files": files.loc[files["file_status"] != "ok", "site"].tolist(),
    }
    at = {site: n for n, site in enumerate(sites)}
    counts = np.zeros((len(sites), len(columns)), dtype=np.int64)
    for column, found in enumerate(columns.values()):
        np.add.at(counts[:, column], [at[site] for site in found if site in at], 1)
    return pd.DataFrame(counts, index=sites, columns=list(columns))


def _listing(events: pd.DataFrame) -> pd.DataFrame:
    ranks = {"SEVERE": 0, "MODERATE": 1, "MILD": 2}
    names = ("site", "subject", "preferred_term", "document_id")
    return _ordered(
        events,
        [not serious for serious in events["serious"].tolist()],
        [ranks.get(severity, 3) for severity in events["severity"].tolist()],
        *(events[name].tolist() for name in names),
    )


def _by_deviation(abnormal: pd.DataFrame) -> pd.DataFrame:
    """Abnormal results, the farthest outside their range first."""
    value, low, high = (abnormal[column].to_numpy() for column in ("value", "low", "high"))
    distance = np.where(value < low, low - value, value - high)
    limit = np.abs(np.where(value < low, low, high))
    width = high - low
    scale = np.where(width > 0, width, np.where(limit > 0, limit, 1.0))  # NaN > 0 is False
    deviation = distance / scale
    names = ("site", "subject", "test", "document_id")
    return _ordered(
        abnormal.assign(deviation=deviation),
        (-deviation).tolist(),
        *(abnormal[name].tolist() for name in names),
    )


def _findings(dataset: TrialDataset, filters: Filters, documents: pd.DataFrame) -> pd.DataFrame:
    """What was odd in the period, for the filter's sites and kinds.

    A finding about a record that did not become a document is always shown: nobody could say
    which filter it would have passed.
    """
    findings = dataset.tables["findings"]
    keep = findings["window"].to_numpy() == CURRENT
    if filters.sites:
        keep &= findings["site"].isin((*filters.sites, "")).to_numpy()
    if filters.kinds or filters.sites:
        known = set(dataset.tables["documents"]["document_id"].tolist())
        left_out = known.difference(documents["document_id"].tolist())
        keep &= ~findings["document_id"].isin(left_out).to_numpy()
    kept = findings[keep]
    names = ("code", "site", "document_id", "field")
    return _ordered(kept, *(kept[name].tolist() for name in names))
