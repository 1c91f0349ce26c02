"""A participant's report: their own visits and results in their language, and totals that tell of nobody."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import page
import pandas as pd
import pikepdf
import pytest

from reporting_pipeline.domain.clinical.reading import Reading
from reporting_pipeline.domain.clinical.rows import rows_of
from reporting_pipeline.domain.datasets import TABLES, TrialDataset, table_from_rows
from reporting_pipeline.domain.disclosure import SMALLEST_CELL, restricted
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.participation import STEP, TrialProgress, progress_of
from reporting_pipeline.domain.subscriptions import Format
from reporting_pipeline.languages import known_languages, words_of
from reporting_pipeline.reports.participation import last_day_over, name_shown, own_results, own_visits
from reporting_pipeline.reports.renderer import ReportRenderer
from reporting_pipeline.reports.request import ReportError, ReportRequest
from reporting_pipeline.reports.types.my_participation import ParticipationParameters
from reporting_pipeline_tests.reports.conftest import WEEK, make_request
from reporting_pipeline_tests.reports.reading import page_texts

LAST = WEEK.last_day.isoformat()
#: Must be in no byte that a participant gets: an arm, another person, what somebody wrote.
ARM, OTHER, WORDS = "ARMSECRETZZ", "OTHERSECRETZZ", "WORDSECRETZZ"


def text_of(content: bytes) -> str:
    """All pages on one line."""
    return " ".join(" ".join(page_texts(content)).split())


def trial_of(people: int = 60, ended: int = 25, results: list[dict[str, Any]] | None = None) -> TrialDataset:
    """The first person is the reader, `ME`; everybody has an arm, a visit, a result and words about them."""
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in TABLES}
    own = [
        {
            "test_code": "ALT",
            "test": "Alanine Aminotransferase",
            "value": 62.5,
            "unit": "U/L",
            "low": 6,
            "high": 34,
        },
        {"test_code": "XYZ", "test": "Something new", "value": 3},
    ]
    for number in range(people):
        who = "ME" if number == 0 else f"{OTHER}{number}"
        key = {"document_id": f"doc_{number}", "window": "current", "site": "701", "subject": who}
        key |= {"day": "2026-11-17"}
        rows["documents"].append({**key, "title": WORDS, "note": WORDS, "kind": "visit"})
        end = {"ended": "2026-10-01"} if number < ended else {}
        rows["subjects"].append({**key, "arm": ARM, "actual_arm": ARM, "enrolled": "2026-05", **end})
        rows["exposures"].append({**key, "treatment": ARM})
        rows["adverse_events"].append({**key, "term": WORDS, "preferred_term": "HEADACHE"})
        rows["findings"].append({**key, "code": "x", "message": f"{WORDS} {ARM}"})
        for made in rows_of("lab", {"results": (results or own) if number == 0 else own}, Reading()):
            rows["labs"].append({**key, "collected": "2026-11-17", "text_result": WORDS, **made})
        rows["visits"].append(
            {
                **key,
                "planned": True,
                "visit": "WEEK 2",
                "start": "2026-11-17",
                "visit_status": "done",
                "reason_not_done": WORDS,
            }
        )
    coming = {
        "document_id": "doc_0",
        "window": "current",
        "site": "701",
        "subject": "ME",
        "day": "2026-11-17",
        "planned": True,
    }
    rows["visits"] += [
        {**coming, "visit": "WEEK 2", "start": "2026-11-16", "visit_status": "coming"},
        {**coming, "visit": "WEEK 3", "start": "2026-11-20", "visit_status": "coming"},
        {**coming, "visit": "WEEK 4", "start": "2026-12-01", "visit_status": "coming"},
        {**coming, "visit": "WEEK 1", "start": "2026-11-03", "visit_status": "missed"},
        {**coming, "visit": "WEEK 9", "start": "", "visit_status": "not stated"},
    ]
    tables = {name: table_from_rows(name, rows[name]) for name in TABLES}
    return TrialDataset("T1", "A trial of something", WEEK, tables, "v1", WEEK.end_at)


def request_for(
    language: str = "en", form: Format = Format.PDF, whole: TrialDataset | None = None
) -> ReportRequest:
    whole = whole or trial_of()
    own = restricted(whole, None, "ME")
    asked = make_request(own, report_type="my_participation", format=form, subscription="Für mich")
    subscription = asked.subscription.model_copy(update={"parameters": {"language": language}})
    return replace(
        asked,
        subscription=subscription,
        audience=Audience.PARTICIPANT,
        statuses=(own,),
        progress={"T1": progress_of(whole)},
    )


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> ReportRenderer:
    return ReportRenderer(lambda key: b"", Path(tmp_path_factory.mktemp("thumbnails")))


@pytest.mark.parametrize("language", known_languages())
def test_it_is_in_the_readers_language_and_conforms(language: str, renderer: ReportRenderer) -> None:
    content = renderer.render(request_for(language)).content
    text, say = text_of(content), words_of(language)
    for sentence in (
        "My part in the trial",
        "Your visits",
        "Your results",
        "Higher than usual",
        "Prepared for",
    ):
        assert say(sentence) in text
    assert say.collected("2026-12-01") in text, "the next visit"
    assert say.number("62.5") in text
    assert say("At least {count} people have joined the trial.", count=60) in text
    with pikepdf.open(io.BytesIO(content)) as opened:
        assert str(opened.Root.Lang) == language
    for profile in (page.ValidationProfile.PDF_UA_1, page.ValidationProfile.PDF_A_2A):
        assert [one.rule_id for one in page.validate_pdf_bytes(content, profile=profile).failures] == []


LONG = (
    "Safety and Efficacy of the Xanomeline Transdermal Therapeutic System (TTS) in Patients with Mild to "
    "Moderate Alzheimer's Disease"
)
LONGEST = ("Efficacy and Safety of Treatment in Patients " * 22)[:1000].strip()


@pytest.mark.parametrize("title", [LONG, LONGEST], ids=["long", "longest"])
@pytest.mark.parametrize("language", known_languages())
def test_neither_the_title_of_the_trial_nor_the_days_are_cut(
    language: str, title: str, renderer: ReportRenderer
) -> None:
    whole = replace(trial_of(), title=title, version=title[-8:])
    content = renderer.render(request_for(language, whole=whole)).content
    text = " ".join(text_of(content).split())
    assert title in text
    assert "…" not in text


def everything(content: bytes, form: Format) -> str:
    """Every text of a file: of a PDF the streams, of a zip every member, of a workbook the cells."""
    if form is Format.PDF:
        with pikepdf.open(io.BytesIO(content)) as opened:
            streams = [one for one in opened.objects if isinstance(one, pikepdf.Stream)]
            raw = b" ".join(one.read_bytes() for one in streams if "/Width" not in one)
            return text_of(content) + raw.decode("latin-1") + str(opened.docinfo) + str(opened.Root)
    if form is Format.XLSX:
        book = openpyxl.load_workbook(io.BytesIO(content))
        return " ".join(str(cell) for sheet in book for row in sheet.values for cell in row)
    if form in (Format.JSON, Format.HTML):
        return content.decode()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if form is Format.PARQUET:
            import pyarrow.parquet as pq

            names = [name for name in archive.namelist() if name.endswith(".parquet")]
            return " ".join(str(pq.read_table(io.BytesIO(archive.read(one))).to_pydict()) for one in names)
        return " ".join(archive.read(name).decode("utf-8-sig") for name in archive.namelist())


@pytest.mark.parametrize("form", list(Format))
def test_nothing_of_an_arm_of_others_or_of_words_is_in_any_byte(
    form: Format, renderer: ReportRenderer
) -> None:
    text = everything(renderer.render(request_for(form=form)).content, form)
    assert "WEEK 4" in text, "it is looked for in what is there"
    assert [secret for secret in (ARM, OTHER, WORDS) if secret in text] == []


def test_it_is_made_of_one_persons_record_alone(renderer: ReportRenderer) -> None:
    whole = trial_of()
    with pytest.raises(ReportError, match="one person's own record; this data is of 60 people"):
        renderer.render(replace(request_for(), statuses=(whole,)))
    for audience in set(Audience) - {Audience.PARTICIPANT}:
        with pytest.raises(ReportError, match="not for the audience"):
            renderer.render(replace(request_for(), audience=audience))


def test_languages_share_no_body(renderer: ReportRenderer) -> None:
    assert renderer.body_key(request_for("de")) != renderer.body_key(request_for("fr"))
    other = replace(request_for("de"), progress={"T1": TrialProgress()})
    assert renderer.body_key(request_for("de")) != renderer.body_key(other)


def test_a_language_that_is_not_there_is_refused_where_it_is_given() -> None:
    with pytest.raises(ValueError, match="there is no language 'xx' here; known are en"):
        ParticipationParameters(language="xx")


@pytest.mark.parametrize("planned", [True, False])
def test_visits_beside_the_plan_that_share_a_name_are_visits_each(planned: bool) -> None:
    whole = trial_of()
    shared: dict[str, Any] = {
        "document_id": "doc_0",
        "window": "current",
        "site": "701",
        "subject": "ME",
        "day": "2026-11-17",
        "visit": "UNPLANNED",
        "planned": planned,
    }
    rows = [
        {**shared, "start": "2026-11-02", "visit_status": "done"},
        {**shared, "start": "", "visit_status": "not stated"},
    ]
    visits = {**whole.tables, "visits": table_from_rows("visits", rows)}
    found = own_visits(restricted(replace(whole, tables=visits), None, "ME"), LAST)
    assert len(found) == (1 if planned else 2)


def test_visits_are_told_as_far_as_they_are_known() -> None:
    states = {(one.visit, one.day): one.state for one in own_visits(restricted(trial_of(), None, "ME"), LAST)}
    assert states == {
        ("WEEK 1", "2026-11-03"): "missed",
        ("WEEK 2", "2026-11-17"): "done",
        ("WEEK 3", "2026-11-20"): "planned",  # the day is over and nobody said more: neither done nor missed
        ("WEEK 4", "2026-12-01"): "coming",
        ("WEEK 9", ""): "not stated",
    }


@pytest.mark.parametrize(
    ("moment", "day", "state"),
    [
        (None, "2026-11-22", "planned"),
        (datetime(2026, 11, 18, 9, tzinfo=UTC), "2026-11-17", "coming"),
        (datetime(2026, 11, 20, 23, tzinfo=UTC), "2026-11-19", "coming"),  # that day is not over
        (datetime(2026, 11, 21, 1, tzinfo=UTC), "2026-11-20", "planned"),
        (datetime(2026, 11, 30, tzinfo=UTC), "2026-11-22", "planned"),
    ],
)
def test_a_visit_of_an_open_period_is_ahead_until_its_day_is_over(
    moment: datetime | None, day: str, state: str
) -> None:
    assert last_day_over(WEEK, moment) == day
    states = {one.visit: one.state for one in own_visits(restricted(trial_of(), None, "ME"), day)}
    assert states["WEEK 3"] == state


@pytest.mark.parametrize(
    ("result", "place"),
    [
        ({"value": 20, "low": 6, "high": 34}, "usual"),
        ({"value": 40, "low": 6, "high": 34}, "higher"),
        ({"value": 1, "low": 6, "high": 34}, "lower"),
        ({"value": 20}, "not compared"),
        ({"value": 20, "low": 34, "high": 6}, "not compared"),
        ({"value": 20, "indicator": "ABNORMAL"}, "outside"),
    ],
)
def test_a_result_is_held_against_its_range_or_said_not_to_be(result: dict[str, Any], place: str) -> None:
    given = {"test_code": "ALT", "test": "ALT", "unit": "U/L", **result}
    whole = restricted(trial_of(results=[given]), None, "ME")
    (one,) = own_results(whole, frozenset())
    assert one.place == place


def _named(*results: dict[str, Any]) -> list[str]:
    given = [{"value": 110 + place, "unit": "x", **one} for place, one in enumerate(results)]
    status = trial_of(people=1, results=given)
    return [name_shown(one, words_of("en")) for one in own_results(status, frozenset())]


PRESSURE, LYING = {"test_code": "SYSBP", "test": "Systolic Blood Pressure"}, {"position": "SUPINE"}


@pytest.mark.parametrize(
    ("results", "names"),
    [
        (
            [PRESSURE | LYING, PRESSURE | {"position": "STANDING"}],
            ["Blood pressure, upper number (standing)", "Blood pressure, upper number (lying down)"],
        ),
        ([PRESSURE | LYING], ["Blood pressure, upper number"]),
        ([PRESSURE | LYING, PRESSURE | LYING | {"test": "SBP"}], ["Blood pressure, upper number"]),
        (
            [{"test_code": "QTCF", "test": "QTcF"}, {"test_code": "QTCB", "test": "QTcB"}],
            ["Heart: QTc time (QTCB)", "Heart: QTc time (QTCF)"],
        ),
        (
            [
                {"test_code": "GLUC", "test": "Glucose", "category": "CHEMISTRY"},
                {"test_code": "GLUC", "test": "Glucose", "category": "URINALYSIS"},
            ],
            ["Sugar", "Glucose"],
        ),
        (
            [PRESSURE | LYING, PRESSURE | LYING | {"laterality": "LEFT"}],
            ["Blood pressure, upper number", "Blood pressure, upper number (left)"],
        ),
    ],
)
def test_no_two_results_stand_under_one_name(results: list[dict[str, Any]], names: list[str]) -> None:
    """Blood pressure lying and standing stood there twice, and nobody could tell which is which."""
    assert sorted(_named(*results)) == sorted(names)


def test_words_in_place_of_a_result_are_not_repeated() -> None:
    whole = restricted(trial_of(results=[{"test_code": "X", "test": "X", "result": "POSITIVE"}]), None, "ME")
    assert own_results(whole, frozenset()) == []


def test_a_test_that_was_not_done_is_no_result_of_ones_own() -> None:
    given = {"test_code": "ALT", "test": "ALT", "unit": "U/L", "value": 20, "status": "NOT DONE"}
    whole = restricted(trial_of(results=[given]), None, "ME")
    assert own_results(whole, frozenset()) == []


@pytest.mark.parametrize(
    ("people", "ended", "told"),
    [
        (60, 25, (60, 20, 60)),
        (59, 25, (40, 20, 40)),
        (60, 55, (60, 40, 60)),  # and not of the five who are left
        (60, 60, (60, 40, 60)),
        (30, 30, (20, None, 20)),
        (60, 5, (60, None, 60)),
        (60, 0, (60, None, 60)),
        (SMALLEST_CELL, 0, (None, None, None)),  # rounded down to nothing
        (10, 10, (None, None, None)),
    ],
)
def test_totals_tell_of_no_small_cell(people: int, ended: int, told: tuple[int | None, ...]) -> None:
    progress = progress_of(trial_of(people, ended))
    assert (progress.joined, progress.ended, progress.visits) == told


def test_a_total_moves_in_steps_that_are_no_small_cell() -> None:
    assert STEP >= SMALLEST_CELL
    told = {progress_of(trial_of(people, 0)).joined for people in range(40, 60)}
    assert told == {40}, "who joins one week is not worked out from two reports"


def test_no_total_vanishes_when_few_are_left() -> None:
    """Or the report in which it does would tell that ten people are left."""
    told = {progress_of(trial_of(60, ended)).ended for ended in range(40, 61)}
    assert told == {40}


def test_tables_hold_the_same_for_a_machine(renderer: ReportRenderer) -> None:
    made = json.loads(renderer.render(request_for("de", Format.JSON)).content)
    tables = made["listings"]["T1"]
    assert {row["visit"]: row["state"] for row in tables["my_visits"]}["WEEK 4"] == "coming"
    first = tables["my_results"][0]
    assert (first["test"], first["result"], first["compared"]) == ("ALT (Leber)", "62.5", "higher")
    assert {row["what"]: row["at_least"] for row in tables["trial_progress"]}["joined"] == 60


@pytest.mark.parametrize(
    ("enrolled", "joined"),
    [(f"{LAST}T23:59", 60), (LAST, 60), (LAST[:7], 60), ("2026-11-23", None), ("2026-11-23T00:00", None)],
)
def test_who_joined_on_the_last_day_is_counted_and_who_joins_after_it_is_not(
    enrolled: str, joined: int | None
) -> None:
    whole = trial_of(60, 0)
    tables = {**whole.tables, "subjects": whole.tables["subjects"].assign(enrolled=enrolled)}
    assert progress_of(replace(whole, tables=tables)).joined == joined


def test_who_moved_or_is_to_join_later_is_not_counted_twice_or_early() -> None:
    whole = trial_of(SMALLEST_CELL, 0)
    subjects = whole.tables["subjects"]
    moved = subjects.assign(site="702", subject="01-701-" + subjects["subject"])
    before = moved.assign(site="701")
    later = subjects.assign(enrolled="2026-11-23", subject="later " + subjects["subject"])
    tables = {**whole.tables, "subjects": pd.concat([before, moved, later], ignore_index=True)}
    assert progress_of(replace(whole, tables=tables)).joined is None, "11 persons, not 22 or 33"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"reference_text": "<10"}, "< 10"),
        ({"reference_text": ">= 10"}, "from 10"),
        ({"reference_text": "> 2,5"}, "> 2.5"),
        ({"reference_text": "3-10"}, "3 to 10"),
        ({"high": 10.0}, "up to 10"),
        ({"value": None, "original_result": "5,9", "original_high": "10"}, "up to 10"),
    ],
)
def test_the_usual_range_leaves_out_the_limit_that_is_outside(
    said: dict[str, Any], shown: str, renderer: ReportRenderer
) -> None:
    given = {"test_code": "CRP", "test": "C-reactive protein", "value": 5.9, "unit": "mg/L"} | said
    if given["value"] is None:
        given |= {"unit": "", "original_unit": "mg/L"}
    whole = replace(trial_of(results=[given]), version=shown)
    made = renderer.render(request_for(whole=whole))
    assert shown in " ".join("\n".join(page_texts(made.content)).split())
