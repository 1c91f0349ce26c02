"""Spellings of one unit are one unit; what only looks alike stays apart."""

from __future__ import annotations

import itertools

import pytest

from reporting_pipeline.domain.clinical.units import same_unit, shown_unit

SPELLINGS = [
    ["µmol/L", "μmol/L", "umol/L", "UMOL/L", "mcmol/L", "nmol/mL", "micromol/L", "micromoles/L"],
    ["10^9/L", "10⁹/L", "x10^9/L", "×10⁹/L", "10*9/L", "10E9/L", "10**9/L", "10^3/uL", "10^3/µL", "K/uL"],
    [
        "GI/L",
        "THOU/uL",
        "10*3/mm3",
        "10^6/mL",
        "x10E3/uL",
        "1000/uL",
        "10 exp 9/L",
        "10(9)/L",
        "Giga/L",
        "Gpt/l",
        "/nL",
    ],
    ["10^12/L", "TI/L", "10^6/uL", "M/uL", "MILL/uL", "Tera/L", "Tpt/L", "/pL"],
    ["cells/uL", "/uL", "10^6/L"],
    ["m2", "m²", "m^2"],
    ["mg/dL", "mg/dl", "MG/DL", "mg / dL", "mg/d\u200bL", "mg/100 mL", "mg%"],
    ["IU/L", "[iU]/L", "iu/l", "mIU/mL", "I.U./L", "int. units/L", "UI/L", "IE/l", "mUI/mL"],
    ["U/L", "u/l", "units/L", "Unit/L"],
    ["g/L", "mg/mL"],
    ["K", "\u212a"],
    ["°C", "℃", "C", "degC"],
    ["mEq/L", "meq/l"],
    ["mmol/L", "mmol\u200b/L", "mmoles/L", "millimol/L"],
    ["beats/min", "bpm", "BEATS/MIN", "/min", "{beats}/min"],
    ["%", "pct"],
    ["G/L"],  # grams or thousand millions: neither is taken for the other
    ["bill/L"],  # so are these
    ["mL/min"],
    ["mmHg", "mm[Hg]", "MMHG", "mm Hg"],
    ["mg/24h", "mg/day", "mg/d", "mg/24 h"],
    ["mL/min/1.73m2", "mL/min/1.73 m²", "mL/min/1.73m^2", "mL/min/{1.73_m2}"],
    ["kg/m2", "kg/m²"],
    ["ng/mL", "ug/L", "µg/L", "microgram/L", "microg/L"],
    ["msec", "ms", "milliseconds"],
    ["mIU/L", "uIU/mL", "µIU/mL"],
    ["kg"],
    ["g"],
    ["LB"],
    ["100 WBC"],
    ["109/L"],
    ["ng/dL"],
    ["mM", "mmol per L", "mmol.L-1", "mmol*L-1", "mmol L-1", "mmol L^-1"],
    ["uM", "µM"],
    ["nM", "nmol/L"],
    ["mm"],
    ["E9/L", "cells x10^3/uL", "K/cumm", "K/cmm", "#/nL", "#x10^9/L"],
    ["T/L"],
    ["MIL/uL"],  # a million, or in Portuguese a thousand
    ["/HPF", "#/HPF", "per HPF", "cells/HPF", "/hpf"],
    ["HPF"],
    ["WBC/HPF"],
    ["mg/g", "mg/g creat", "mg/g creatinine", "mg/g{creat}"],
    ["inches", "in"],
    ["pounds"],
    ["FRACTION", "fraction of 1"],
    ["RATIO"],
]
_BY_FIRST = {one[0]: one for one in SPELLINGS}
#: Groups above that say the same: told apart for their length alone.
_JOINED = [
    ("10^9/L", "GI/L", "E9/L"),
    ("10^12/L", "T/L"),
    ("mmol/L", "mM"),
    ("µmol/L", "uM"),
    ("LB", "pounds"),
]
SAME = [
    *([one for first in firsts for one in _BY_FIRST[first]] for firsts in _JOINED),
    *(one for one in SPELLINGS if one[0] not in {first for firsts in _JOINED for first in firsts}),
]


@pytest.mark.parametrize("spellings", SAME, ids=lambda spellings: spellings[0])
def test_spellings_of_one_unit_are_the_same(spellings: list[str]) -> None:
    assert [one for one in spellings if not same_unit(one, spellings[0])] == []


def test_different_units_are_never_taken_for_one() -> None:
    taken = [
        (first, second)
        for one, other in itertools.combinations(SAME, 2)
        for first in one
        for second in other
        if same_unit(first, second)
    ]
    assert taken == []


def test_a_unit_is_shown_as_collected_without_what_nobody_can_see() -> None:
    assert shown_unit("10⁹/L") == "10⁹/L"
    assert shown_unit("mmol\u200b/L \ufeff") == "mmol/L"
    assert not same_unit("mg/dL", "")
    assert same_unit("", "\u200b")


@pytest.mark.parametrize(
    ("written", "power"),
    [
        *((f"{name}/uL", "10^3/uL") for name in ("th", "thou", "thous", "thousand", "K", "k")),
        *((f"{name}/uL", "10^6/uL") for name in ("mill", "million", "M")),
        *((f"{name}/L", "10^9/L") for name in ("Gi", "giga")),
        *((f"{name}/L", "10^12/L") for name in ("Ti", "tera", "T")),
    ],
)
def test_a_word_for_a_power_of_ten_is_that_power(written: str, power: str) -> None:
    assert same_unit(written, power)
