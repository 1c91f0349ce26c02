"""What all shapes share: strictness, ids, one-line texts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from reporting_pipeline.domain.plain_text import one_line, one_line_or_none, several_lines
from reporting_pipeline.domain.subscriptions import RecipientKind


class Shape(BaseModel):
    """A request or answer in snake_case. Unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CamelShape(BaseModel):
    """A request or answer in camelCase. Unknown members are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


def identifier(value: str) -> str:
    """An opaque id. ValueError for what no id of ours holds."""
    if any(character in "|,\\" or not character.isprintable() for character in value) or ".." in value:
        raise ValueError("an id has no '|', ',', '..' or control characters")
    return value


#: Ours, and the words of the third vocabulary for two of them.
RecipientType = Literal[RecipientKind, "user_id", "slack_channel"]
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(one_line)]
MaybeEmpty = Annotated[str, Field(max_length=200), AfterValidator(one_line_or_none)]
Lines = Annotated[str, AfterValidator(several_lines)]
#: The pattern is for clients: what it lets through is looked at again.
Identifier = Annotated[
    str,
    Field(min_length=1, max_length=64, json_schema_extra={"pattern": r"^[^|,\\\x00-\x1f\x7f-\x9f]+$"}),
    AfterValidator(identifier),
]
