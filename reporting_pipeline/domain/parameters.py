"""What every report type may be told beside trials and filters; a type adds what it alone understands.

Here: the base model and how a wrong value is named. Not here: the models of the types (they stand beside
their type in `reports/types`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reporting_pipeline.domain.wrong_values import words_of

#: What a subscription keeps of a parameter: JSON of one level, and lists of texts by name.
ParameterValue = bool | int | float | str | list[str] | dict[str, list[str]] | None


class Parameters(BaseModel):
    """The parameters of a report. Unknown names are refused: a typing error is no silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attach: bool | None = Field(
        None,
        title="Attach the file to the mail",
        description="Whether the file goes with the mail, where the organisation's policy leaves it open.",
    )
    content_gate: Literal["off", "notice", "hold"] | None = Field(
        None,
        title="When its data is out of the usual",
        description="What becomes of a report about data out of the usual: off, notice or hold; the stricter "
        "of this and the organisation's counts.",
    )


def language_of(parameters: Parameters | Mapping[str, Any]) -> str:
    """The language that parameters name; "en" where they name none."""
    if isinstance(parameters, Mapping):
        return str(parameters.get("language") or "en")
    return str(getattr(parameters, "language", "en"))


def problems_of(error: ValidationError) -> list[tuple[str, str]]:
    """(path below the parameters, what is wrong) of each finding; "" for the whole."""
    return [
        (
            "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in one["loc"]),
            words_of(one),
        )
        for one in error.errors(include_url=False, include_input=False)
    ]


def kept(parameters: Mapping[str, Any], model: type[Parameters]) -> dict[str, Any]:
    """What was given, in the model's own types, without what was left to the defaults.

    Raises ValidationError. A default that changes later changes the reports of those who left it open.
    """
    return model.model_validate(dict(parameters)).model_dump(mode="json", exclude_unset=True)
