"""What was assessed: adverse events, results out of range, and how active each site was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from reporting_pipeline.domain.clinical.codes import SEVERE, severity_level
from reporting_pipeline.domain.clinical.numbers import plain
from reporting_pipeline.domain.clinical.qualitative import limits_in
from reporting_pipeline.domain.clinical.result_domains import domain_in_words
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.facts import Listing
from reporting_pipeline.domain.figures import Figure, TrialFigures
from reporting_pipeline.domain.shortened_lists import left_out, represented
from reporting_pipeline.reports import wording
from reporting_pipeline.reports.blocks import Cell, Column, Flag, Flow, Pair
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.sections.caps import CAPS, ELSEWHERE, first_of, note_rest

EVENT_COLUMNS = (
    Column("Subject, site", 60, names=True),
    Column("Adverse event, system organ class", 164, lines=4, bold=True, lines_under=4),
    Column("Severity, grade", 56),
    Column("Serious", 52),
    Column("Related", 46, lines=3),
    Column("Outcome, action", 71, lines=4, lines_under=3),  # "RECOVERED/RESOLVED" is less than the whole
    Column("Start, end", 56),
)


def adverse_event_listing(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    if trial.values[Figure.ADVERSE_EVENTS] is None:
        return
    events = trial.adverse_events
    flow.heading("Adverse events", bookmark=f"Adverse events ({trial.trial})")
    if not len(events):
        flow.note("No adverse event was reported in this period.")
        return
    flow.note(
        "Fatal events first, then serious ones and those that meet a criterion of seriousness, then those "
        "of unknown seriousness, in each the gravest first. Terms and dates as "
        "collected; a partial date is all that is known."
    )
    flow.space(4)
    rows = [event_row(row) for row in first_of(events, "adverse_events")]
    flow.table(EVENT_COLUMNS, rows)
    note_rest(flow, len(events), "adverse_events", "adverse event")
    flow.note(_emergence(events))


def _emergence(events: Listing) -> str:
    """How many events are said to have begun under the treatment; of what nobody says, nothing is derived."""
    said = Counter(events["treatment_emergent"].tolist())
    if not said["yes"] and not said["no"]:
        return "Whether an event is treatment-emergent is not stated of any of them."
    return (
        f"Stated to be treatment-emergent: {wording.count(said['yes'])}; not to be: "
        f"{wording.count(said['no'])}; not stated: {wording.count(said['unknown'] + said[''])}."
    )


_EMERGENT: Mapping[str, str] = {"yes": "treatment-emergent", "no": "not treatment-emergent"}
_SERIOUS: Mapping[str, Cell] = {"yes": Flag("Yes", "up"), "no": "No", "unknown": Flag("Unknown")}


def event_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    name = row["preferred_term"] or row["term"] or "–"
    reported = row["term"] if row["term"].casefold() != name.casefold() else ""
    beside = [
        row["system_organ_class"] or "Not coded",
        ", ".join(filter(None, (row["location"], row["laterality"]))).lower(),
        f"reported as {reported}" if reported else "",
        f"criteria: {row['seriousness_criteria'].replace('_', ' ')}" if row["seriousness_criteria"] else "",
        _EMERGENT.get(row["treatment_emergent"], ""),
    ]
    action = row["action_taken"]
    outcome = row["outcome"] or "–"
    return (
        Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
        Pair(name, "; ".join(filter(None, beside))),
        _severity(row["severity"], row["grade"]),
        _seriousness(row),
        row["related"] or "–",
        Pair(outcome, action) if action else outcome,
        Pair(
            wording.collected_date(row["start"]) or "–",
            wording.collected_date(row["end"]) or ("ongoing" if row["ongoing"] == "yes" else "no end given"),
        ),
    )


def _seriousness(row: Mapping[str, Any]) -> Cell:
    """As it is stated; what would make the event serious (ICH E2A) stands under an answer that is not yes."""
    why = "fatal" if row["fatal"] else "criterion met" if row["seriousness_criteria"] else ""
    if why and row["serious"] != "yes":
        return Flag(row["serious"].capitalize(), "up", under=why)
    return _SERIOUS.get(row["serious"], Flag("Unknown"))


def _severity(severity: str, grade: float) -> Cell:
    """Both as they are known; severe and graver stands out."""
    words = severity.capitalize()
    in_figures = "" if grade != grade else f"Grade {wording.amount(grade)}"
    if words and words[-1:].isdigit():  # "3", "Grade 3": the grade says it
        words = ""
    text = words or in_figures or "Not stated"
    if grade >= 3 or severity_level(severity) >= SEVERE:
        return Flag(text, under=in_figures.lower() if words and in_figures else "")
    return Pair(text, in_figures) if words and in_figures else text


RESULT_COLUMNS = (
    Column("Subject, site", 62, names=True),
    Column("Collected, visit", 58),
    Column("Test, specimen", 112, bold=True),
    Column("Result", 62, "right"),
    Column("Unit", 48, lines=1),
    Column("Reference range", 68, lines=2),
    Column("Flag", 58, lines=1),
    Column("Factor", 40, "right", lines=1),
)


def out_of_range(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    """Results of all measurements that are flagged or out of range, worst first."""
    out, assessed = trial.values[Figure.OUT_OF_RANGE], trial.values[Figure.RESULTS_ASSESSED]
    if out is None or assessed is None:
        return
    flow.heading("Results out of range", bookmark=f"Results out of range ({trial.trial})")
    if not assessed.current:
        flow.note(
            "No result could be assessed: none that arrived has a flag of the laboratory or a usable range. "
            "This does not say that all were normal."
        )
        return
    if not len(trial.out_of_range):
        flow.note(f"None of {wording.plural(assessed.current, 'result')} assessed was out of range.")
        return
    flow.note(
        f"{wording.count(out.current)} of {wording.plural(assessed.current, 'result')} assessed. Critical "
        "flags and toxicity grades 4 and 5 first, then grade 3 and what is clinically significant, then by "
        "the factor to the limit: limit by value below it, value by limit above it; what has none comes "
        "last. The laboratory's own flag counts before the range."
    )
    flow.space(4)
    shown = represented(trial.out_of_range, CAPS["out_of_range"])
    flow.table(RESULT_COLUMNS, [result_row(row) for row in shown.records()])
    rest = left_out(trial.out_of_range, shown)
    if rest:
        named = ", ".join(f"{test} {wording.count(number)}" for test, number in rest[:40])
        more = f" and {len(rest) - 40} more tests" if len(rest) > 40 else ""
        total = sum(number for _, number in rest)
        flow.note(
            f"{wording.plural(total, 'more result')} not shown here, by test: {named}{more}; {ELSEWHERE}."
        )


def lesion_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Which lesion a result is about, of what type, and who judged it."""
    lesion = f"lesion {row['lesion']}" if row["lesion"] else ""
    return lesion, row["lesion_type"].lower(), row["evaluator"].lower()


_DIRECTIONS = {"LOW": "down", "LOW LOW": "down", "HIGH": "up", "HIGH HIGH": "up"}


def result_row(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    beside = [row["specimen"] or (row["category"] if row["kind"] == Kind.LAB else ""), row["method"]]
    if row["kind"] != Kind.LAB:
        beside.insert(0, domain_in_words(row["domain"]) or wording.kind_label(row["kind"]))
    beside += [row["object"], *lesion_of(row), row["location"], row["position"], row["laterality"]]
    if row["grade"] == row["grade"]:
        beside.append(f"grade {wording.amount(row['grade'])}")
    if row["clinically_significant"] == "yes":
        beside.append("clinically significant")
    ratio = row["ratio"]
    return (
        Pair(row["subject"] or "–", f"Site {row['site']}" if row["site"] else "No site"),
        Pair(
            wording.collected_date(row["collected"]) or "–",
            ", ".join(filter(None, (row["visit"], row["time_point"]))),
        ),
        Pair(row["test"] or row["test_code"] or "–", ", ".join(filter(None, beside))),
        _with_minus(row["value_text"]) or "–",
        row["value_unit"] or "–",
        _range(row),
        Flag(row["flag"], _DIRECTIONS.get(row["flag"], "")),
        "–" if ratio != ratio else "∞" if ratio == float("inf") else _factor(ratio),
    )


def _factor(ratio: float) -> str:
    """Two digits behind the point where they say something; what is a thousandfold or more as such."""
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:.0f}" if ratio < 1000 else "> 1,000"


def _with_minus(result: str) -> str:
    """A negative number with the sign that does not break from it."""
    return f"−{result[1:]}" if result[:1] == "-" and plain(result) is not None else result


_LONGEST_RANGE = 60  # characters of a range in words that a cell shows; the files have all of it


def _range(row: Mapping[str, Any]) -> str:
    """The range in the unit of the result, in its words where it has them; the original one where there is no
    other."""
    low, high, words = row["low"], row["high"], row["reference_text"]
    if words and (limits_in(words) is not None or (low != low and high != high)):
        return words if len(words) <= _LONGEST_RANGE else f"{words[:_LONGEST_RANGE]}…"
    if low != low and high != high:
        text = wording.reference_range(row["original_low"], row["original_high"])
        unit = row["original_unit"]
        return f"{text} {unit}" if text != "–" and unit != row["value_unit"] else text
    return wording.reference_range(low, high)


_SITE_COLUMNS = (
    Column("Site", 14, bold=True, names=True),
    Column("Documents", 13, "right"),
    Column("Subjects", 11, "right"),
    Column("Visits done", 11, "right"),
    Column("Adverse events", 14, "right"),
    Column("of these serious", 12, "right"),
    Column("Results assessed", 16, "right"),
    Column("of these out of range", 14, "right"),
    Column("Files missing or unreadable", 17, "right"),
)


#: Columns of `TrialFigures.site_activity` as shown, and the figure without which one means nothing.
SITE_FIGURES = {
    "documents": Figure.DOCUMENTS,
    "subjects": Figure.SUBJECTS,
    "visits": Figure.VISITS,
    "adverse_events": Figure.ADVERSE_EVENTS,
    "serious": Figure.SERIOUS_ADVERSE_EVENTS,
    "results": Figure.RESULTS_ASSESSED,
    "out_of_range": Figure.OUT_OF_RANGE,
    "bad_files": Figure.FILES_MISSING,
}


def site_activity(flow: Flow, trial: TrialFigures, content: ReportContent) -> None:
    flow.heading("Activity by site", bookmark=f"Sites ({trial.trial})")
    flow.space(4)
    sites = trial.site_activity
    shown = [trial.values[figure] is not None for figure in SITE_FIGURES.values()]
    rows = [
        (
            str(site) or "No site",
            *(wording.count(n) if known else "–" for n, known in zip(counts, shown, strict=True)),
        )
        for site, counts in zip(sites.index, sites[list(SITE_FIGURES)].to_numpy().tolist(), strict=True)
    ]
    flow.table(_SITE_COLUMNS, rows[: CAPS["sites"]])
    note_rest(flow, len(rows), "sites", "site")
