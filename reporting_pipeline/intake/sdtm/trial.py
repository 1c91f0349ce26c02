"""What a folder of SDTM says about the trial itself: facts from TS, sites and subjects from DM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reporting_pipeline.intake.documents import UNKNOWN_SITE
from reporting_pipeline.intake.sdtm.domains import text
from reporting_pipeline.intake.sdtm.tables import Table
from reporting_pipeline.intake.understanding import Understanding


@dataclass(frozen=True)
class TrialFacts:
    """The trial as it can be registered. Sites are (id, name)."""

    title: str
    sponsor: str
    phase: str
    therapeutic_area: str
    sites: tuple[tuple[str, str], ...]


def trial_facts(trial: str, tables: Mapping[str, list[Table]]) -> TrialFacts:
    """From TS and DM; where they say nothing, the title is the trial's id and the rest is empty."""
    facts: dict[str, str] = {}
    for row in _rows(tables.get("TS", [])):
        facts.setdefault(text(row.get("TSPARMCD")).upper(), text(row.get("TSVAL")))
    return TrialFacts(
        title=(facts.get("TITLE") or trial).rstrip("."),
        sponsor=facts.get("SPONSOR", ""),
        phase=facts.get("TPHASE", "").title().replace("Iii", "III").replace("Ii", "II").replace("Iv", "IV"),
        therapeutic_area=facts.get("THERAREA", ""),
        sites=_sites(tables.get("DM", [])),
    )


def sites_of_subjects(tables: Mapping[str, list[Table]], understanding: Understanding) -> dict[str, str]:
    """Subject to site, from DM. A folder without DM is told once."""
    demographics = tables.get("DM", [])
    if not demographics:
        understanding.note("There is no DM: the subjects' sites are not known, unless a table has SITEID.")
    return {
        text(row.get("USUBJID") or row.get("SUBJID")): text(row.get("SITEID")) or UNKNOWN_SITE
        for row in _rows(demographics)
    }


def _sites(demographics: Iterable[Table]) -> tuple[tuple[str, str], ...]:
    names: dict[str, str] = {}
    for row in _rows(demographics):
        site = text(row.get("SITEID"))
        if site:
            country = text(row.get("COUNTRY"))
            names.setdefault(site, f"Site {site}, {country}" if country else f"Site {site}")
    return tuple(sorted(names.items()))


def _rows(tables: Iterable[Table]) -> Iterable[Mapping[str, object]]:
    for table in tables:
        yield from table.rows()
