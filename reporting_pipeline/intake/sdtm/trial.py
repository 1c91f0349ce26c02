"""What a folder of SDTM says about the trial itself: facts from TS, sites and subjects from DM."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reporting_pipeline.domain.clinical.subjects import is_one_person
from reporting_pipeline.intake.sdtm.columns import text
from reporting_pipeline.intake.sdtm.tables import Table


@dataclass(frozen=True)
class TrialFacts:
    """The trial as it can be registered. Sites are (id, name)."""

    title: str
    sponsor: str
    phase: str
    therapeutic_area: str
    sites: tuple[tuple[str, str], ...]


def trial_facts(trial: str, tables: Mapping[str, list[Table]]) -> TrialFacts:
    """From TS and DM; where they say nothing, the title is the trial's id and the rest is empty.

    Rows of other studies are left aside where one of the STUDYIDs is `trial`.
    """
    facts: dict[str, str] = {}
    for row in _rows_of(trial, tables.get("TS", [])):
        facts.setdefault(text(row.get("TSPARMCD")).upper(), text(row.get("TSVAL")))
    return TrialFacts(
        title=(facts.get("TITLE") or trial).rstrip("."),
        sponsor=facts.get("SPONSOR", ""),
        phase=facts.get("TPHASE", "").title().replace("Iii", "III").replace("Ii", "II").replace("Iv", "IV"),
        therapeutic_area=facts.get("THERAREA", ""),
        sites=_sites(_rows_of(trial, tables.get("DM", []))),
    )


class Sites:
    """Where subjects are, by DM; and which subject numbers mean one person at each site."""

    def __init__(self, tables: Mapping[str, list[Table]]) -> None:
        self._by_subject: dict[tuple[str, str], list[str]] = {}
        self._everywhere: dict[tuple[str, str], set[str]] = {}
        for row in _rows(tables.get("DM", [])):
            if site := text(row.get("SITEID")):
                for study in {text(row.get("STUDYID")), ""}:
                    self._by_subject.setdefault((study, subject_of(row)), []).append(site)
        for table in (one for some in tables.values() for one in some):
            self._note_sites(table)

    def of(self, study: str, subject: str) -> str:
        """The site of a subject; "" when DM does not say, or has the number at several sites."""
        sites = self._by_subject.get((study, subject)) or self._by_subject.get(("", subject), [])
        return sites[-1] if sites and is_one_person(subject, set(sites)) else ""

    def are_several(self, study: str, subject: str) -> bool:
        """Whether the number is given to different persons at different sites."""
        return not is_one_person(subject, self._everywhere.get((study, subject), ()))

    def _note_sites(self, table: Table) -> None:
        names = [name for name in ("STUDYID", "USUBJID", "SUBJID", "SITEID") if name in table.columns]
        if "SITEID" not in names or not {"USUBJID", "SUBJID"} & set(names):
            return
        for row in table.frame.select(names).unique().iter_rows(named=True):
            if site := text(row.get("SITEID")):
                self._everywhere.setdefault((text(row.get("STUDYID")), subject_of(row)), set()).add(site)


def subject_of(row: Mapping[str, object]) -> str:
    return text(row.get("USUBJID")) or text(row.get("SUBJID"))


def _sites(demographics: Iterable[Mapping[str, object]]) -> tuple[tuple[str, str], ...]:
    names: dict[str, str] = {}
    for row in demographics:
        site = text(row.get("SITEID"))
        if site:
            country = text(row.get("COUNTRY"))
            names.setdefault(site, f"Site {site}, {country}" if country else f"Site {site}")
    return tuple(sorted(names.items()))


def _rows(tables: Iterable[Table]) -> Iterator[Mapping[str, object]]:
    for table in tables:
        yield from table.rows()


def _rows_of(trial: str, tables: Iterable[Table]) -> list[Mapping[str, object]]:
    rows = list(_rows(tables))
    own = [row for row in rows if text(row.get("STUDYID")) == trial]
    return own or rows
