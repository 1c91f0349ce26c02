"""Domains of SDTM's findings and events classes that have no kind of their own, a sponsor's too, read as
other results and as other events.

Whatever it examines, a row of a findings class is one answer (--ORRES) to one question (--TESTCD) about one
subject, so it can be read as a measurement, with its domain named. What tells who gets the treatment is not
(`blinding.UNBLINDING_DOMAINS`). A row of an events class is something that happened (--TERM): it may have
been fatal or serious, which its words then say.

Source: SDTM Implementation Guide 3.4, 2.3 "The General Observation Classes".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from reporting_pipeline.domain.clinical.blinding import UNBLINDING_DOMAINS
from reporting_pipeline.domain.clinical.result_domains import RESULT_DOMAINS, domain_in_words
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.intake.sdtm.columns import Domain, Payload, Row, column, measurements, text
from reporting_pipeline.intake.sdtm.domains import ABOUT_THE_TRIAL, DOMAINS, RELATIONS, events

#: The letters of a table that a mapping makes: it is no domain of SDTM, and names its own.
MAPPED = "XX"
#: Events of a specimen, as its freezing; nobody's health is in them.
_OF_SPECIMENS = frozenset({"BE"})
_LETTERS = re.compile(r"[A-Z][A-Z0-9]")
_TEST_CODE = re.compile(r"([A-Z][A-Z0-9])TESTCD")
_ANSWERS = ("ORRES", "STRESC", "STRESN")
_NOT_RESULTS = UNBLINDING_DOMAINS | ABOUT_THE_TRIAL | RELATIONS
#: What a column of one domain alone is called, after its two letters.
_OWN = ("TESTCD", "TERM", "TRT", "DECOD", "SEQ", "STDTC")


def domain_for(name: str, columns: Collection[str]) -> Domain | None:
    """How a table called `name` is read; None for one that has no kind of document."""
    known = DOMAINS.get(name)
    if known is not None or name in _NOT_RESULTS or not _LETTERS.fullmatch(name):
        return known
    about_persons = "USUBJID" in columns or "SUBJID" in columns
    if not about_persons:
        return None
    if f"{name}TERM" in columns and name not in _OF_SPECIMENS:
        return other_events(name)
    answers = any(name + suffix in columns for suffix in _ANSWERS)
    return other_results(name) if answers and f"{name}TESTCD" in columns else None


def is_named(name: str, columns: Collection[str]) -> bool:
    """Whether a table's name is that of a domain, known or one that its columns are called by."""
    return name in DOMAINS or name in RESULT_DOMAINS or domain_for(name, columns) is not None


def domain_of(columns: Collection[str], name: str) -> str:
    """The domain of a table that does not name one: that of which it has columns ("LBTESTCD", "AETERM"), else
    that which a part of its name is ("S1_DM"); "" where neither says, or they say several."""
    by_columns = {code for code in DOMAINS if any(code + suffix in columns for suffix in _OWN)}
    by_columns |= {match[1] for one in columns if (match := _TEST_CODE.fullmatch(one))}
    by_name = DOMAINS.keys() & re.split(r"[^A-Z0-9]+", name.upper()) if "USUBJID" in columns else set()
    found = by_columns or by_name
    return next(iter(found)) if len(found) == 1 else ""


@lru_cache(maxsize=256)
def other_events(code: str) -> Domain:
    """The domain `code`, whose events are dispositions of no counted category."""
    return events(code, f"OTHER EVENT ({code})")


@lru_cache(maxsize=256)
def other_results(code: str) -> Domain:
    """The domain `code`, whose results are of the kind "other_result"."""

    def finish(result: Payload, row: Row) -> None:
        result["domain"] = result["domain"] or ("" if code == MAPPED else code)
        about = (
            f"{code}OBJ",
            "NHOID",
            f"{code}AGENT",
        )  # the event; the organism, and what it was held against
        result["object"] = ", ".join(filter(None, (text(row.get(name)) for name in about)))
        result["laterality"] = result["laterality"] or text(row.get("FOCID"))  # the eye: OD, OS

    return measurements(
        code,
        Kind.OTHER_RESULT.value,
        domain_in_words(code) if code in RESULT_DOMAINS else "Results",
        second=code != MAPPED,
        more=(
            column("domain", "--DOMAIN"),  # of a mapping; SDTM has DOMAIN
            column("object", "--OBJ"),
            column("location", "--LOC"),
        ),
        finish=finish,
        also=("NHOID", "--AGENT", "FOCID", "DOMAIN"),
    )
