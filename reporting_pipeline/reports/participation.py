"""What a person in a trial reads: own visits, own results, how far the trial has come.

Every sentence goes through `languages.Words`. Nothing here is said of anybody else but totals
(`domain.participation`), and nothing of a treatment: the tables come without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.domain.clinical.numbers import digits, is_number
from reporting_pipeline.domain.clinical.qualitative import limits_in
from reporting_pipeline.domain.datasets import TrialDataset
from reporting_pipeline.domain.participation import TrialProgress
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.languages import Words, words_of
from reporting_pipeline.languages.marking import N_
from reporting_pipeline.reports.blocks import Column, Flow, Pair, Tile
from reporting_pipeline.reports.content import ReportContent
from reporting_pipeline.reports.plain_tests import HOW_TAKEN, PLAIN_TESTS, plain_test

#: Rows of one table in a PDF; CSV and XLSX have them all.
MOST_ROWS = 80
_MEASURED = ("vitals", "labs", "ecgs")
#: What tells one test from another of the same name, in the order in which it is told.
_APART = ("position", "laterality", "specimen", "category", "method", "table", "test_code")
DONE, COMING, MISSED, PAST, UNKNOWN = "done", "coming", "missed", "planned", "not stated"
_STATES = {
    DONE: N_("Done"),
    COMING: N_("Coming"),
    MISSED: N_("Did not take place"),
    PAST: N_("Was planned. We have not heard yet if it took place."),
    UNKNOWN: N_("We do not know yet"),
}
USUAL, HIGHER, LOWER, OUTSIDE, OPEN = "usual", "higher", "lower", "outside", "not compared"
_PLACES = {
    USUAL: N_("In the usual range"),
    HIGHER: N_("Higher than usual"),
    LOWER: N_("Lower than usual"),
    OUTSIDE: N_("Outside the usual range"),
    OPEN: N_("We cannot compare it"),
}
TITLE = N_("My part in the trial")


@dataclass(frozen=True)
class OwnVisit:
    visit: str
    day: str  # ISO 8601 as collected, possibly partial; "" for none
    state: str  # of _STATES


@dataclass(frozen=True)
class OwnResult:
    """The newest result of one test."""

    code: str
    test: str  # as it came
    specimen: str
    category: str
    apart: tuple[str, ...]  # what tells it from others of its name: keys of HOW_TAKEN, or as it came
    text: str  # the value as written
    unit: str
    low: float  # of the usual range; NaN for none
    high: float
    beyond: str  # "<" or ">" where the range leaves out the limit that it has; "" for none
    day: str
    place: str  # of _PLACES
    new: bool  # came in this period


def last_day_over(period: Period, preliminary_at: datetime | None) -> str:
    """The last day of the period that is over; of an open one the day before the moment of its report."""
    if preliminary_at is None:
        return period.last_day.isoformat()
    today = preliminary_at.astimezone(ZoneInfo(period.timezone)).date()
    return min(period.last_day, today - timedelta(days=1)).isoformat()


def own_visits(status: TrialDataset, last_day: str) -> list[OwnVisit]:
    """Every visit of the record, oldest first, without a date last.

    A visit that was planned is gone when the same one is done or was missed. One whose planned day is over
    (`last_day`: see `last_day_over`) and of which nothing more is known is said to be so:
    neither done nor missed.
    """
    columns = ["visit", "visit_number", "start", "visit_status", "planned"]
    found_rows = status.tables["visits"][columns].to_dict("records")
    rows: list[dict[str, Any]] = [{str(name): value for name, value in row.items()} for row in found_rows]
    settled = {_which(row) for row in rows if row["visit_status"] in (DONE, MISSED)}
    found = set()
    for row in rows:
        state = str(row["visit_status"])
        is_ahead = state == COMING and row["start"][:10] > last_day[: len(row["start"][:10])]
        # One that is still ahead is another visit of that name, or of none.
        if state in (COMING, UNKNOWN) and _which(row) in settled and not _unplanned(row) and not is_ahead:
            continue
        if state == COMING and row["start"][:10] <= last_day[: len(row["start"][:10])]:
            same_month = len(row["start"]) < 10 and row["start"] == last_day[: len(row["start"])]
            state = COMING if same_month else PAST
        found.add(OwnVisit(row["visit"], row["start"], state if state in _STATES else UNKNOWN))
    return sorted(found, key=lambda one: (one.day == "", one.day, one.visit, one.state))


def _which(row: dict[str, Any]) -> tuple[str, str]:
    number = row["visit_number"]
    return str(row["visit"]).casefold(), "" if number != number else str(number)


def _unplanned(row: dict[str, Any]) -> bool:
    return not row["planned"] or "unsch" in str(row["visit"]).casefold()  # many of them have one name


def own_results(status: TrialDataset, new: frozenset[str]) -> list[OwnResult]:
    """The newest result of each test: known tests first, in their order, then the others by name.

    `new`: ids of the period's documents. What was not done, and words in place of a number, are left out:
    words may be anything that somebody wrote.
    """
    newest: dict[tuple[str, ...], tuple[str, dict[str, Any]]] = {}
    for name in _MEASURED:
        for given in status.tables[name].to_dict("records"):
            row: dict[str, Any] = {str(column): value for column, value in given.items()} | {"table": name}
            if not _is_number(row) or not row["value_text"] or _not_done(row):
                continue
            which = tuple(str(row[column]).casefold() for column in _APART)
            which += () if row["test_code"] else (str(row["test"]).casefold(),)
            when = row["collected"] or ""
            if which not in newest or when >= newest[which][0]:
                newest[which] = (when, row)
    rows = [row for _, row in newest.values()]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(_name(row).casefold(), []).append(row)
    results = [_result(row, _told_apart(row, by_name[_name(row).casefold()]), new) for row in rows]
    order = {code: place for place, code in enumerate(PLAIN_TESTS)}
    return sorted(
        results,
        key=lambda one: (order.get(_known(one), len(order)), one.test, one.specimen, one.apart, one.text),
    )


def _name(row: dict[str, Any]) -> str:
    """As the reader sees it, in English."""
    known = plain_test(str(row["test_code"]), str(row["specimen"]), str(row["category"]))
    return known.name if known else str(row["test"] or row["test_code"])


def _told_apart(row: dict[str, Any], named_alike: list[dict[str, Any]]) -> tuple[str, ...]:
    """The least that tells a test from the others of its name, as "lying down": nothing is listed twice
    under one name without a word why."""
    told, others = [], [one for one in named_alike if one is not row]
    for column in _APART:
        mine = str(row[column])
        apart = [one for one in others if str(one[column]).casefold() != mine.casefold()]
        if apart and mine:
            told.append(mine)
        others = [one for one in others if one not in apart] if apart else others
    return tuple(told)


def _is_number(row: dict[str, Any]) -> bool:
    """In standard units, or as it was collected where there are none."""
    return row["value"] == row["value"] or is_number(str(row["value_text"]))


def _not_done(row: dict[str, Any]) -> bool:
    return codes.folded(str(row["status"])) == "NOT DONE"


def _known(one: OwnResult) -> str:
    return one.code.upper() if plain_test(one.code, one.specimen, one.category) else ""


def name_shown(one: OwnResult, say: Words) -> str:
    """ "Blood pressure, upper number (lying down)"."""
    known = plain_test(one.code, one.specimen, one.category)
    name = say(known.name) if known else one.test or "–"
    how = [say(HOW_TAKEN[key.upper()]) if key.upper() in HOW_TAKEN else key for key in one.apart]
    return f"{name} ({', '.join(how)})" if how else name


def _result(row: dict[str, Any], apart: tuple[str, ...], new: frozenset[str]) -> OwnResult:
    same_unit = row["value_unit"] == row["unit"] or not row["value_unit"]
    low, high = (row["low"], row["high"]) if same_unit else (row["original_low"], row["original_high"])
    flag = str(row["flag"])
    place = OPEN if not row["assessed"] else OUTSIDE if row["out_of_range"] else USUAL
    if place == OUTSIDE:
        place = HIGHER if flag.startswith("HIGH") else LOWER if flag.startswith("LOW") else OUTSIDE
    return OwnResult(
        str(row["test_code"]),
        str(row["test"] or row["test_code"]),
        str(row["specimen"]),
        str(row["category"]),
        apart,
        str(row["value_text"]),
        str(row["value_unit"]),
        low,
        high,
        _left_out(str(row["reference_text"]), low, high),
        str(row["collected"]),
        place,
        row["document_id"] in new,
    )


def _left_out(reference: str, low: float, high: float) -> str:
    """The sign of a range that has one limit and leaves it out: 10 is not within "<10"."""
    limits = limits_in(reference) if reference else None
    if limits is None or (low == low and high == high):
        return ""
    return "<" if limits.high_excluded and limits.high == high else ">" if limits.low_excluded else ""


# --- pages -----------------------------------------------------------------------------------------


def compose(flow: Flow, content: ReportContent) -> None:
    """All pages of the report, the first one included."""
    say = words_of(content.language)
    span = say.span(content.period.start, content.period.last_day)
    known = say.moment(content.data_as_of, content.period.timezone)
    flow.first_page(content.organisation, content.title, span, ((say("What we knew on"), known),))
    _first_words(flow, content, say)
    for trial in content.trials:
        status = content.statuses.get(trial.trial)
        flow.space(12)
        flow.title(trial.title, "", trial.title)
        if status is None:
            flow.paragraph(say("We cannot show your part in this trial now. Please ask your study team."))
            continue
        _visits(flow, own_visits(status, last_day_over(content.period, content.preliminary_at)), say)
        _results(flow, own_results(status, _new(content, trial.trial)), say)
        _progress(flow, content.progress.get(trial.trial, TrialProgress()), say)
    flow.heading(say("Do you have questions?"))
    flow.paragraph(
        say(
            "Please ask your study team. Only a doctor can tell you what a result means for you. "
            "Do not change or stop a medicine because of this page."
        )
    )


def _first_words(flow: Flow, content: ReportContent, say: Words) -> None:
    if content.preliminary_at is not None:
        flow.paragraph(say("This time is not over yet. What you read here may still change."))
    if content.restates is not None:
        flow.paragraph(
            say("This report takes the place of the one we sent before. We have learned more since.")
        )
    if content.omissions:
        flow.paragraph(say("Some of your data is missing here. Your study team can tell you more."))
    flow.paragraph(
        say("Thank you for taking part. Here you see your visits, your results and how the trial is going.")
    )


def _new(content: ReportContent, trial: str) -> frozenset[str]:
    return content.new_documents.get(trial, frozenset())


def _visits(flow: Flow, visits: list[OwnVisit], say: Words) -> None:
    flow.heading(say("Your visits"), bookmark=say("Your visits"))
    if not visits:
        flow.paragraph(say("We do not know of any visit yet."))
        return
    coming = [one for one in visits if one.state == COMING]
    done = sum(one.state == DONE for one in visits)
    flow.space(4)
    flow.tiles(
        [
            Tile(say("Visits done"), say.count(done), ""),
            Tile(say("Visits coming"), say.count(len(coming)), ""),
        ],
        columns=2,
    )
    following = f"{coming[0].visit}, {_day(coming[0].day, say)}" if coming else say("None known yet")
    flow.paragraph(say("Next visit") + ": " + following)
    flow.space(4)
    columns = (
        Column(say("Visit"), 50, bold=True),
        Column(say("Day"), 50),
        Column(say("What happened"), 70, lines=2),
    )
    shown = visits[-MOST_ROWS:]
    flow.table(columns, [(one.visit or "–", _day(one.day, say), say(_STATES[one.state])) for one in shown])
    _rest(flow, len(visits) - len(shown), say)


def _results(flow: Flow, results: list[OwnResult], say: Words) -> None:
    flow.heading(say("Your results"), bookmark=say("Your results"))
    if not results:
        flow.paragraph(say("We do not have any result of yours yet."))
        return
    flow.paragraph(
        say(
            "This is your last result of each test. The usual range is where most healthy people are. "
            "A result can be outside of it and still be fine for you."
        )
    )
    flow.space(4)
    columns = (
        Column(say("Test"), 86, bold=True, lines=5),
        Column(say("Your result"), 36, "right"),
        Column(say("Usual range"), 36),
        Column(say("How it compares"), 46, lines=2),
        Column(say("Day"), 42),
    )
    flow.table(columns, [_row(one, say) for one in results[:MOST_ROWS]])
    _rest(flow, len(results) - MOST_ROWS, say)


def _row(one: OwnResult, say: Words) -> tuple[Any, ...]:
    known = plain_test(one.code, one.specimen, one.category)
    fluid = one.specimen.capitalize() if not known and one.specimen else ""
    day = _day(one.day, say)
    return (
        Pair(name_shown(one, say), say(known.shows) if known else fluid),
        Pair(say.number(one.text), one.unit),
        _range(one, say),
        say(_PLACES[one.place]),
        Pair(day, say("new")) if one.new else day,
    )


def _range(one: OwnResult, say: Words) -> str:
    low, high = (None if end != end else say.number(digits(end)) for end in (one.low, one.high))
    if one.beyond:
        return f"{one.beyond} {high if one.beyond == '<' else low}"
    if low is not None and high is not None:
        return say("{low} to {high}", low=low, high=high)
    if high is not None:
        return say("up to {high}", high=high)
    return say("from {low}", low=low) if low is not None else "–"


def _progress(flow: Flow, progress: TrialProgress, say: Words) -> None:
    flow.heading(say("How the trial is going"), bookmark=say("How the trial is going"))
    told = list(_told(progress, say))
    if not told:
        flow.paragraph(say("There are too few people in the trial yet to tell you a number."))
        return
    for sentence in told:
        flow.bullet(sentence)
    flow.note(
        say("We round these numbers down. So nobody can find out something about one person from them.")
    )


def _told(progress: TrialProgress, say: Words) -> Iterator[str]:
    if progress.joined is not None:
        yield say("At least {count} people have joined the trial.", count=say.count(progress.joined))
    if progress.ended is not None:
        yield say("At least {count} of them have come to the end.", count=say.count(progress.ended))
    if progress.visits is not None:
        yield say("All together have made at least {count} visits.", count=say.count(progress.visits))


def _day(text: str, say: Words) -> str:
    return say.collected(text) if text else say("Day not known")


def _rest(flow: Flow, rest: int, say: Words) -> None:
    if rest > 0:
        flow.note(say("{count} more are not shown here.", count=say.count(rest)))


# --- tables ----------------------------------------------------------------------------------------


def tables(content: ReportContent) -> dict[str, pd.DataFrame]:
    """The same for CSV, XLSX, JSON, Parquet and Dataset-JSON; column names and states are not translated."""
    return {
        "my_visits": _frame(_visit_rows(content), ["trial", "visit", "day", "state"]),
        "my_results": _frame(
            _result_rows(content),
            ["trial", "test", "result", "unit", "low", "high", "compared", "day", "new", "shows"],
        ).astype({"low": "float64", "high": "float64", "new": "bool"}),
        "trial_progress": _frame(_progress_rows(content), ["trial", "what", "at_least"]).astype(
            {"at_least": "float64"}
        ),
    }


def _frame(rows: Iterable[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame.from_records(list(rows), columns=columns)


def _visit_rows(content: ReportContent) -> Iterator[dict[str, Any]]:
    for trial, status in sorted(content.statuses.items()):
        for one in own_visits(status, last_day_over(content.period, content.preliminary_at)):
            yield {"trial": trial, "visit": one.visit, "day": one.day, "state": one.state}


def _result_rows(content: ReportContent) -> Iterator[dict[str, Any]]:
    say = words_of(content.language)
    for trial, status in sorted(content.statuses.items()):
        for one in own_results(status, _new(content, trial)):
            known = plain_test(one.code, one.specimen, one.category)
            yield {
                "trial": trial,
                "test": name_shown(one, say),
                "result": one.text,
                "unit": one.unit,
                "low": one.low,
                "high": one.high,
                "compared": one.place,
                "day": one.day,
                "new": one.new,
                "shows": say(known.shows) if known else "",
            }


def _progress_rows(content: ReportContent) -> Iterator[dict[str, Any]]:
    for trial in content.trials:
        for what, count in content.progress.get(trial.trial, TrialProgress()).said().items():
            yield {"trial": trial.trial, "what": what, "at_least": count}
