"""The figures of a report: one trial, one period, one subscription's filters, beside the period before.

Pure pandas; nothing is drawn here. `DEFINITIONS` says in words what every figure counts, the report
prints those words, and a test recomputes the figures from raw tables by them. A figure whose
documents the filters leave out is absent (None), never 0.

Every figure stands on a population: the rows it counts, so that the documents behind it can be named.

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

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.domain.clinical.rows import MEASUREMENTS, TABLE_OF
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.deferred import DeferredTable
from reporting_pipeline.domain.documents import Kind, same_file_type
from reporting_pipeline.domain.facts import Facts, Listing
from reporting_pipeline.domain.omissions import Omission
from reporting_pipeline.domain.populations import CountedByColumn, Population, counted_elsewhere
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.domain.thumbnails import Thumbnail

#: Mildest first, by severity in words or toxicity grade; without either they count as NOT STATED.
SEVERITIES = (*codes.LEVEL_NAMES[1:], codes.LEVEL_NAMES[0])
NOT_CODED = "Not coded"


class Figure(StrEnum):
    """The key figures, in the order in which a reader meets them."""

    DOCUMENTS = "documents"
    SUBJECTS = "subjects"
    SITES = "sites"
    DEATHS = "deaths"
    SERIOUS_ADVERSE_EVENTS = "serious_adverse_events"
    UNKNOWN_SERIOUSNESS = "adverse_events_of_unknown_seriousness"
    ADVERSE_EVENTS = "adverse_events"
    SUBJECTS_WITH_ADVERSE_EVENTS = "subjects_with_adverse_events"
    RESULTS_ASSESSED = "results_assessed"
    OUT_OF_RANGE = "out_of_range"
    LAB_RESULTS_ASSESSED = "lab_results_assessed"
    ABNORMAL_LABS = "abnormal_labs"
    ABNORMAL_LAB_SHARE = "abnormal_lab_share"
    VISITS = "visits"
    VISITS_MISSED = "visits_missed"
    VISITS_PLANNED = "visits_planned"
    DISPOSITIONS = "dispositions"
    DISCONTINUATIONS = "discontinuations"
    DEVIATIONS = "deviations"
    MEDICATIONS = "medications"
    MEDICAL_HISTORY = "medical_history"
    FILES_OK = "files_ok"
    FILES_NOT_INSPECTED = "files_not_inspected"
    FILES_MISSING = "files_missing"
    FILES_CORRUPT = "files_corrupt"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def definition(self) -> str:
        return DEFINITIONS[self]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of document it is counted from; () when it is counted from all kinds."""
        return _KINDS.get(self, ())


_LABELS: Mapping[Figure, str] = {
    Figure.DOCUMENTS: "Documents received",
    Figure.SUBJECTS: "Subjects with activity",
    Figure.SITES: "Sites active",
    Figure.DEATHS: "Deaths",
    Figure.SERIOUS_ADVERSE_EVENTS: "Serious adverse events",
    Figure.UNKNOWN_SERIOUSNESS: "AEs, seriousness unknown",
    Figure.ADVERSE_EVENTS: "Adverse events",
    Figure.SUBJECTS_WITH_ADVERSE_EVENTS: "Subjects with an AE",
    Figure.RESULTS_ASSESSED: "Results assessed",
    Figure.OUT_OF_RANGE: "Results out of range",
    Figure.LAB_RESULTS_ASSESSED: "Lab results assessed",
    Figure.ABNORMAL_LABS: "Lab results out of range",
    Figure.ABNORMAL_LAB_SHARE: "Share out of range",
    Figure.VISITS: "Visits done",
    Figure.VISITS_MISSED: "Visits missed",
    Figure.VISITS_PLANNED: "Visits of the plan",
    Figure.DISPOSITIONS: "Dispositions",
    Figure.DISCONTINUATIONS: "Discontinuations",
    Figure.DEVIATIONS: "Protocol deviations",
    Figure.MEDICATIONS: "Medications",
    Figure.MEDICAL_HISTORY: "Medical history records",
    Figure.FILES_OK: "Files received intact",
    Figure.FILES_NOT_INSPECTED: "Files not inspected",
    Figure.FILES_MISSING: "Files missing",
    Figure.FILES_CORRUPT: "Files unreadable",
}

_FLAGGED = (
    "that the laboratory flagged other than normal, or that lie below the low or above the high limit of "
    "their range where there is no flag; a value equal to a limit is within"
)
DEFINITIONS: Mapping[Figure, str] = {
    Figure.DOCUMENTS: "Documents whose time of arrival falls in the period.",
    Figure.SUBJECTS: "Different subjects named by at least one of these documents. A subject number that "
    "occurs at two sites means two subjects, unless it names its site.",
    Figure.SITES: "Different sites from which at least one of these documents came.",
    Figure.DEATHS: "Different subjects of whom one of these documents says that they died: an adverse event "
    "with a fatal outcome, grade 5 or the criterion death, a disposition, or the subject's record.",
    Figure.SERIOUS_ADVERSE_EVENTS: "Those adverse events that the site marked as serious.",
    Figure.UNKNOWN_SERIOUSNESS: "Those adverse events of which nobody stated whether they are serious; they "
    "are neither counted as serious nor as not serious.",
    Figure.ADVERSE_EVENTS: "Adverse events reported by these documents, each report counted once; "
    "the event itself may have begun before the period.",
    Figure.SUBJECTS_WITH_ADVERSE_EVENTS: "Different subjects with at least one of these adverse events.",
    Figure.RESULTS_ASSESSED: "Results of laboratory, vital signs, ECG and other measurements that have a "
    "flag of the laboratory, or a value and a usable range to compare it with.",
    Figure.OUT_OF_RANGE: f"Results of these measurements {_FLAGGED}.",
    Figure.LAB_RESULTS_ASSESSED: "Laboratory results that have a flag of the laboratory, or a value and a "
    "usable range to compare it with.",
    Figure.ABNORMAL_LABS: f"Laboratory results {_FLAGGED}.",
    Figure.ABNORMAL_LAB_SHARE: "Lab results out of range divided by lab results assessed, in per cent.",
    Figure.VISITS: "Subject visits that took place, of the plan and beside it: said to have occurred, or "
    "dated and not in the future.",
    Figure.VISITS_MISSED: "Subject visits that are said not to have occurred.",
    Figure.VISITS_PLANNED: "Subject visits of the protocol's plan reported by these documents, whether done, "
    "missed, still to come or not stated.",
    Figure.DISPOSITIONS: "Disposition events (completed, or left the trial and why) reported by these "
    "documents; protocol milestones, as a consent, are none.",
    Figure.DISCONTINUATIONS: "Those dispositions that say that a subject left the trial before its end; "
    "screen failures are none, nor is the end of the treatment alone.",
    Figure.DEVIATIONS: "Protocol deviations reported by these documents.",
    Figure.MEDICATIONS: "Medications beside the treatment of the trial reported by these documents.",
    Figure.MEDICAL_HISTORY: "Records of conditions from before the trial; those that are said not "
    "to have occurred are none.",
    Figure.FILES_OK: "Files of these documents that were found, match their recorded size and checksum, "
    "and were opened.",
    Figure.FILES_NOT_INSPECTED: "Files that were found and match their recorded size and checksum, but are "
    "of a type that is not opened here: whether they can be read is not known.",
    Figure.FILES_MISSING: "Files that a document names and that were not found in the store.",
    Figure.FILES_CORRUPT: "Files that were found but are damaged, not what they claim to be, or cannot be "
    "opened.",
}

_MEASURED = tuple(Kind(kind) for kind in MEASUREMENTS)
_KINDS: Mapping[Figure, tuple[Kind, ...]] = {
    Figure.DEATHS: (Kind.ADVERSE_EVENT, Kind.DISPOSITION, Kind.SUBJECT),
    Figure.ADVERSE_EVENTS: (Kind.ADVERSE_EVENT,),
    Figure.SERIOUS_ADVERSE_EVENTS: (Kind.ADVERSE_EVENT,),
    Figure.UNKNOWN_SERIOUSNESS: (Kind.ADVERSE_EVENT,),
    Figure.SUBJECTS_WITH_ADVERSE_EVENTS: (Kind.ADVERSE_EVENT,),
    Figure.RESULTS_ASSESSED: _MEASURED,
    Figure.OUT_OF_RANGE: _MEASURED,
    Figure.LAB_RESULTS_ASSESSED: (Kind.LAB,),
    Figure.ABNORMAL_LABS: (Kind.LAB,),
    Figure.ABNORMAL_LAB_SHARE: (Kind.LAB,),
    Figure.VISITS: (Kind.VISIT,),
    Figure.VISITS_MISSED: (Kind.VISIT,),
    Figure.VISITS_PLANNED: (Kind.VISIT,),
    Figure.DISPOSITIONS: (Kind.DISPOSITION,),
    Figure.DISCONTINUATIONS: (Kind.DISPOSITION,),
    Figure.DEVIATIONS: (Kind.DEVIATION,),
    Figure.MEDICATIONS: (Kind.MEDICATION,),
    Figure.MEDICAL_HISTORY: (Kind.HISTORY,),
}

#: table -> the kind of document that its facts come from
KIND_OF: Mapping[str, Kind] = {table: Kind(kind) for kind, table in TABLE_OF.items()}


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
    #: index: test, most out of range first, only tests with any; columns: below, above, other, assessed;
    #: without tests whose results have several units
    labs_outside_range: pd.DataFrame
    #: index: site; columns: planned, unplanned (those done), missed, other; counts
    visits_by_site: pd.DataFrame
    #: index: (class, what was decided), most first in each class; column: records
    dispositions_by_reason: pd.DataFrame
    #: index: site; columns: documents, subjects, adverse_events, serious, results, out_of_range,
    #: visits, bad_files; counts
    site_activity: pd.DataFrame
    #: columns of TABLES["adverse_events"]; fatal first, then serious or with a criterion of it, then unknown,
    #: in each the gravest first
    adverse_events: Listing
    #: columns of the measurement tables and `kind`, of all measurements, in the order of the rank
    out_of_range: Listing
    #: columns of TABLES["documents"], of all kinds of the filter, in order of arrival
    documents: Listing
    #: those documents with a file of the filter's file types
    files: Listing
    notes: Listing
    #: columns of TABLES["findings"]
    findings: Listing
    #: all filtered facts of the current period by table, for CSV, XLSX and JSON
    tables: Mapping[str, Listing]
    media: Mapping[str, Thumbnail]
    omissions: tuple[Omission, ...]  # parts of this trial that the filters cover
    populations: Mapping[Figure, Population]  # of the current period; figures that the filters cover
    deferred: Mapping[str, DeferredTable]  # tables without rows here

    @property
    def is_empty(self) -> bool:
        """No document in the period matches the filters."""
        return not len(self.documents)

    @property
    def synthetic_documents(self) -> int:
        return int(self.documents["synthetic"].sum())

    def documents_behind(self, figure: Figure) -> list[str]:
        """The ids of the documents that a figure was counted from, sorted; [] for one that is absent."""
        population = self.populations.get(figure)
        return population.documents() if population else []


def selects_trial(filters: Filters, trial: str) -> bool:
    return not filters.trials or trial in filters.trials


def covers(filters: Filters, kinds: Iterable[Kind]) -> bool:
    """Whether documents of one of `kinds` pass the filters (none given: a figure of all kinds)."""
    wanted = tuple(kinds)
    return not wanted or not filters.kinds or any(kind.value in filters.kinds for kind in wanted)


def figures_for(dataset: TrialDataset, filters: Filters, *, all_results: bool = True) -> TrialFigures:
    """The figures of one trial under `filters`. The caller has chosen the trial.

    `all_results`: results that are not in memory are gone through to be counted; else figures over them are
    absent. Tables and listings are never of them.
    """
    facts = dataset.facts
    rows = {name: _rows(facts[name], name, filters) for name in ("documents", *KIND_OF)}
    has_file = _has_file(facts["documents"], filters)
    read = [
        one for name, one in dataset.deferred.items() if all_results and covers(filters, (KIND_OF[name],))
    ]
    counted = {one.name: counted_elsewhere(one, filters.sites) for one in read}
    now, before = (
        _populations(
            facts, {name: pair[side] for name, pair in rows.items()}, counted, side, has_file, filters
        )
        for side in (0, 1)
    )
    unread = set() if all_results else {KIND_OF[name] for name in dataset.deferred}
    now, before = (
        {figure: one for figure, one in found.items() if unread.isdisjoint(figure.kinds)}
        for found in (now, before)
    )
    documents = facts["documents"].listing(rows["documents"][0])
    files = documents.where(has_file)
    current = {name: rows[name][0] for name in KIND_OF}
    return TrialFigures(
        trial=dataset.trial,
        title=dataset.title,
        values=_key_figures(now, before),
        documents_by_day=_by_day_and_kind(documents, [day.isoformat() for day in dataset.period.days()]),
        adverse_events_by_class=_by_class(facts["adverse_events"], current["adverse_events"]),
        labs_outside_range=_by_test(facts["labs"], current["labs"]),
        visits_by_site=_visits_by_site(facts["visits"], current["visits"]),
        dispositions_by_reason=_by_reason(facts["dispositions"], current["dispositions"]),
        site_activity=_site_activity(facts, rows, documents, files),
        adverse_events=facts["adverse_events"].listing(current["adverse_events"]),
        out_of_range=facts["out_of_range"].listing(_out_of_range_rows(facts["out_of_range"], filters)),
        documents=documents,
        files=files,
        notes=documents.where(facts["documents"]["note"] != ""),
        findings=_findings(facts, filters, documents),
        tables={name: facts[name].listing(mask) for name, mask in current.items()},
        media={
            sha: dataset.media[sha]
            for sha, status in zip(files["file_sha256"].tolist(), files["file_status"].tolist(), strict=True)
            if status == "ok" and sha in dataset.media
        },
        omissions=tuple(one for one in dataset.omissions if _concerns(one, filters)),
        populations=now,
        deferred=dataset.deferred,
    )


def _concerns(omission: Omission, filters: Filters) -> bool:
    """Whether an omission leaves out what these filters would show."""
    kind = KIND_OF.get(omission.part.partition("/")[0])
    return kind is None or covers(filters, (kind,))


def _out_of_range_rows(results: Facts, filters: Filters) -> np.ndarray:
    rows = results.current
    if filters.sites:
        rows = rows & results.one_of("site", filters.sites)
    return rows & results.one_of("kind", filters.kinds) if filters.kinds else rows


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
    if name in KIND_OF and not covers(filters, (KIND_OF[name],)):
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
    types = {same_file_type(name) for name in filters.file_types}
    return has & documents.one_of("file_type", sorted(types)) if types else has


def _populations(
    facts: Mapping[str, Facts],
    rows: Mapping[str, np.ndarray],
    counted: Mapping[str, CountedByColumn],
    side: int,
    has_file: np.ndarray,
    filters: Filters,
) -> dict[Figure, Population]:
    """The rows behind each figure that the filters cover, of one window: `rows` are masks by table, `counted`
    what is not in memory, of which `side` is the window's."""

    def of(table: str, where: np.ndarray | None = None, counting: str = "rows") -> Population:
        mask = rows[table] if where is None else rows[table] & where
        return Population(((facts[table], mask),), counting)

    def measured(column: str, names: Iterable[str] = MEASUREMENTS.values()) -> Population:
        return Population(
            tuple((facts[name], rows[name] & facts[name][column]) for name in names),
            elsewhere=tuple(counted[name][column][side] for name in names if name in counted),
        )

    events, visits, dispositions = facts["adverse_events"], facts["visits"], facts["dispositions"]
    files, history = facts["documents"], facts["medical_history"]
    deaths = (
        (events, rows["adverse_events"] & events["fatal"]),
        (dispositions, rows["dispositions"] & dispositions["death"]),
        (facts["subjects"], rows["subjects"] & (facts["subjects"]["died"] == codes.YES)),
    )
    decided = dispositions.one_of("disposition_class", (codes.DISPOSITION, "NOT STATED"))
    found = {
        Figure.DOCUMENTS: of("documents"),
        Figure.SUBJECTS: of("documents", counting="persons"),
        Figure.SITES: of("documents", counting="sites"),
        Figure.DEATHS: Population(deaths, "deceased"),
        Figure.SERIOUS_ADVERSE_EVENTS: of("adverse_events", events.one_of("serious", (codes.YES,))),
        Figure.UNKNOWN_SERIOUSNESS: of("adverse_events", ~events.one_of("serious", (codes.YES, codes.NO))),
        Figure.ADVERSE_EVENTS: of("adverse_events"),
        Figure.SUBJECTS_WITH_ADVERSE_EVENTS: of("adverse_events", counting="persons"),
        Figure.RESULTS_ASSESSED: measured("assessed"),
        Figure.OUT_OF_RANGE: measured("out_of_range"),
        Figure.LAB_RESULTS_ASSESSED: measured("assessed", ["labs"]),
        Figure.ABNORMAL_LABS: measured("out_of_range", ["labs"]),
        Figure.ABNORMAL_LAB_SHARE: measured("assessed", ["labs"]),
        Figure.VISITS: of("visits", visits.one_of("visit_status", ("done",))),
        Figure.VISITS_MISSED: of("visits", visits.one_of("visit_status", ("missed",))),
        Figure.VISITS_PLANNED: of("visits", visits["planned"]),
        Figure.DISPOSITIONS: of("dispositions", decided),
        Figure.DISCONTINUATIONS: of("dispositions", dispositions["discontinued"]),
        Figure.DEVIATIONS: of("deviations"),
        Figure.MEDICATIONS: of("medications"),
        Figure.MEDICAL_HISTORY: of("medical_history", ~history.one_of("occurred", (codes.NO,))),
    }
    statuses = {
        Figure.FILES_OK: "ok",
        Figure.FILES_NOT_INSPECTED: "not_inspected",
        Figure.FILES_MISSING: "missing",
        Figure.FILES_CORRUPT: "corrupt",
    }
    for figure, status in statuses.items():
        found[figure] = of("documents", has_file & files.one_of("file_status", (status,)))
    return {figure: found[figure] for figure in Figure if covers(filters, figure.kinds)}


def _key_figures(
    now: Mapping[Figure, Population], before: Mapping[Figure, Population]
) -> dict[Figure, Value | None]:
    values: dict[Figure, Value | None] = {
        figure: Value(now[figure].count(), before[figure].count()) if figure in now else None
        for figure in Figure
    }
    values[Figure.ABNORMAL_LAB_SHARE] = _share(
        values[Figure.ABNORMAL_LABS], values[Figure.LAB_RESULTS_ASSESSED]
    )
    return values


def _share(part: Value | None, whole: Value | None) -> Value | None:
    if part is None or whole is None:
        return None
    return Value(
        100 * part.current / whole.current if whole.current else float("nan"),
        100 * part.previous / whole.previous if whole.previous else float("nan"),
    )


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
    severities = [codes.LEVEL_NAMES[level] for level in events.levels[rows].tolist()] if classes else []
    in_all = Counter(classes)
    most_first = sorted(in_all, key=lambda name: (-in_all[name], name))
    return _counted(classes, severities, most_first, list(SEVERITIES))


def _by_test(labs: Facts, rows: np.ndarray) -> pd.DataFrame:
    columns = ["below", "above", "other", "assessed"]
    judged = rows & labs["assessed"] & ~labs["units_differ"]
    out = judged & labs["out_of_range"]
    if not out.any():
        return _frame(np.zeros((0, len(columns)), dtype=np.int64), [], columns)
    assessed = Counter(labs.tests[judged].tolist())
    tests = labs.tests[out].tolist()
    sides = [_SIDES.get(codes.judgement(flag).side, "other") for flag in labs["flag"][out].tolist()]
    in_all = Counter(tests)
    most_first = sorted(in_all, key=lambda test: (-in_all[test], test))
    frame = _counted(tests, sides, most_first, columns)
    frame["assessed"] = [assessed[test] for test in most_first]
    return frame


_SIDES = {codes.LOW: "below", codes.HIGH: "above"}


def _visits_by_site(visits: Facts, rows: np.ndarray) -> pd.DataFrame:
    sites = visits["site"][rows].tolist()
    statuses = zip(visits["visit_status"][rows].tolist(), visits["planned"][rows].tolist(), strict=True)
    became = [_visit_column(status, planned) for status, planned in statuses]
    return _counted(sites, became, sorted(set(sites)), ["planned", "unplanned", "missed", "other"])


def _visit_column(status: str, planned: bool) -> str:
    if status == "done":
        return "planned" if planned else "unplanned"
    return "missed" if status == "missed" else "other"


def _by_reason(dispositions: Facts, rows: np.ndarray) -> pd.DataFrame:
    names = ("disposition_class", "decoded", "term", "subcategory")
    found = zip(*(dispositions[name][rows].tolist() for name in names), strict=True)
    counts = Counter(
        (kind, f"{decoded or term} ({of.lower()})" if of else decoded or term)
        for kind, decoded, term, of in found
    )
    order = {kind: place for place, kind in enumerate((codes.DISPOSITION, "NOT STATED", codes.OTHER_EVENT))}
    most_first = sorted(counts, key=lambda one: (order.get(one[0], 9), one[0], -counts[one], one[1]))
    return pd.DataFrame(
        {"records": [counts[one] for one in most_first]},
        index=pd.MultiIndex.from_tuples(most_first, names=["class", "what"]) if most_first else None,
    )


def _site_activity(
    facts: Mapping[str, Facts], rows: Mapping[str, Masks], documents: Listing, files: Listing
) -> pd.DataFrame:
    events = facts["adverse_events"]
    of_events = rows["adverse_events"][0]
    people = {
        (site, person)
        for site, person in zip(
            documents["site"].tolist(), facts["documents"].persons[documents.places].tolist(), strict=True
        )
        if person
    }
    measured = [(facts[name], rows[name][0]) for name in MEASUREMENTS.values()]
    visits, status = facts["visits"], files["file_status"]
    done = rows["visits"][0] & visits.one_of("visit_status", ("done",))
    columns = {
        "documents": Counter(documents["site"].tolist()),
        "subjects": Counter(site for site, _ in people),
        "adverse_events": Counter(events["site"][of_events].tolist()),
        "serious": Counter(events["site"][of_events & events.one_of("serious", (codes.YES,))].tolist()),
        "results": _by_site(measured, "assessed"),
        "out_of_range": _by_site(measured, "out_of_range"),
        "visits": Counter(visits["site"][done].tolist()),
        "bad_files": Counter(files["site"][(status == "missing") | (status == "corrupt")].tolist()),
    }
    sites = sorted(columns["documents"] | columns["adverse_events"])
    counts = np.array([[column[site] for column in columns.values()] for site in sites], dtype=np.int64)
    return _frame(counts.reshape(len(sites), len(columns)), sites, list(columns))


def _by_site(measured: Iterable[tuple[Facts, np.ndarray]], column: str) -> Counter[str]:
    return Counter(site for facts, mask in measured for site in facts["site"][mask & facts[column]].tolist())


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
