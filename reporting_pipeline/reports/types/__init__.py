"""Report types: what a report contains. One small module each; this one is their registry.

docs/report-types.md says how to write one.
"""

from __future__ import annotations

from collections.abc import Mapping

from reporting_pipeline.domain.parameters import ParameterValue
from reporting_pipeline.languages import known_languages, name_of
from reporting_pipeline.reports.request import ReportError
from reporting_pipeline.reports.types import (
    data_listing,
    medical_review,
    my_participation,
    safety_summary,
    site_report,
    trial_activity,
    trial_conduct,
)
from reporting_pipeline.reports.types.base import ReportType

_MODULES = (
    trial_activity,
    safety_summary,
    trial_conduct,
    medical_review,
    site_report,
    data_listing,
    my_participation,
)
REPORT_TYPES: Mapping[str, ReportType] = {one.REPORT_TYPE.name: one.REPORT_TYPE for one in _MODULES}


#: The languages that reports of some types are in, each with its name in its own words.
LANGUAGES: Mapping[str, str] = {one: name_of(one) for one in known_languages()}


def spoken_to(
    name: str, parameters: Mapping[str, ParameterValue], language: str
) -> dict[str, ParameterValue]:
    """The parameters of a report for a person of that language, "" for none: what they name comes first."""
    kind = REPORT_TYPES.get(name)
    speaks = kind is not None and "language" in kind.parameters.model_fields
    if not speaks or language not in LANGUAGES or parameters.get("language"):
        return dict(parameters)
    return {**parameters, "language": language}


def report_type(name: str) -> ReportType:
    """The report type of that name. Raises ReportError that lists the known ones."""
    try:
        return REPORT_TYPES[name]
    except KeyError:
        known = ", ".join(sorted(REPORT_TYPES))
        raise ReportError(f"there is no report type {name!r}; the known ones are: {known}") from None
