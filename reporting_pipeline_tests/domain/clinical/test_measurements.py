"""What a physician reads of a result: out of range or not, by whose word, and in which order."""

from __future__ import annotations

import math
from typing import Any

import pytest

from reporting_pipeline.domain.clinical.measurements import GRAVE, UNMEASURED, ratio_to_limit
from reporting_pipeline.domain.clinical.numbers import digits, plain
from reporting_pipeline.domain.clinical.reading import Reading
from reporting_pipeline.domain.clinical.rows import rows_of


def judged(kind: str = "lab", **result: Any) -> dict[str, Any]:
    (row,) = rows_of(kind, {"results": [{"test_code": "T", **result}]}, Reading())
    return row


GLUCOSE = {"unit": "mmol/L", "low": 2.8, "high": 13.9, "original_unit": "mg/dL"}


@pytest.mark.parametrize(
    ("result", "flag", "text"),
    [
        # the laboratory's own flag counts, with or without a number or a range
        (
            {**GLUCOSE, "original_result": "<40", "text_result": "<2.2204", "indicator": "LOW"},
            "LOW",
            "<2.2204",
        ),
        ({**GLUCOSE, "original_result": ">50000", "indicator": "HIGH"}, "HIGH", ">50000"),
        ({"original_result": "3+", "indicator": "ABNORMAL"}, "ABNORMAL", "3+"),
        ({"text_result": "POSITIVE", "indicator": "ABNORMAL"}, "ABNORMAL", "POSITIVE"),
        ({"text_result": "TRACE", "indicator": "A"}, "ABNORMAL", "TRACE"),
        ({"original_result": "812", "indicator": "HIGH"}, "HIGH", "812"),
        ({"value": 9, "indicator": "H"}, "HIGH", "9"),
        ({"value": 9, "indicator": "L"}, "LOW", "9"),
        ({"value": 9, "indicator": "HH"}, "HIGH HIGH", "9"),
        ({"value": 9, "indicator": "low low"}, "LOW LOW", "9"),
        ({"value": 9, "indicator": "Critical"}, "CRITICAL", "9"),
        ({"value": 9, "indicator": "Indeterminate"}, "INDETERMINATE", "9"),
        ({"value": 9, "indicator": "Positive"}, "POSITIVE", "9"),
        # without a flag, the range
        ({"value": 14, "low": 2.8, "high": 13.9}, "HIGH", "14"),
        ({"value": 2, "low": 2.8}, "LOW", "2"),
        ({"value": 300, "high": 200}, "HIGH", "300"),
        ({"value": 5, "low": 2.8, "high": 13.9, "original_result": "210", "original_high": 200}, "HIGH", "5"),
        # censored: as far as the limit says
        ({"value": 2.8, "comparator": "<", "low": 2.8, "high": 13.9}, "LOW", "<2.8"),
        ({"original_result": "<0.5", "low": 1, "high": 3}, "LOW", "<0.5"),
        ({"text_result": "≤0.5", "low": 1, "high": 3}, "LOW", "≤0.5"),
        ({"text_result": ">= 13.9", "low": 1, "high": 3}, "HIGH", ">= 13.9"),
        ({"original_result": "<0,2", "low": 1, "high": 3}, "LOW", "<0,2"),
        ({"value": "<40", "low": 70}, "LOW", "<40"),
        # a decimal comma, where it cannot separate thousands
        ({"value": "8,1", "low": "12,0", "high": "16,0"}, "LOW", "8.1"),
        ({"original_result": "5,9", "original_low": 3.9, "original_high": "5,6"}, "HIGH", "5,9"),
        # a result in words that is a judgement itself
        ({"text_result": "Abnormal"}, "ABNORMAL", "Abnormal"),
        (
            {"original_result": "ABNORMAL, CLINICALLY SIGNIFICANT"},
            "ABNORMAL",
            "ABNORMAL, CLINICALLY SIGNIFICANT",
        ),
        # a toxicity grade or the investigator's word stands for a flag
        ({"value": 9, "grade": 4}, "ABNORMAL", "9"),
        ({"value": 9, "clinically_significant": "Y"}, "ABNORMAL", "9"),
    ],
)
def test_what_is_out_of_range_is_listed_with_its_flag(result: dict[str, Any], flag: str, text: str) -> None:
    row = judged(**result)
    assert (row["flag"], row["value_text"]) == (flag, text)
    assert row["assessed"] is True
    assert row["out_of_range"] is True


@pytest.mark.parametrize(
    "result",
    [
        {"value": 148.7, "low": 149, "high": 446, "original_result": "2.5", "indicator": "NORMAL"},
        {"value": 148.7, "low": 149, "original_result": "2.5", "original_low": 2.5, "original_high": 7.5},
        {"value": 0.1 + 0.2, "high": 0.3},
        {"value": 0.29 * 100, "low": 29},
        {"value": 124.00000000000001, "high": 124},
        {"value": 5, "low": 5, "high": 5},
        {"value": 9, "low": 1, "high": 3, "indicator": "N"},
        {"text_result": "NEGATIVE", "indicator": "Negative"},
        {"original_result": "<0.5", "high": 3},
        {"text_result": "NORMAL"},
    ],
)
def test_what_is_within_is_assessed_and_not_listed(result: dict[str, Any]) -> None:
    row = judged(**result)
    assert (row["assessed"], row["out_of_range"]) == (True, False)


@pytest.mark.parametrize(
    "result",
    [
        {"value": 9},
        {"value": 9, "low": 145, "high": 135},
        {"text_result": "POSITIVE"},
        {"original_result": "<40", "low": 30, "high": 50},  # may be low, may be within
        {"original_result": "<40", "low": 2.8, "high": 13.9, "unit": "mmol/L", "original_unit": "mg/dL"},
        {"original_result": "1,234", "low": 2, "high": 13},
        {"status": "NOT DONE", "low": 2, "high": 13},
        {"value": 9, "indicator": "UNKNOWN"},
    ],
)
def test_what_nothing_speaks_of_is_neither_normal_nor_abnormal(result: dict[str, Any]) -> None:
    row = judged(**result)
    assert (row["flag"], row["assessed"], row["out_of_range"]) == ("", False, False)


@pytest.mark.parametrize("kind", ["vitals", "ecg", "questionnaire", "tumour_response"])
def test_every_measurement_is_judged_as_a_laboratory_result_is(kind: str) -> None:
    assert judged(kind, value=245, low=90, high=140)["flag"] == "HIGH"


@pytest.mark.parametrize(
    ("value", "low", "high", "side", "ratio"),
    [
        (5, 130, 394, "low", 26),
        (400, 22, 198, "high", 400 / 198),
        (1.0, 2.8, 13.9, "low", 2.8),
        (0, 130, 394, "low", math.inf),
        (-1, 130, 394, "low", math.inf),
        (8, -2, 2, "high", 4),  # base excess
        (-8, -2, 2, "low", 4),
        (5, -2, 0, "high", 1 + 5 / 2),  # a limit of 0: widths of the range
        (5, math.nan, 0, "high", math.nan),
        (-1, -10, -2, "high", 2),
        (1, -10, -2, "high", 2.5),
        (5, math.nan, math.nan, "high", math.nan),
        (math.nan, 1, 2, "high", math.nan),
        (5, 1, 2, "abnormal", math.nan),
    ],
)
def test_the_factor_to_the_limit(value: float, low: float, high: float, side: str, ratio: float) -> None:
    assert ratio_to_limit(value, low, high, side) == pytest.approx(ratio, nan_ok=True)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (123456789.0, "123456789"),
        (0.00002, "0.00002"),
        (1e-07, "0.0000001"),
        (1e22, "10000000000000000000000"),
        (0.1 + 0.2, "0.3"),
        (5.0, "5"),
        (-0.5, "-0.5"),
        (-0.0, "0"),
        (math.nan, ""),
    ],
)
def test_numbers_have_no_exponent(value: float, text: str) -> None:
    assert digits(value) == text


def test_a_number_keeps_the_digits_of_its_source() -> None:
    assert judged(value=5.0, original_result="5.00", unit="U/L", original_unit="U/L")["value_text"] == "5.00"
    assert (
        judged(value=5.0, original_result="90.1", unit="mmol/L", original_unit="mg/dL")["value_text"] == "5"
    )
    assert judged(value=5.1, text_result="5.10", unit="U/L")["value_text"] == "5.10"
    assert (
        judged(value=1e-7, original_result="1e-07", unit="g", original_unit="g")["value_text"] == "0.0000001"
    )


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ("ABNORMAL, CLINICALLY SIGNIFICANT", GRAVE),
        ("Abnormal CS", GRAVE),
        ("ABNORMAL, NOT CLINICALLY SIGNIFICANT", UNMEASURED),
        ("ABNORMAL NCS", UNMEASURED),
        ("ABNORMAL", UNMEASURED),
    ],
)
def test_an_ecg_read_as_a_whole_ranks_by_its_own_words(text: str, tier: int) -> None:
    assert judged("ecg", text_result=text)["tier"] == tier


@pytest.mark.parametrize(
    ("text", "flag"),
    [("NORMAL", "NORMAL"), ("Normal ECG", "NORMAL"), ("normal sinus rhythm.", "NORMAL")]
    + [
        (text, "")
        for text in (
            "NORMAL EXCEPT FOR AV BLOCK",
            "NORMAL OR ABNORMAL, NOT KNOWN",
            "NORMAL VARIANT",
            "NORMAL?",
            "NORMAL/ABNORMAL",
            "NOT NORMAL",
        )
    ],
)
def test_words_that_only_begin_with_normal_are_not_normal(text: str, flag: str) -> None:
    row = judged("ecg", text_result=text)
    assert (row["flag"], row["assessed"]) == (flag, bool(flag))


def test_a_flag_on_the_wrong_side_does_not_hide_how_far_the_number_is() -> None:
    assert judged(value=10, low=3.5, high=5, indicator="L")["ratio"] == 2


@pytest.mark.parametrize(
    ("text", "number"),
    [("88,4", 88.4), ("0,123", 0.123), ("-1,25", -1.25), ("12,3456", 12.3456)]
    + [("1,234,567", 1234567), ("1,234.5", 1234.5), ("1.234,5", 1234.5), ("1.234.567,25", 1234567.25)]
    + [("1 234", 1234), ("1\u202f234,5", 1234.5), ("1'234.5", 1234.5), ("12\u00a0345", 12345)]
    + [("\u22125", -5), ("1.2x10^3", 1200), ("2 × 10^-2", 0.02)]
    + [(text, None) for text in ("1,234", "12,34,5", ",5", "1,2.3", "5,", "1_000", "1 23", "1.2 x 10E3")]
    + [(text, None) for text in ("12 345 6", "1,234 567", "inf", "٣", "10^", "x10^3", "1x10^999")],
)
def test_a_comma_is_read_where_it_cannot_separate_thousands(text: str, number: float | None) -> None:
    assert plain(text) == number


@pytest.mark.parametrize(
    ("limits", "reference"),
    [
        ({"low": "NEGATIVE"}, "NEGATIVE"),
        ({"low": "NEGATIVE", "high": ""}, "NEGATIVE"),
        ({"low": "NEGATIVE", "high": "N/A"}, "NEGATIVE"),
        ({"low": "NEGATIVE", "high": "NEGATIVE"}, "NEGATIVE"),
        ({"low": "NEGATIVE", "high": "TRACE"}, "NEGATIVE TO TRACE"),
        ({"low": "NEGATIVE", "high": 5.0}, ""),
        ({"low": 5.0, "high": "NEGATIVE"}, ""),
    ],
)
def test_limits_that_are_words_are_a_range_where_neither_is_a_number(
    limits: dict[str, Any], reference: str
) -> None:
    assert judged(text_result="POSITIVE", **limits)["reference_text"] == reference
