"""From the payload of a document to the rows of its tidy table (`domain.datasets.TABLES`).

One function a kind. The rows hold the columns of their payload and what was worked out from them; who,
where and when is added by `domain.tidying`, and `results` reads measurements. Nothing in a payload
can raise here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date

from reporting_pipeline.domain.clinical import codes, numbers
from reporting_pipeline.domain.clinical.blinding import visit_is_unblinding
from reporting_pipeline.domain.clinical.criteria import CRITERIA, read_criterion
from reporting_pipeline.domain.clinical.dates import before, parse_iso
from reporting_pipeline.domain.clinical.payloads import PAYLOADS, OtherResult, Result, TumourResult
from reporting_pipeline.domain.clinical.reading import Data, Reading, Row, shown
from reporting_pipeline.domain.clinical.results import grade_in_words, results_of
from reporting_pipeline.domain.documents import Kind

#: kind -> its table of measurements
MEASUREMENTS: Mapping[str, str] = {
    Kind.LAB.value: "labs",
    Kind.VITALS.value: "vitals",
    Kind.ECG.value: "ecgs",
    Kind.QUESTIONNAIRE.value: "questionnaires",
    Kind.TUMOUR_RESPONSE.value: "tumour_responses",
    Kind.OTHER_RESULT.value: "other_results",
}
#: What some tables of measurements have beside the columns of all: of what examination a result is, what it
#: is about and where in the body; which lesion, and who judged it.
MORE_OF_RESULTS: Mapping[str, tuple[str, ...]] = {
    "tumour_responses": ("lesion", "lesion_type", "location", "evaluator"),
    "other_results": ("domain", "object", "location"),
}
#: Of a subject's record: what the person is given by plan, and in fact.
ARMS = ("arm", "arm_code", "actual_arm", "actual_arm_code")
#: What tells one test from another, as far as a table of measurements has it.
TEST_IDENTITY = ("test_code", "specimen", "category", "method", "domain", "object")
#: kind -> the table of its facts; kinds that are their file or note have none
TABLE_OF: Mapping[str, str] = {
    **MEASUREMENTS,
    Kind.ADVERSE_EVENT.value: "adverse_events",
    Kind.VISIT.value: "visits",
    Kind.DISPOSITION.value: "dispositions",
    Kind.SUBJECT.value: "subjects",
    Kind.EXPOSURE.value: "exposures",
    Kind.DEVIATION.value: "deviations",
    Kind.MEDICATION.value: "medications",
    Kind.HISTORY.value: "medical_history",
}
_RESULT_OF: Mapping[str, type[Result]] = {
    Kind.OTHER_RESULT.value: OtherResult,
    Kind.TUMOUR_RESPONSE.value: TumourResult,
}
_FIELDS = {kind.value: frozenset(model.model_fields) for kind, model in PAYLOADS.items()}


def rows_of(kind: str, data: object, reading: Reading) -> list[Row]:
    """The rows of TABLE_OF[kind] that a payload makes; [] for kinds without a table."""
    table = TABLE_OF.get(kind)
    if table is None:
        return []
    if data is not None and not isinstance(data, Mapping):
        reading.finding("wrong_type", "data", f"Expected a record of fields, found {shown(data)}.")
    payload: Data = data if isinstance(data, Mapping) else {}
    if not payload.keys() <= _FIELDS[kind]:
        reading.unknown_fields(payload, _FIELDS[kind])
    if kind in MEASUREMENTS:
        model = _RESULT_OF.get(kind, Result)
        return results_of(reading, payload, model, needed=kind != Kind.ECG.value)
    row = _ROW_OF[kind](reading, payload)
    if "visit" in row:
        row["visit_unblinding"] = visit_is_unblinding(payload)
    return [] if kind in _MAY_NOT_OCCUR and _did_not_occur(reading, payload, row) else [row]


#: Kinds whose record may say that what it names did not happen, and has no other column that says so.
_MAY_NOT_OCCUR = frozenset(
    {Kind.ADVERSE_EVENT.value, Kind.MEDICATION.value, Kind.EXPOSURE.value, Kind.DEVIATION.value}
)


def _did_not_occur(reading: Reading, data: Data, row: Row) -> bool:
    """Whether a record says that it did not occur; what is grave all the same is kept, and told."""
    if reading.flag(data, "occurred") != codes.NO:
        return False
    if row.get("serious") == codes.YES or row.get("fatal") or row.get("seriousness_criteria"):
        detail = "Said not to have occurred, and to be serious or fatal; it counts."
        reading.finding("occurrence_contradicts", "occurred", detail)
        return False
    reading.finding("did_not_occur", "occurred", "Said not to have occurred; it is in no table and no count.")
    return True


# --- events --------------------------------------------------------------------------------------


def _occurred(data: Data) -> bool:
    """Whether an event happened: nobody says otherwise, or leaves it open."""
    given = data.get("occurred")
    return given in (None, "") or codes.read_flag(given) == codes.YES


def _adverse_event(reading: Reading, data: Data) -> Row:
    start, end, _ = reading.interval(data)
    severity, grade = _severity(reading, data)
    serious = _seriousness(reading, data)
    criteria = _criteria(reading, data)
    outcome = reading.text(data, "outcome")
    term, preferred = reading.required(data, "term"), reading.text(data, "preferred_term")
    by_outcome = codes.is_fatal_outcome(outcome)
    fatal = by_outcome or grade == codes.FATAL or "death" in criteria
    asked = data.get("seriousness_criteria")
    if by_outcome and isinstance(asked, Mapping) and codes.read_flag(asked.get("death")) == codes.NO:
        detail = f"The criterion death is denied, the outcome is {shown(outcome)}; it counts as fatal."
        reading.finding("death_contradicts", "seriousness_criteria", detail)
    if not by_outcome and fatal and not codes.is_not_stated(outcome):
        reason = "the criterion death" if "death" in criteria else f"grade {codes.FATAL}"
        detail = f"The outcome is {shown(outcome)}, but {reason} says that it was fatal; it counts as fatal."
        reading.finding("death_contradicts", "outcome", detail)
    if not fatal and (codes.is_a_death(term) or codes.is_a_death(preferred)):
        fatal = codes.is_not_stated(outcome) and _occurred(data)
    if by_outcome and codes.is_death_of_another(term):
        detail = (
            f"The term {shown(term)} names a death that may be another's; the outcome says that it is fatal."
        )
        reading.finding("death_in_words", "term", detail)
    if not fatal and (codes.names_a_death(term) or codes.names_a_death(preferred)):
        detail = f"The term {shown(term or preferred)} names a death, the outcome is {shown(outcome)}."
        reading.finding("death_in_words", "outcome", detail)
    elif not fatal and codes.names_a_death(outcome):
        detail = f"The outcome {shown(outcome)} names a death that it does not confirm."
        reading.finding("death_in_words", "outcome", detail)
    elif not codes.is_fatal_outcome(outcome) and not codes.is_known_outcome(outcome):
        detail = f"{shown(outcome)} is no outcome that is known; whether it was fatal is not read from it."
        reading.finding("unknown_value", "outcome", detail)
    _check_seriousness(reading, data, serious, criteria, fatal)
    if end and codes.is_not_over(outcome):
        detail = f"Ends on {end}, the outcome is {shown(outcome)}; both are shown."
        reading.finding("end_contradicts", "outcome", detail)
    return {
        "term": term,
        "preferred_term": preferred,
        "system_organ_class": reading.text(data, "system_organ_class"),
        "severity": severity,
        "grade": math.nan if grade is None else float(grade),
        "serious": serious or "unknown",
        "seriousness_criteria": ", ".join(criteria),
        "treatment_emergent": reading.flag(data, "treatment_emergent") or "unknown",
        "related": reading.text(data, "related"),
        "location": reading.text(data, "location"),
        "laterality": reading.text(data, "laterality"),
        "outcome": outcome,
        "fatal": fatal,
        "action_taken": reading.text(data, "action_taken"),
        "visit": reading.text(data, "visit"),
        "start": start,
        "end": end,
        "ongoing": _ongoing(reading, data, end),
    }


def _ongoing(reading: Reading, data: Data, end: str) -> str:
    """Whether it is said to go on; an end beside it is told, and both are shown."""
    ongoing = reading.flag(data, "ongoing")
    if ongoing == codes.YES and end:
        detail = f"Ends on {end}, and is said to be ongoing; both are shown."
        reading.finding("end_contradicts", "ongoing", detail)
    return ongoing


def _seriousness(reading: Reading, data: Data) -> str:
    """codes.YES, NO or UNKNOWN; "SERIOUS" and "NON-SERIOUS" are how some forms spell the answer."""
    value = data.get("serious")
    in_words = codes.seriousness_in_words(value) if isinstance(value, str) else None
    return in_words or reading.flag(data, "serious")


def _severity(reading: Reading, data: Data) -> tuple[str, int | None]:
    """Severity as collected, in capitals, and the toxicity grade that is given or stands in its place."""
    value = data.get("severity")
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:
        text = numbers.digits(float(value)) if abs(value) < 1e9 else shown(value)
    else:
        text = codes.folded(reading.text(data, "severity"))
    if codes.is_not_stated(text):
        text = ""
    grade = reading.grade(data, "grade", least=1)
    if grade is None and not text:
        text = grade_in_words(data)  # what cannot be read is shown all the same
    level = codes.severity_level(text)
    if text and not level:
        detail = f"{shown(text)} is no severity that is known; it is shown as collected."
        reading.finding("unknown_value", "severity", detail)
    in_words = codes.is_severity_in_words(text)
    if grade is not None and level and level != grade and not (level == codes.SEVERE <= grade and in_words):
        detail = f"Severity {shown(text)} and grade {grade} do not agree; both are shown."
        reading.finding("severity_contradicts_grade", "grade", detail)
    if grade is None and level and not in_words:
        grade = level
    return text, grade


def _criteria(reading: Reading, data: Data) -> list[str]:
    """The criteria of seriousness that are met, in the order of CRITERIA, unknown ones after them."""
    given = data.get("seriousness_criteria")
    if isinstance(given, Mapping):
        given = [
            name if met == codes.YES else f"{name}: {given[name]}"
            for name, met in ((name, codes.read_flag(value)) for name, value in given.items())
            if met not in (codes.NO, codes.UNKNOWN)
        ]
    if isinstance(given, str):
        given = [part for part in given.replace(";", ",").split(",") if part.strip()]
    if not isinstance(given, (list, tuple)):
        if given is not None:
            detail = f"Expected a list of criteria, found {shown(given)}; it was left out."
            reading.finding("wrong_type", "seriousness_criteria", detail)
        return []
    known, others = set(), []
    for position, one in enumerate(given):
        criterion = read_criterion(one) if isinstance(one, str) else None
        if criterion:
            known.add(criterion)
            continue
        if isinstance(one, str) and codes.read_flag(one) in (codes.NO, codes.UNKNOWN):
            continue  # "None", "N/A": no criterion is met
        detail = f"{shown(one)} is none of {', '.join(CRITERIA)}."
        reading.finding("unknown_value", f"seriousness_criteria[{position}]", detail)
        if isinstance(one, str) and one.strip():
            others.append(" ".join(reading.text({"": one}, "").split()))
    return [name for name in CRITERIA if name in known] + others


def _check_seriousness(reading: Reading, data: Data, serious: str, criteria: list[str], fatal: bool) -> None:
    if serious == codes.UNKNOWN and codes.read_flag(data.get("serious")) is not None:
        more = "; it was fatal" if fatal else "; a criterion is met" if criteria else ""
        detail = f"Whether the event is serious is not stated{more}; it counts as unknown."
        reading.finding("seriousness_not_stated", "serious", detail)
    if serious == codes.NO and fatal:
        detail = "The event was fatal and is marked as not serious; both are shown."
        reading.finding("fatal_not_serious", "serious", detail)
    elif serious == codes.NO and criteria:
        detail = f"Marked as not serious, but these criteria are met: {', '.join(criteria)}."
        reading.finding("criteria_not_serious", "serious", detail)


def _visit(reading: Reading, data: Data) -> Row:
    start, end, first = reading.interval(data)
    occurred = codes.visit_in_words(data.get("occurred")) or reading.flag(data, "occurred")
    visit = reading.required(data, "visit")
    reason = reading.text(data, "reason_not_done")
    reading.tell_a_death(reason, "reason_not_done")
    return {
        "visit": visit,
        "visit_number": reading.number(data, "visit_number"),
        "start": start,
        "end": end,
        "planned": _is_planned(reading, data, visit),
        "occurred": occurred or "unknown",
        "visit_status": _visit_status(reading, occurred, start, first),
        "reason_not_done": reason,
    }


def _is_planned(reading: Reading, data: Data, visit: str) -> bool:
    """As it is said, else by its name: nobody plans an unscheduled visit."""
    said = reading.flag(data, "planned")
    return said == codes.YES or (said != codes.NO and not codes.is_unplanned_visit(visit))


def _visit_status(reading: Reading, occurred: str, start: str, first: tuple[int, ...]) -> str:
    """done, missed, coming or not stated. A date that has passed says that a visit took place."""
    if occurred:
        return "done" if occurred == codes.YES else "missed"
    if not start:
        return "not stated"
    return "coming" if reading.is_after_arrival(first) else "done"


def _disposition(reading: Reading, data: Data) -> Row:
    term, decoded = reading.text(data, "term"), reading.text(data, "decoded")
    if not term.strip() and not decoded.strip():
        reading.finding("missing_field", "decoded", "Neither the field decoded nor term says what happened.")
    category, subcategory = reading.text(data, "category"), reading.text(data, "subcategory")
    event = decoded if decoded.strip() else term
    left, of_treatment = codes.is_discontinuation(category, event), codes.is_of_treatment(subcategory)
    death = codes.is_death(event, term)
    if not death and codes.names_a_death(f"{event} {term}"):
        detail = f"{shown(term or event)} names a death that may be another's; it is not counted."
        reading.finding("death_in_words", "term", detail)
    return {
        "term": term,
        "decoded": decoded,
        "category": category,
        "subcategory": subcategory,
        "disposition_class": codes.disposition_category(category, event) or "NOT STATED",
        "discontinued": left and not of_treatment,
        "discontinued_treatment": left and of_treatment,
        "death": death,
        "visit": reading.text(data, "visit"),
        "start": reading.date(data, "start")[0],
    }


# --- subjects, treatment and what else is recorded -----------------------------------------------


def _subject(reading: Reading, data: Data) -> Row:
    row: Row = {
        name: reading.text(data, name)
        for name in ("age_unit", "sex", "race", "ethnicity", "country", "status", *ARMS)
    }
    for name in ("consented", "enrolled", "ended", "first_treatment", "last_treatment", "death"):
        row[name] = reading.date(data, name)[0]
    row["age"] = _age(reading, data)
    row["died"] = _died(reading, data)
    _tell_disorder(reading, row)
    return row


_OLDEST = 130  # years; the oldest person known reached 122
_TOP_CODED = re.compile(r"\s*(?:[>≥]=?\s*\d{1,3}|\d{1,3}\s*\+)\s*(?:YEARS?|Y)?\s*", re.IGNORECASE)


def _age(reading: Reading, data: Data) -> float:
    """NaN where none is known: "90+" and ">89" hide an age on purpose, which is no fault of the source."""
    given = data.get("age")
    if isinstance(given, str) and _TOP_CODED.fullmatch(given):
        reading.finding("unread_number", "age", f"{shown(given)} is a limit of an age; no age is shown.")
        return math.nan
    age = reading.number(data, "age")
    in_years = codes.folded(str(data.get("age_unit") or "YEARS")) in ("YEARS", "YEAR", "Y")
    if age < 0 or (age > _OLDEST and in_years):
        reading.finding("implausible_value", "age", f"Nobody is {numbers.digits(age)} old; it was left out.")
        return math.nan
    return age


def _died(reading: Reading, data: Data) -> str:
    """A date of death counts whatever the flag says, also one that cannot be read; "UNK" is none."""
    died, given = reading.flag(data, "died"), data.get("death")
    status = reading.text(data, "status")
    if codes.is_death(status, "") and died != codes.YES:
        if died == codes.NO:
            detail = f"The status is {shown(status)} and died is no; it counts as a death."
            reading.finding("death_contradicts", "died", detail)
        died = codes.YES
    if isinstance(given, (int, float, date)) and not isinstance(given, bool) and given == given:
        text = str(given)
    else:
        text = given if isinstance(given, str) and not codes.is_nothing(given) else ""
    dated = _SOME_DATE.search(text) is not None and _NO_DATE.search(text) is None
    if dated and died == codes.NO:
        detail = f"A date of death is given ({text}) and died is no; it counts as a death."
        reading.finding("death_contradicts", "died", detail)
    if text and not dated and died != codes.YES:
        detail = f"The date of death is {shown(text)}; without a date or an answer it is no death."
        reading.finding("death_in_words", "death", detail)
    return codes.YES if dated else died


_SOME_DATE = re.compile(r"^(?!.*9999)(?=.*[1-9])", re.DOTALL)  # 0000-00-00 and 9999-12-31 stand for none
#: Words that make of a number something else than the day of a death: "alive on 2026-05-01", "see page 3".
_NO_DATE = re.compile(
    r"\b(?:alive|living|see|page|visit|not|no|none|last|whether|if|censored|lost|ltfu|withdr\w+|lebt|vivant|"
    r"viv[oae])\b",
    re.IGNORECASE,
)


def _tell_disorder(reading: Reading, row: Row) -> None:
    """Dates of one person that cannot both be right."""
    known = {name: parse_iso(str(row[name])).parts for name in ("consented", "enrolled", "ended", "death")}
    for later, earlier in (
        ("enrolled", "consented"),
        ("ended", "enrolled"),
        ("death", "consented"),
        ("death", "enrolled"),
    ):
        if known[later] and known[earlier] and before(known[later], known[earlier]):
            detail = (
                f"{later.capitalize()} on {row[later]}, before {earlier} on {row[earlier]}; both are kept."
            )
            reading.finding("dates_in_disorder", later, detail)


def _dose_in_words(reading: Reading, data: Data) -> Data:
    """A dose that is no number ("100 mg daily", "1-2") is one in words, before one that is given; told."""
    given = data.get("dose")
    if not isinstance(given, str) or codes.is_not_stated(given) or numbers.plain(given) is not None:
        return data
    detail = f"{shown(given)} is not read as a number; the dose is shown as collected."
    reading.finding("unread_number", "dose", detail)
    words = dict.fromkeys(filter(None, (reading.text(data, "dose"), reading.text(data, "dose_text"))))
    return {**data, "dose": None, "dose_text": "; ".join(words)}


def _plain_row(
    texts: tuple[str, ...], numbers_: tuple[str, ...] = (), flags: tuple[str, ...] = (), term: str = "term"
) -> Callable[[Reading, Data], Row]:
    """A row that takes its fields as they are, with `start` and `end`."""

    def row(reading: Reading, data: Data) -> Row:
        start, end, _ = reading.interval(data)
        if "dose" in numbers_:
            data = _dose_in_words(reading, data)
        return {
            term: reading.required(data, term),
            **{name: reading.text(data, name) for name in texts},
            **{name: reading.number(data, name) for name in numbers_},
            **{name: reading.flag(data, name) for name in flags},
            "start": start,
            "end": end,
        }

    return row


_plain_deviation = _plain_row(("decoded", "category", "visit"))


def _deviation(reading: Reading, data: Data) -> Row:
    row = _plain_deviation(reading, data)
    reading.tell_a_death(str(row["term"]), "term")
    return row


_ROW_OF: Mapping[str, Callable[[Reading, Data], Row]] = {
    Kind.ADVERSE_EVENT.value: _adverse_event,
    Kind.VISIT.value: _visit,
    Kind.DISPOSITION.value: _disposition,
    Kind.SUBJECT.value: _subject,
    Kind.EXPOSURE.value: _plain_row(
        ("category", "dose_text", "dose_unit", "dose_form", "frequency", "route", "visit"),
        ("dose",),
        term="treatment",
    ),
    Kind.DEVIATION.value: _deviation,
    Kind.MEDICATION.value: _plain_row(
        ("decoded", "category", "indication", "dose_text", "dose_unit", "frequency", "route"),
        ("dose",),
        ("ongoing",),
    ),
    Kind.HISTORY.value: _plain_row(
        ("preferred_term", "system_organ_class", "category"), (), ("occurred", "ongoing")
    ),
}
