"""From the list of results in a payload to the rows of a table of measurements.

A result is read, shown as its source wrote it, and compared with its range where both are in the same units
(`measurements.assess`); what does not agree is told. Nothing in a payload can raise here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reporting_pipeline.domain.clinical import codes, numbers, qualitative
from reporting_pipeline.domain.clinical.blinding import is_unblinding, visit_is_unblinding
from reporting_pipeline.domain.clinical.measurements import NOT_ASSESSED, Assessment, Quantity, assess
from reporting_pipeline.domain.clinical.payloads import OtherResult, Result, TumourResult
from reporting_pipeline.domain.clinical.reading import Data, Reading, Row, clean, shown
from reporting_pipeline.domain.clinical.units import same_unit, shown_unit

_FIELDS: Mapping[type[Result], frozenset[str]] = {
    model: frozenset(model.model_fields) for model in (Result, OtherResult, TumourResult)
}
#: What each has that a result has not.
_MORE_FIELDS = {model: fields - _FIELDS[Result] for model, fields in _FIELDS.items()}


def results_of(reading: Reading, data: Data, model: type[Result], needed: bool) -> list[Row]:
    """The rows of a list of results, each with the fields of `model`."""
    results = data.get("results")
    if results is None and not needed:
        return []
    if not isinstance(results, (list, tuple)):
        code = "missing_field" if results is None else "wrong_type"
        reading.finding(code, "results", "The document has no list of results.")
        return []
    read = [
        (place, row)
        for place, result in enumerate(results)
        if (row := _result(reading, result, model, f"results[{place}].")) is not None
    ]
    if any(row["derived"] for _, row in read):
        _set_derived_apart(reading, read)
    return [row for _, row in read]


#: What a derived result has in common with those it was made from.
_DERIVED_FROM = (
    *("test_code", "specimen", "category", "position", "laterality"),
    *("domain", "object", "location"),  # of other results
    *("lesion", "evaluator"),  # of tumours
)


def _set_derived_apart(reading: Reading, read: list[tuple[int, Row]]) -> None:
    """A derived result beside originals of its test counts only where it is graver than all of them: the mean
    of three is no fourth result. Alone, as a score or a body mass index is, it counts."""
    gravest: dict[tuple[object, ...], float] = {}
    for _, row in read:
        if row["assessed"] and not row["derived"]:
            test = tuple(row.get(name) for name in _DERIVED_FROM)
            gravest[test] = min(float(str(row["tier"])), gravest.get(test, math.inf))
    for place, row in read:
        worst = gravest.get(tuple(row.get(name) for name in _DERIVED_FROM))
        if not row["derived"] or not row["assessed"] or worst is None or float(str(row["tier"])) < worst:
            continue
        detail = (
            f"{row['test_code']} {row['value_text']} is derived from results beside it; it is not counted."
        )
        reading.finding("derived_beside_originals", f"results[{place}].derived", detail)
        set_assessment(row, replace(NOT_ASSESSED, flag=str(row["flag"])))


def _result(reading: Reading, result: object, model: type[Result], where: str) -> Row | None:
    if not isinstance(result, Mapping):
        reading.finding("wrong_type", where[:-1], f"Expected a result, found {shown(result)}.")
        return None
    if not result.keys() <= _FIELDS[model]:
        reading.unknown_fields(result, _FIELDS[model], where)
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
        "visit_unblinding": visit_is_unblinding(result),
        "time_point": text(result, "time_point", where),
        "visit_number": reading.number(result, "visit_number", where),
        "collected": reading.date(result, "collected", where)[0],
        "original_result": text(result, "original_result", where),
        "original_unit": _unit(text(result, "original_unit", where)),
        "original_low": reading.limit(result, "original_low", ">", where),
        "original_high": reading.limit(result, "original_high", "<", where),
        "unit": _unit(text(result, "unit", where)),
        "low": reading.limit(result, "low", ">", where),
        "high": reading.limit(result, "high", "<", where),
        "indicator": codes.folded(text(result, "indicator", where)),
        "text_result": text(result, "text_result", where),
        "derived": reading.flag(result, "derived", where) == codes.YES,
        "baseline": reading.flag(result, "baseline", where) == codes.YES,
        "unblinding": reading.flag(result, "unblinding", where) == codes.YES or is_unblinding(result),
        "status": text(result, "status", where),
        "reason_not_done": text(result, "reason_not_done", where),
        **{name: text(result, name, where) for name in _MORE_FIELDS[model]},
    }
    reference = _reference_text(result)
    row["reference_text"] = clean(reference)
    if not reference:
        _tell_words_beside_numbers(reading, result, where)
    limits = qualitative.limits_in(reference) if reference else None
    if limits is not None:
        limits = _filled(row, limits)
    _read_value(reading, result, row, where)
    _judge(reading, result, row, where, reference, limits)
    _tell_a_death(reading, row, where)
    return row


def _tell_a_death(reading: Reading, row: Row, where: str) -> None:
    """A result "DEAD", or one that is missing for "SUBJECT DIED": no figure counts it, so it is told."""
    for name in ("text_result", "reason_not_done"):
        reading.tell_a_death(str(row[name]), where + name)


def _filled(row: Row, limits: qualitative.RangeLimits) -> qualitative.RangeLimits:
    """Each limit that is missing is taken from the range in one text; what of it is excluded is kept."""
    no_low, no_high = row["low"] != row["low"], row["high"] != row["high"]
    row["low"] = limits.low if no_low else row["low"]
    row["high"] = limits.high if no_high else row["high"]
    low, high = no_low and limits.low_excluded, no_high and limits.high_excluded
    return replace(limits, low_excluded=low, high_excluded=high)


def _reference_text(result: Data) -> str:
    """A range in words: of its own field, else of limits that are words; "" for none."""
    given = result.get("reference_text")
    if isinstance(given, str) and given.strip() and not codes.is_not_stated(given):
        return given.strip()
    for names in (("original_low", "original_high"), ("low", "high")):
        low, high = (result.get(name) for name in names)
        words = [one for one in (low, high) if isinstance(one, str) and qualitative.is_of_words(one)]
        if words and all(one in words or not one or _is_nothing(one) for one in (low, high)):
            return " TO ".join(dict.fromkeys(words))
    return ""


def _tell_words_beside_numbers(reading: Reading, result: Data, where: str) -> None:
    """A word as one limit and a number as the other are no range in words."""
    for name in ("original_low", "original_high", "low", "high"):
        given = result.get(name)
        if isinstance(given, str) and qualitative.is_of_words(given):
            detail = f"The limit {shown(given)} is no number; the result is not compared with it."
            reading.finding("range_not_read", where + name, detail)


def _is_nothing(value: object) -> bool:
    return isinstance(value, str) and codes.is_nothing(value)


def _unit(text: str) -> str:
    return "" if codes.is_nothing(text) else shown_unit(text.strip())


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
    row["value_text"] = numbers.without_exponent(text or original) or str(row["status"])
    row["value_unit"] = row["unit"] if text and text != original else row["original_unit"] or row["unit"]


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
        if number is not None and numbers.same(number, value) and not set("eE^") & set(text):
            return text.strip()
    return numbers.digits(value)


def _judge(
    reading: Reading,
    result: Data,
    row: Row,
    where: str,
    reference: str,
    limits: qualitative.RangeLimits | None,
) -> None:
    """The columns of an `Assessment`, and findings on ranges and flags that do not agree.

    `reference` is a range in words or "", `limits` what of it became the standard range.
    """
    grade = reading.grade(result, "grade", where)
    significant = reading.flag(result, "clinically_significant", where)
    standard, original = _standard(row), _original(row)
    standard = _as_given(result, row, standard, ("low", "high"))
    original = _as_given(result, row, original, ("original_low", "original_high"))
    if limits is not None:
        low, high = standard.low_excluded, standard.high_excluded
        low, high = low or limits.low_excluded, high or limits.high_excluded
        standard = replace(standard, low_excluded=low, high_excluded=high)
    words = str(row["text_result"] or row["original_result"])
    by_words = qualitative.side_in_words(words, reference) if reference else ""
    for quantity, names in ((standard, "low"), (original, "original_low")):
        if quantity.is_reversed:
            both = f"{numbers.digits(quantity.low)} and {numbers.digits(quantity.high)}"
            detail = f"{row['test_code']}: the limits {both} are reversed; the range is not used."
            reading.finding("reversed_range", where + names, detail)
        if quantity.is_empty:
            detail = f"{row['test_code']}: a range from 0 to 0 may stand for none; it is not used."
            reading.finding("empty_range", where + names, detail)
    judgement, significant_in_words = _judgement(row, words, standard.has_range or original.has_range)
    if (unread := grade_in_words(result)) and judgement.side in ("", codes.NORMAL):
        judgement = codes.Judgement(judgement.text if not judgement.side and judgement.text else unread, "")
    is_significant = significant == codes.YES or (not significant and significant_in_words)
    judged = assess(judgement, original, standard, grade, is_significant, by_words)
    if judged.contradiction:
        detail = f"{row['test_code']} {row['value_text']}: flagged {judged.flag}, {judged.contradiction}."
        reading.finding(judged.contradicts, where + "indicator", detail)
    _tell_unread(reading, row, (standard, original), where)
    if not judged.assessed:
        _tell_range_of_other_unit(reading, result, row, (original, standard), where)
        if reference and row["value_text"] and not standard.has_range and not original.has_range:
            detail = (
                f"{row['test_code']}: {shown(row['value_text'])} is not compared with the range "
                f"{shown(reference)}."
            )
            reading.finding("range_not_read", where + "reference_text", detail)
    not_done = codes.folded(str(row["status"])) == "NOT DONE"
    if not_done and row["value"] != row["value"] and not (_said(row) - {"", "NOT DONE"}):
        if judged.assessed:
            detail = f"{row['test_code']} was not done and is flagged {judged.flag}; the flag says nothing."
            reading.finding("status_contradicts_result", where + "indicator", detail)
        judged = NOT_ASSESSED
    elif not_done and judged.assessed:
        detail = f"{row['test_code']} {row['value_text']} is marked as not done; it counts as a result."
        reading.finding("status_contradicts_result", where + "status", detail)
    row["grade"] = math.nan if grade is None else float(grade)
    row["clinically_significant"] = significant
    set_assessment(row, judged)


#: "HIGH - CS", "H, NCS": a flag, and what the investigator thinks of it.
_AND_SIGNIFICANCE = re.compile(
    r"(.+?)[\s,;:/(\[-]+(NCS|(?:NOT |NON-?)CLINICALLY SIGNIFICANT|CS|CLINICALLY SIGNIFICANT)[\s)\]]*"
)


def _without_significance(indicator: str) -> tuple[str, bool]:
    """(The flag alone, where what is left is one, and whether it is called clinically significant)."""
    if len(indicator) > codes.LONGEST_CODE:
        return indicator, False
    match = _AND_SIGNIFICANCE.fullmatch(indicator)
    if match is None or not codes.judgement(match[1]).side:
        return indicator, False
    return match[1], match[2] in ("CS", "CLINICALLY SIGNIFICANT")


#: What stands in the place of a number that the device could not show, as of a meter for glucose.
_OFF_THE_SCALE = {"HI": "HIGH", "HIGH": "HIGH", "LO": "LOW", "LOW": "LOW"}


def _judgement(row: Row, words: str, has_range: bool) -> tuple[codes.Judgement, bool]:
    """(The flag, or what a result in words is itself, whether one of them says clinically significant)."""
    flag, said_significant = _without_significance(str(row["indicator"]))
    judgement = codes.judgement(flag)
    if not judgement.text and has_range:
        judgement = codes.judgement(_OFF_THE_SCALE.get(codes.folded(words), ""))
    source = "text_result" if not judgement.text else "indicator"
    in_words, significant = ("", False) if judgement.side else codes.interpretation(str(row[source]))
    if not judgement.side and in_words:
        judgement = codes.judgement(in_words)
    significant = significant or said_significant
    if source == "indicator":
        significant = significant or codes.interpretation(str(row["text_result"]))[1]
    return judgement, significant


def grade_in_words(data: Data) -> str:
    """A toxicity grade that nobody can read, as collected: it is a flag of no code list. "" for none."""
    given = data.get("grade")
    if isinstance(given, bool) or not isinstance(given, (str, int, float)) or given != given:
        return ""
    said = codes.folded(given if isinstance(given, str) else shown(given).strip("'"))
    if codes.is_not_stated(said) or codes.judgement(said).side == codes.NORMAL:
        return ""
    return said if codes.read_grade(given) is None else ""


def _tell_range_of_other_unit(
    reading: Reading, result: Data, row: Row, quantities: tuple[Quantity, Quantity], where: str
) -> None:
    """A result in original units alone beside a range in standard ones: nobody knows whether they are one.

    A standard result in words of its own says what it is; one that repeats what was collected does not, nor
    does a number that cannot be read.
    """
    original, standard = quantities
    given, collected = result.get("text_result"), str(row["original_result"]).strip()
    if isinstance(given, str) and given.strip() not in ("", collected) and not _HAS_DIGIT.search(given):
        return
    if standard.has_range and not original.has_range and _is_number(original) and not _is_number(standard):
        detail = (
            f"{row['test_code']}: {shown(row['value_text'])} has no value in standard units; it is not "
            "compared with its range, which is in these."
        )
        reading.finding("range_not_read", where + "value", detail)


_HAS_DIGIT = re.compile(r"\d")


def _is_number(quantity: Quantity) -> bool:
    return quantity.value == quantity.value


def _said(row: Row) -> set[str]:
    """The words in place of a number."""
    said = (str(row[name]) for name in ("text_result", "original_result"))
    return {codes.folded(one) for one in said if not codes.is_nothing(one)}


def _as_given(result: Data, row: Row, quantity: Quantity, names: tuple[str, str]) -> Quantity:
    """`quantity` with what its limits were written as: unread, or excluded ("<10" leaves out 10)."""
    low, high = _limit_excluded(result.get(names[0])), _limit_excluded(result.get(names[1]))
    incomplete = _is_incomplete(result, row, names)
    if not (low or high or incomplete):  # nearly all
        return quantity
    return replace(quantity, is_incomplete=incomplete, low_excluded=low, high_excluded=high)


def _limit_excluded(given: object) -> bool:
    told = numbers.censored(given) if isinstance(given, str) else None
    return told is not None and len(told.comparator) == 1


def _is_incomplete(result: Data, row: Row, names: tuple[str, str]) -> bool:
    """Whether a limit was given that could not be read: nobody knows then what is normal on that side."""
    for name in names:
        if row[name] == row[name]:
            continue
        given = result.get(name)
        if given is not None and given == given and not (isinstance(given, str) and codes.is_nothing(given)):
            return True
    return False


def _tell_unread(reading: Reading, row: Row, quantities: tuple[Quantity, ...], where: str) -> None:
    """A result with digits beside a range that it could not be compared with: "1,234", "12.5 H", "5-10"."""
    text = str(row["value_text"])
    if any(finding.field == f"{where}value" for finding in reading.findings[-8:]):
        return  # told already
    unread = all(quantity.value != quantity.value for quantity in quantities)
    odd = any(sign.isdigit() for sign in text) or _NO_NUMBER.fullmatch(text.strip()) is not None
    if unread and odd and any(one.has_range for one in quantities):
        detail = (
            f"{row['test_code']}: {shown(text)} is not read as a number; it is not compared with its range."
        )
        reading.finding("unread_number", where + "original_result", detail)


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
        value, sign = _number_in(text, row["low"])
    return Quantity(value, sign, row["low"], row["high"])


def _original(row: Any) -> Quantity:
    value, sign = _number_in(row["original_result"], row["original_low"])
    return Quantity(value, sign or row["comparator"], row["original_low"], row["original_high"])


#: A degree on the scale of a strip, unless the range has numbers below zero, as a base excess has.
_DEGREE = re.compile(r"\s*\+[1-4]\s*", re.ASCII)


def _number_in(text: str, low: float) -> tuple[float, str]:
    if _DEGREE.fullmatch(text) and not low < 0:
        return math.nan, ""
    limit = numbers.censored(text)
    if limit is not None:
        return limit.limit, limit.comparator
    number = numbers.plain(text)
    return (math.nan if number is None else number), ""


_NO_NUMBER = re.compile(r"[+-]?(?:INF|INFINITY|NAN)", re.IGNORECASE)
