"""Which reports can be asked for: the renderer's own registry, for whoever takes or shows a choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from reporting_pipeline.domain.entitlements import Audience, Entitlements
from reporting_pipeline.domain.parameters import kept, problems_of
from reporting_pipeline.reports.types import REPORT_TYPES
from reporting_pipeline.reports.types.base import ReportType


def report_types() -> Mapping[str, ReportType]:
    """Every report type by its name, in the order in which they are offered."""
    return REPORT_TYPES


def offered_to(reader: Entitlements) -> dict[str, ReportType]:
    """The types written for somebody; who sees their own record alone is offered the report of one person."""
    fitting = {name: kind for name, kind in REPORT_TYPES.items() if reader.audience in kind.audiences}
    of_one = {name: kind for name, kind in fitting.items() if kind.one_person}
    return of_one if reader.own_record_only and of_one else fitting


class ParametersInvalid(ValueError):
    """The parameters of a report that its type does not take; `problems` are (path, what is wrong)."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {detail}" if path else detail for path, detail in problems))
        self.problems = problems


def checked_parameters(report_type: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as they are kept. Raises KeyError for no such type, ParametersInvalid."""
    try:
        return kept(parameters, REPORT_TYPES[report_type].parameters)
    except ValidationError as error:
        raise ParametersInvalid(problems_of(error)) from None


def understood_by(report_type: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of another type's parameters that this type has, too; all of them where there is no such type."""
    kind = REPORT_TYPES.get(report_type)
    return {
        name: value
        for name, value in parameters.items()
        if kind is None or name in kind.parameters.model_fields
    }


def is_for(report_type: str, audience: Audience) -> bool:
    """Whether the type is written for people of that audience. Raises KeyError for no such type."""
    return audience in REPORT_TYPES[report_type].audiences


def parameter_schema(report_type: str) -> dict[str, Any]:
    """The JSON schema of a type's parameters, without references: it stands for itself."""
    schema = REPORT_TYPES[report_type].parameters.model_json_schema()
    if "$defs" in schema:
        raise TypeError(f"the parameters of {report_type} must be described in one piece")
    return schema
