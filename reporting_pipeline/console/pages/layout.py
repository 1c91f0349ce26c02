"""What every page has around it: the navigation a person may use, and where they are."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import RedirectResponse

from reporting_pipeline.console import wording
from reporting_pipeline.console.sessions import Visitor
from reporting_pipeline.domain.access import Action, ResourceKind, reach_of
from reporting_pipeline.usecases.callers.problems import Problem


@dataclass(frozen=True)
class Page:
    """The frame of one page."""

    visitor: Visitor
    here: str

    @property
    def timezone(self) -> str:
        return self.visitor.user.timezone

    @property
    def csrf(self) -> str:
        return self.visitor.csrf

    @property
    def done(self) -> str:
        """What the form has done that led here, in our own words; "" for nothing."""
        return wording.DONE.get(self.visitor.done, "")

    @property
    def navigation(self) -> list[tuple[str, str]]:
        """(address, words) of the pages this person may open."""
        user = self.visitor.user
        links = [("/console/", "My reports")]
        if reach_of(user, Action.CREATE, ResourceKind.SUBSCRIPTION):
            links.append(("/console/subscribe", "Subscribe"))
        if reach_of(user, Action.READ, ResourceKind.SUBSCRIPTION) == "organisation":
            links.append(("/console/schedules", "Schedules"))
        if reach_of(user, Action.READ, ResourceKind.DEAD_LETTER):
            links.append(("/console/operate", "Operate"))
        if reach_of(user, Action.READ, ResourceKind.TRIAL):
            links.append(("/console/trials", "Trials"))
        if reach_of(user, Action.READ, ResourceKind.USER) == "organisation":
            links.append(("/console/people", "People"))
        if reach_of(user, Action.READ, ResourceKind.AUDIT):
            links.append(("/console/audit", "Audit"))
        return links

    def may(self, action: Action, kind: ResourceKind) -> bool:
        return reach_of(self.visitor.user, action, kind) is not None


def opened(visitor: Visitor, action: Action, kind: ResourceKind, reach: str | None = None) -> None:
    """Refuse (403) a page to people whose roles do not open it; with `reach`, not that far."""
    found = reach_of(visitor.user, action, kind)
    if found is None or (reach is not None and found != reach):
        raise Problem("forbidden", "Your roles do not open this page.")


def done_at(address: str, done: str) -> RedirectResponse:
    """To the page at `address`, which says what was done (a key of `wording.DONE`): loading it again does
    nothing again.
    """
    return RedirectResponse(f"{address}?done={done}", 303)
