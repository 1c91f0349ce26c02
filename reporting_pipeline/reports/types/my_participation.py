"""For a person in the trial: their own visits and results in plain words, and how the trial is going."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.parameters import Parameters
from reporting_pipeline.languages import checked_language, known_languages, name_of
from reporting_pipeline.reports import participation
from reporting_pipeline.reports.types.base import ReportType

_CHOICE = {
    "enum": list(known_languages()),
    "x-left-open": "that of the person, else English",
    "x-enum-names": {language: name_of(language) for language in known_languages()},
}


class ParticipationParameters(Parameters):
    """How a person in a trial is spoken to."""

    language: Annotated[str, Field(json_schema_extra=_CHOICE)] = Field(
        "en", description="The language of the report, of its mail and of its link page."
    )

    @field_validator("language")
    @classmethod
    def _known(cls, value: str) -> str:
        return checked_language(value)


REPORT_TYPE = ReportType(
    name="my_participation",
    title=participation.TITLE,
    description="A person's own visits and results in plain words, and how the trial is going.",
    tiles=(),
    sections=(),
    compose=participation.compose,
    parameters=ParticipationParameters,
    audiences=(Audience.PARTICIPANT,),
    needs_status=True,
    tables=participation.tables,
    one_person=True,
)
