"""People: who they are, what they may do and see."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from reporting_pipeline.domain.combining import LONGEST_WINDOW_MINUTES
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.usecases.callers.shapes.base import Identifier, Line, MaybeEmpty, Shape


class UserRequest(Shape):
    """A user, whole."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Ada Example",
                    "email": "ada@example.org",
                    "roles": ["subscriber", "analyst"],
                    "trials": ["CDISCPILOT01"],
                    "sites": {"CDISCPILOT01": ["701"]},
                    "subject": "",
                    "audience": "site",
                    "timezone": "Europe/Zurich",
                    "language": "de",
                    "combine_minutes": 30,
                    "active": True,
                }
            ]
        }
    )

    name: Line
    email: Annotated[str, Field(min_length=3, max_length=254)]
    roles: tuple[Literal["subscriber", "analyst", "manager", "admin", "service"], ...] = Field(
        min_length=1, max_length=5
    )
    trials: Literal["all"] | Annotated[tuple[Identifier, ...], Field(max_length=500)] = Field(
        (), description='What they may see: "all", or trials by name; none is nothing.'
    )
    sites: dict[Identifier, Annotated[tuple[Identifier, ...], Field(max_length=1000)]] = Field(
        default_factory=dict, max_length=500, description="Per trial, where not all its sites are open."
    )
    subject: MaybeEmpty = Field("", description="Of a participant: their own id.")
    audience: Audience = Field(Audience.MONITOR, description="Whom their reports are written for.")
    timezone: Annotated[str, Field(max_length=64)] | None = Field(
        None,
        description="IANA name. With a change, what they own that comes by their old timezone moves to the "
        "new one, at the same local time. Left out: as it is, and of somebody new the organisation's.",
    )
    language: Annotated[str, Field(max_length=20)] | None = Field(
        None,
        description="Of their reports that are in several languages, such as `my_participation`, and of "
        "the mails of these, where a subscription names none. Empty: none. Left out: as it is.",
    )
    combine_minutes: Annotated[int, Field(ge=0, le=LONGEST_WINDOW_MINUTES, strict=True)] | None = Field(
        None,
        description="Their reports that are due within so many minutes go in one mail; 0: each in its own. "
        "Left out: as it is.",
    )
    active: Annotated[bool, Field(strict=True)] = True


class UserAnswer(Shape):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "usr_ada",
                    "organisation": "default",
                    "name": "Ada Example",
                    "email": "ada@example.org",
                    "roles": ["subscriber", "analyst"],
                    "trials": ["CDISCPILOT01"],
                    "sites": {"CDISCPILOT01": ["701"]},
                    "subject": "",
                    "audience": "site",
                    "timezone": "Europe/Zurich",
                    "language": "de",
                    "combine_minutes": 30,
                    "active": True,
                }
            ]
        }
    )

    id: str
    organisation: str
    name: str
    email: str
    roles: list[str]
    trials: Literal["all"] | list[str]
    sites: dict[str, list[str]] = Field(default_factory=dict)
    subject: str = ""
    audience: Audience
    timezone: str
    language: str = ""
    combine_minutes: int = Field(0, description="Reports due within so many minutes go in one mail.")
    active: bool
    email_asked: str | None = Field(
        None,
        description="An address that waits for its owner to confirm it; reports go to `email` until then.",
    )
    schedules_moved: int | None = Field(
        None, description="After a change of timezone: how many of their schedules moved along."
    )


class UserPage(Shape):
    items: list[UserAnswer]
    next_cursor: str | None = None
