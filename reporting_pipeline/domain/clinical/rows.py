"""From the payload of a document to the rows of its tidy table (`domain.datasets.TABLES`).

One function a kind. The rows hold the columns of their payload and what was worked out from them; who,
where and when is added by `domain.tidying`. Nothing in a payload can raise here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from reporting_pipeline.domain.clinical import codes, numbers
from reporting_pipeline.domain.clinical.measurements import Assessment, Quantity, assess
from reporting_pipeline.domain.clinical.payloads import PAYLOADS, Result
from reporting_pipeline.domain.clinical.reading import Reading, shown
from reporting_pipeline.domain.clinical.units import same_unit, shown_unit
from reporting_pipeline.domain.documents import Kind

Row = dict[str, object]
Data = Mapping[str, Any]

#: kind -> its table of measurements
MEASUREMENTS: Mapping[str, str] = {
    Kind.LAB.value: "labs",
    Kind.VITALS.value: "vitals",
    Kind.ECG.value: "ecgs",
    Kind.QUESTIONNAIRE.value: "questionnaires",
    Kind.TUMOUR_RESPONSE.value: "tumour_responses",
}
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
_FIELDS = {kind.value: frozenset(model.model_fields) for kind, model in PAYLOADS.items()}
_OPEN = {kind.value for kind, model in PAYLOADS.items() if model.model_config.get("extra") == "allow"}
_RESULT_FIELDS = frozenset(Result.model_fields)


def rows_of(kind: str, data: object, reading: Reading) -> list[Row]:
    """The rows of TABLE_OF[kind] that a payload makes; [] for kinds without a table."""
    table = TABLE_OF.get(kind)
    if table is None:
        return []
    if data is not None and not isinstance(data, Mapping):
        reading.finding("wrong_type", "data", f"Expected a record of fields, found {shown(data)}.")
    payload: Data = data if isinstance(data, Mapping) else {}
    if not payload.keys() <= _FIELDS[kind]:
        _tell_unknown(reading, payload, _FIELDS[kind], "")
    if kind in MEASUREMENTS:
        return _results(reading, payload, needed=kind != Kind.ECG.value)
    return [_ROW_OF[kind](reading, payload)]


def _tell_unknown(reading: Reading, source: Data, known: frozenset[str], where: str) -> None:
    for name in sorted(map(str, source.keys() - known)):
        field = where + (name if len(name) <= 60 else name[:60] + "…")
        reading.finding("unknown_field", field, f"There is no field {shown(name)}; it is not reported.")


# --- measurements --------------------------------------------------------------------------------


def _results(reading: Reading, data: Data, needed: bool) -> list[Row]:
    results = data.get("results")
    if results is None and not needed:
        return []
    if not isinstance(results, (list, tuple)):
        code = "missing_field" if results is None else "wrong_type"
        reading.finding(code, "results", "The document has no list of results.")
        return []
    return [
        row
        for position, result in enumerate(results)
        if (row := _result(reading, result, f"results[{position}].")) is not None
    ]


def _result(reading: Reading, result: object, where: str) -> Row | None:
    if not isinstance(result, Mapping):
        reading.finding("wrong_type", where[:-1], f"Expected a result, found {shown(result)}.")
        return None
    if not result.keys() <= _RESULT_FIELDS:
        _tell_unknown(reading, result, _RESULT_FIELDS, where)
    code = reading.required(result, "test_code", where)
    if not code:
        return None
    text = reading.text
    row: Row = {
        "test_code": code,
        "test": text(result, "test", where) or code,
        "category": text(result, "category", where),
        "specimen": text(result, "specimen", where),
        "method": text(result, "method", where),
        "position": text(result, "position", where),
        "laterality": text(result, "laterality", where),
        "visit": text(result, "visit", where),
        "visit_number": reading.number(result, "visit_number", where),
        "collected": reading.date(result, "collected", where)[0],
        "original_result": text(result, "original_result", where),
        "original_unit": shown_unit(text(result, "original_unit", where).strip()),
        "original_low": reading.number(result, "original_low", where),
        "original_high": reading.number(result, "original_high", where),
        "unit": shown_unit(text(result, "unit", where).strip()),
        "low": reading.number(result, "low", where),
        "high": reading.number(result, "high", where),
        "indicator": codes.folded(text(result, "indicator", where)),
        "text_result": text(result, "text_result", where),
        "status": text(result, "status", where),
        "reason_not_done": text(result, "reason_not_done", where),
    }
    _read_value(reading, result, row, where)
    _judge(reading, result, row, where)
    return row


def _read_value(reading: Reading, result: Data, row: Row, where: str) -> None:
    """`value`, `comparator`, `text_result`, and how a reader sees the result: `value_text`, `value_unit`."""
    given = result.get("value")
    limit = numbers.censored(given) if isinstance(given, str) else None
    if limit is not None:  # "<40" in a number's place says what it means
        row["value"], row["comparator"] = limit.limit, limit.comparator
        row["text_result"] = row["text_result"] or given
    else:
        row["value"] = reading.number(result, "value", where)
        row["comparator"] = _comparator(reading, result, where)
    text, original = str(row["text_result"]), str(row["original_result"])
    if not row["comparator"] and (told := numbers.censored(text or original)) is not None:
        row["comparator"] = told.comparator
    value = row["value"]
    assert isinstance(value, float)  # noqa: S101 - for the type checker
    if value == value:
        row["value_text"] = _written(value, row)
        row["value_unit"] = row["unit"]
        number = None if row["comparator"] else numbers.plain(text)
        if number is not None and not numbers.same(number, value):
            detail = f"The value is {numbers.digits(value)}, the text {shown(text)}."
            reading.finding("value_contradicts_text", where + "text_result", detail)
        return
    if not text and not original and isinstance(given, str) and not codes.is_not_stated(given):
        text = given
    row["text_result"] = text or original
    row["value_text"] = text or original or str(row["status"])
    row["value_unit"] = row["unit"] if text else row["original_unit"] or row["unit"]


def _comparator(reading: Reading, result: Data, where: str) -> str:
    given = reading.text(result, "comparator", where)
    sign = numbers.comparator(given)
    if given.strip() not in ("", "=") and not sign:
        known = " ".join(numbers.COMPARATORS)
        reading.finding("unknown_value", where + "comparator", f"{shown(given)} is none of {known}.")
    return sign


def _written(value: float, row: Row) -> str:
    """The number with the digits of its source, where the source wrote this very number."""
    if row["comparator"]:
        return f"{row['comparator']}{numbers.digits(value)}"
    candidates = [str(row["text_result"])]
    if row["original_unit"] == row["unit"]:
        candidates.append(str(row["original_result"]))
    for text in candidates:
        number = numbers.plain(text)
        if number is not None and numbers.same(number, value) and "e" not in text.lower():
            return text.strip()
    return numbers.digits(value)


def _judge(reading: Reading, result: Data, row: Row, where: str) -> None:
    """The columns of an `Assessment`, and findings on ranges and flags that do not agree."""
    grade = reading.grade(result, "grade", where)
    significant = reading.flag(result, "clinically_significant", where)
    standard, original = _standard(row), _original(row)
    for quantity, names in ((standard, "low"), (original, "original_low")):
        if quantity.is_reversed:
            limits = f"{numbers.digits(quantity.low)} and {numbers.digits(quantity.high)}"
            detail = f"{row['test_code']}: the limits {limits} are reversed; the range is not used."
            reading.finding("reversed_range", where + names, detail)
    judgement = codes.judgement(str(row["indicator"]))
    in_words, significant_in_words = codes.interpretation(str(row["text_result"]))
    if not judgement.text and in_words:
        judgement = codes.judgement(in_words)
    is_significant = significant == codes.YES or (not significant and significant_in_words)
    judged = assess(judgement, original, standard, grade, is_significant)
    if judged.contradiction:
        detail = f"{row['test_code']} {row['value_text']}: flagged {judged.flag}, {judged.contradiction}."
        reading.finding("flag_contradicts_range", where + "indicator", detail)
    row["grade"] = math.nan if grade is None else float(grade)
    row["clinically_significant"] = significant
    set_assessment(row, judged)


def set_assessment(row: Row, judged: Assessment) -> None:
    row["flag"] = judged.flag
    row["assessed"] = judged.assessed
    row["out_of_range"] = judged.listed
    row["tier"] = float(judged.tier)
    row["ratio"] = judged.ratio


def _standard(row: Any) -> Quantity:
    """The result in standard units; of a text result its limit, of an original in the same unit that one."""
    value, sign = row["value"], row["comparator"]
    if value != value:
        text = row["text_result"]
        if text == row["original_result"] and not same_unit(row["original_unit"], row["unit"]):
            return Quantity(math.nan, "", row["low"], row["high"])
        value, sign = _number_in(text)
    return Quantity(value, sign, row["low"], row["high"])


def _original(row: Any) -> Quantity:
    value, sign = _number_in(row["original_result"])
    return Quantity(value, sign or row["comparator"], row["original_low"], row["original_high"])


def _number_in(text: str) -> tuple[float, str]:
    limit = numbers.censored(text)
    if limit is not None:
        return limit.limit, limit.comparator
    number = numbers.plain(text)
    return (math.nan if number is None else number), ""


# --- events --------------------------------------------------------------------------------------


def _adverse_event(reading: Reading, data: Data) -> Row:
    start, end, _ = reading.interval(data)
    severity, grade = _severity(reading, data)
    serious = reading.flag(data, "serious")
    criteria = _criteria(reading, data)
    outcome = reading.text(data, "outcome")
    fatal = codes.is_fatal_outcome(outcome) or grade == codes.FATAL or "death" in criteria
    _check_seriousness(reading, data, serious, criteria, fatal)
    return {
        "term": reading.required(data, "term"),
        "preferred_term": reading.text(data, "preferred_term"),
        "system_organ_class": reading.text(data, "system_organ_class"),
        "severity": severity,
        "grade": math.nan if grade is None else float(grade),
        "serious": serious or "unknown",
        "seriousness_criteria": ", ".join(criteria),
        "related": reading.text(data, "related"),
        "outcome": outcome,
        "fatal": fatal,
        "action_taken": reading.text(data, "action_taken"),
        "visit": reading.text(data, "visit"),
        "start": start,
        "end": end,
    }


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
    level = codes.severity_level(text)
    if text and not level:
        detail = f"{shown(text)} is no severity that is known; it is shown as collected."
        reading.finding("unknown_value", "severity", detail)
    in_words = text in ("MILD", "MODERATE", "SEVERE")
    if grade is not None and level and level != grade and not (level == codes.SEVERE <= grade and in_words):
        detail = f"Severity {shown(text)} and grade {grade} do not agree; both are shown."
        reading.finding("severity_contradicts_grade", "grade", detail)
    if grade is None and level and not in_words:
        grade = level
    return text, grade


def _criteria(reading: Reading, data: Data) -> list[str]:
    """The criteria of seriousness that are met, in the order of codes.CRITERIA, unknown ones after them."""
    given = data.get("seriousness_criteria")
    if isinstance(given, Mapping):
        given = [name for name, met in given.items() if codes.read_flag(met) == codes.YES]
    if isinstance(given, str):
        given = [part for part in given.replace(";", ",").split(",") if part.strip()]
    if not isinstance(given, (list, tuple)):
        if given is not None:
            detail = f"Expected a list of criteria, found {shown(given)}; it was left out."
            reading.finding("wrong_type", "seriousness_criteria", detail)
        return []
    known, others = set(), []
    for position, one in enumerate(given):
        criterion = codes.read_criterion(one) if isinstance(one, str) else None
        if criterion:
            known.add(criterion)
            continue
        detail = f"{shown(one)} is none of {', '.join(codes.CRITERIA)}."
        reading.finding("unknown_value", f"seriousness_criteria[{position}]", detail)
        if isinstance(one, str) and one.strip():
            others.append(" ".join(reading.text({"": one}, "").split()))
    return [name for name in codes.CRITERIA if name in known] + others


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
    occurred = reading.flag(data, "occurred")
    return {
        "visit": reading.required(data, "visit"),
        "visit_number": reading.number(data, "visit_number"),
        "start": start,
        "end": end,
        "planned": reading.flag(data, "planned") != codes.NO,
        "occurred": occurred or "unknown",
        "visit_status": _visit_status(reading, occurred, start, first),
        "reason_not_done": reading.text(data, "reason_not_done"),
    }


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
    category = reading.text(data, "category")
    event = decoded if decoded.strip() else term
    return {
        "term": term,
        "decoded": decoded,
        "category": category,
        "disposition_class": codes.disposition_category(category, event) or "NOT STATED",
        "discontinued": codes.is_discontinuation(category, event),
        "death": codes.is_death(event),
        "visit": reading.text(data, "visit"),
        "start": reading.date(data, "start")[0],
    }


# --- subjects, treatment and what else is recorded -----------------------------------------------


def _subject(reading: Reading, data: Data) -> Row:
    row: Row = {
        name: reading.text(data, name)
        for name in ("age_unit", "sex", "race", "ethnicity", "country", "status", *RESTRICTED_OF_SUBJECTS)
    }
    for name in ("consented", "enrolled", "ended", "death"):
        row[name] = reading.date(data, name)[0]
    row["age"] = reading.number(data, "age")
    died = reading.flag(data, "died")
    if died == codes.NO and row["death"]:
        detail = f"A date of death is given ({row['death']}) and died is no."
        reading.finding("death_contradicts", "died", detail)
    row["died"] = codes.YES if row["death"] and not died else died
    return row


RESTRICTED_OF_SUBJECTS = ("arm", "arm_code", "actual_arm", "actual_arm_code")


def _plain_row(
    texts: tuple[str, ...], numbers_: tuple[str, ...] = (), flags: tuple[str, ...] = (), term: str = "term"
) -> Callable[[Reading, Data], Row]:
    """A row that takes its fields as they are, with `start` and `end`."""

    def row(reading: Reading, data: Data) -> Row:
        start, end, _ = reading.interval(data)
        return {
            term: reading.required(data, term),
            **{name: reading.text(data, name) for name in texts},
            **{name: reading.number(data, name) for name in numbers_},
            **{name: reading.flag(data, name) for name in flags},
            "start": start,
            "end": end,
        }

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
    Kind.DEVIATION.value: _plain_row(("decoded", "category", "visit")),
    Kind.MEDICATION.value: _plain_row(
        ("decoded", "category", "indication", "dose_text", "dose_unit", "frequency", "route"),
        ("dose",),
        ("ongoing",),
    ),
    Kind.HISTORY.value: _plain_row(
        ("preferred_term", "system_organ_class", "category"), (), ("occurred", "ongoing")
    ),
}
