"""The people of the organisation, to look up who may see what."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from reporting_pipeline.console.deployment import Parts, Person
from reporting_pipeline.console.pages.layout import Page, opened
from reporting_pipeline.console.rendering import html
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, reach_of
from reporting_pipeline.stores import users
from reporting_pipeline.usecases.callers.context import Context
from reporting_pipeline.usecases.callers.people import list_people

router = APIRouter(prefix="/console")

A_PAGE = 100
MEANT_AT_ONCE = 50  # people whose name holds what was typed


@router.get("/people")
def people_page(visitor: Person, parts: Parts, after: Annotated[str, Query(max_length=64)] = "") -> Response:
    opened(visitor, Action.READ, ResourceKind.USER, "organisation")
    reads_organisation = reach_of(visitor.user, Action.READ, ResourceKind.ORGANISATION) is not None
    found = list_people(parts, visitor.user, after or None, A_PAGE + 1)
    return html(
        "people.html",
        page=Page(visitor, "/console/people"),
        people=found[:A_PAGE],
        next_after=found[A_PAGE - 1].id if len(found) > A_PAGE else "",
        organisation=users.get_organisation(parts.database, visitor.user.organisation),
        may_add=reach_of(visitor.user, Action.CREATE, ResourceKind.USER) is not None,
        reads_organisation=reads_organisation,
        home=reads_organisation and visitor.user.organisation == parts.settings.organisation,
    )


def people_meant(parts: Context, visitor: Visitor, typed: str) -> list[str]:
    """The ids of whom `typed` names by an id, an address or a part of a name; itself where that is
    nobody, and where the people are not open to the visitor.
    """
    if reach_of(visitor.user, Action.READ, ResourceKind.USER) != "organisation":
        return [typed]
    return users.called(parts.database, visitor.user.organisation, typed, MEANT_AT_ONCE) or [typed]
