"""Which measurements tell who gets the treatment: its concentration, and antibodies against it.

In a blinded trial such a result is as good as the name of the arm (ICH E6(R3) 4.1). SDTM has domains of
their own for them (PC, PP, IS), but laboratories send them among their other results, too. Where a name is in
doubt it is taken for telling. A result that says so itself (`unblinding`) is one whatever its name is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from reporting_pipeline.domain.clinical import codes

#: Domains of SDTM that tell who gets the treatment: concentrations, their parameters, antibodies against it,
#: what was handed out, and how the device was set.
UNBLINDING_DOMAINS = frozenset({"PC", "PP", "IS", "DA", "DU"})
#: As a whole word in a category; in the name of a test they are pyruvate kinase and adenosine deaminase.
_SHORT = r"\b(?:PK|ADA|NAB)\b"
_LONG = (
    r"PHARMACOKINETIC|TOXICOKINETIC|IMMUNOGENICITY|ANTI-?[ -]?(?:DRUG|THERAPEUTIC)[ -]ANTIBOD"
    r"|\b(?:DRUG|TREATMENT|STUDY PRODUCT|INVESTIGATIONAL PRODUCT)[ -](?:CONCENTRATION|LEVEL)"
)
_IN_CATEGORY = re.compile(f"{_LONG}|{_SHORT}", re.IGNORECASE)
_IN_TEST = re.compile(_LONG, re.IGNORECASE)
#: What is given where nothing is: no test is about it.
_NOTHING_GIVEN = re.compile(
    r"PLACEBO|SHAM|VEHICLE|DUMMY|SALINE|CONTROL|OBSERVATION|STANDARD OF CARE", re.IGNORECASE
)
#: Shorter names of treatments ("A", "B12") are parts of words that have nothing to do with them.
_SHORTEST = 4


#: "ARM B DAY 1", "TREATMENT A", "SEQUENCE BA": a letter in the place of a treatment's name.
_LETTERED = re.compile(
    r"\b(?:(?:ARM|TRT|TREATMENT|REGIMEN|SEQ(?:UENCE)?)[ :-]+[A-H]{1,4}|ARM[ :-]+(?:[1-9]|I{1,3}|IV))\b"
)
#: Before the treatments differ everybody has the same.
_OF_EVERYBODY = re.compile(r"\b(?:RUN|LEAD)[ -]?IN\b")


def visit_is_unblinding(record: Mapping[str, object]) -> bool:
    """Whether a payload, or an entry of its `results`, names a visit whose name tells who gets the treatment:
    it says so itself (`visit_unblinding`), or the name holds an arm or a treatment by its letter."""
    said = record.get("visit_unblinding")
    if said not in (None, "") and codes.read_flag(said) != codes.NO:
        return True
    return _names_a_letter(_words(record, "visit"))


@lru_cache(maxsize=4_096)
def _names_a_letter(visit: str) -> bool:
    return _LETTERED.search(visit.upper()) is not None


def visit_names_treatment(visit: str, names: Iterable[str]) -> bool:
    """Whether a visit is named after a treatment, arm or element of `names` ("WEEK 8 X INFUSION").

    What is given where nothing is ("PLACEBO DAY 1") tells as much; "PLACEBO RUN-IN" is everybody's.
    """
    said = " ".join(visit.upper().split())
    named = (" ".join(name.upper().split()) for name in names)
    return not _OF_EVERYBODY.search(said) and any(
        len(one) >= _SHORTEST and _holds(said, one) for one in named
    )


def _holds(said: str, name: str) -> bool:
    """Whether `name` stands in `said` as whole words; both in capitals."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said) is not None


def is_unblinding(result: Mapping[str, object]) -> bool:
    """Whether an entry of a payload's `results` says that it tells the treatment: itself, or by its words."""
    said = result.get("unblinding")
    if said not in (None, "") and codes.read_flag(said) != codes.NO:  # who asks the question has a doubt
        return True
    if _words(result, "domain").strip().upper() in UNBLINDING_DOMAINS:
        return True
    return tells_treatment(_words(result, "category"), _words(result, "test") or _words(result, "test_code"))


@lru_cache(maxsize=4_096)
def tells_treatment(category: str, test: str) -> bool:
    """Whether category or test say that this is a concentration of a drug, or antibodies against one."""
    return bool(_IN_CATEGORY.search(category) or _IN_TEST.search(test))


def _words(result: Mapping[str, object], name: str) -> str:
    given = result.get(name)
    return given if isinstance(given, str) else ""


def names_treatment(test: str, treatments: Iterable[str]) -> bool:
    """Whether the test is named after one of the treatments that are given in its trial ("Lithium")."""
    said = " ".join(test.upper().split())
    return any(
        len(one) >= _SHORTEST and not _NOTHING_GIVEN.search(one) and _holds(said, one)
        for one in (" ".join(name.upper().split()) for name in treatments)
    )
