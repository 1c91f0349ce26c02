"""Persons who have another subject number, too, as who is screened again: told, and never joined.

SDTM has no one place for it. What is read: RELSUB (both numbers and how they are related), and columns of
DM or qualifiers in SUPPDM that are called so or hold the number of another subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.intake.sdtm.columns import text
from reporting_pipeline.intake.sdtm.domains import DOMAINS, STRUCTURAL
from reporting_pipeline.intake.sdtm.supplements import MOST_TOLD
from reporting_pipeline.intake.sdtm.tables import Table
from reporting_pipeline.intake.sdtm.trial import subject_of
from reporting_pipeline.intake.understanding import Understanding

_Said = tuple[str, str, str]  # (subject, the other number or "", where it stands)

#: How RELSUB names it; a twin or a mother is somebody else.
_SAME_PERSON = re.compile(
    r"\bRE-?(?:SCREEN|ENROL)|\bSAME (?:SUBJECT|PERSON|PATIENT)|\b(?:PREVIOUS|PRIOR|FORMER)|\bROLL-?OVER"
)
_CALLED_SO = re.compile(r"RE?SCR(?:N|E+N|FL|ID|SUB|YN)|(?:PREV|PRV|PRIOR|PR|OLD|ORIG|FORMER|FIRST)_?U?SUBJ")
_COULD_BE_A_CODE = re.compile(r"[A-Z]?[0-9]{0,4}|[A-Z]{1,2}")  # "1" is an answer, too


def tell_rescreened(tables: Mapping[str, Sequence[Table]], understanding: Understanding) -> None:
    """Tell whoever is said to have another number; the rest over MOST_TOLD is counted."""
    known = {subject for table in tables.get("DM", ()) for subject in map(subject_of, table.rows())}
    found = list(
        dict.fromkeys([*_related(tables), *_of_columns(tables, known), *_of_qualifiers(tables, known)])
    )
    for subject, other, where in found[:MOST_TOLD]:
        number = f"{other}, too" if other else "another number before, which nothing names"
        detail = f"By {where} {subject} is, or was, {number}; each number counts as a person of its own."
        understanding.finding(f"DM/{subject}", "rescreened", "USUBJID", detail)
    if (more := len(found) - MOST_TOLD) > 0:
        understanding.finding("DM", "rescreened", "USUBJID", f"And {more:,} more.")


def _related(tables: Mapping[str, Sequence[Table]]) -> Iterator[_Said]:
    """By RELSUB, each pair once, whichever of the two it begins with."""
    told: set[frozenset[str]] = set()
    for row in (row for table in tables.get("RELSUB", ()) for row in table.rows()):
        subject, other = text(row.get("USUBJID")), text(row.get("RSUBJID"))
        pair = frozenset((subject, other))
        if (
            subject
            and other
            and pair not in told
            and _SAME_PERSON.search(codes.folded(text(row.get("SREL"))))
        ):
            told.add(pair)
            yield subject, other, "RELSUB"


def _of_columns(tables: Mapping[str, Sequence[Table]], known: set[str]) -> Iterator[_Said]:
    """By columns of DM that SDTM does not have."""
    for table in tables.get("DM", ()):
        names = [name for name in table.columns if name not in DOMAINS["DM"].used | STRUCTURAL]
        for row in table.rows() if names else ():
            for name in names:
                yield from _said(subject_of(row), name, text(row.get(name)), known, f"DM.{name}")


def _of_qualifiers(tables: Mapping[str, Sequence[Table]], known: set[str]) -> Iterator[_Said]:
    for row in (row for table in tables.get("SUPPDM", ()) for row in table.rows()):
        name = text(row.get("QNAM")).upper()
        yield from _said(text(row.get("USUBJID")), name, text(row.get("QVAL")), known, f"SUPPDM {name}")


def _said(subject: str, name: str, value: str, known: set[str], where: str) -> Iterator[_Said]:
    if not subject or value == subject:
        return
    if value in known and not _COULD_BE_A_CODE.fullmatch(value):
        yield subject, value, where
    elif _CALLED_SO.search(name) and (answer := codes.read_flag(value)) not in (codes.NO, codes.UNKNOWN):
        yield subject, "" if answer == codes.YES else value, where
