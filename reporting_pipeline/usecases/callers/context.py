"""The parts of a deployment that a deed needs, and the check of the caller's rights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from reporting_pipeline.domain.access import Action, Resource, User, allowed
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import users
from reporting_pipeline.stores.changes import rights_mark
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.report_files import ReportFiles
from reporting_pipeline.stores.scope import Scoped
from reporting_pipeline.usecases.callers.cursors import Cursors
from reporting_pipeline.usecases.callers.limits import RateLimits
from reporting_pipeline.usecases.callers.problems import Problem, not_found
from reporting_pipeline.usecases.changes import ChangeFeed, look_at
from reporting_pipeline.usecases.html_edition import HtmlEditions


@dataclass(frozen=True)
class Context:
    """The parts of one deployment that routes use."""

    settings: Settings
    database: Database
    objects: ObjectStore
    limits: RateLimits
    cursors: Cursors
    clock: Callable[[], datetime]

    @cached_property
    def changes(self) -> ChangeFeed:
        """The feed of this process: pages and streams share one look."""
        return ChangeFeed(look_at(self.database, self.clock))

    @cached_property
    def html_editions(self) -> HtmlEditions:
        """Reports as pages for the browser, made by this process."""
        return HtmlEditions(self.objects, self.settings.home / "cache" / "thumbnails")

    @cached_property
    def files(self) -> ReportFiles:
        """The files of reports, those that are sealed opened."""
        return ReportFiles.of(self.database, self.objects, self.settings)

    @property
    def now(self) -> datetime:
        """The time in milliseconds, as MongoDB keeps it: what is answered is what is read back."""
        now = self.clock()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


def scoped(deployment: Context, caller: User) -> Scoped:
    """The stores as the caller may read them: what every route reads through."""
    return Scoped(deployment.database, caller)


def asked_again(deployment: Context, person: User, meanwhile: str, whose: str = "Your") -> User:
    """The person as of now. Refused (403) where their rights are no more those with which they came.

    What takes seconds asks this before it gives anything out. `meanwhile`: as "the file was made".
    """
    found = users.get_user(deployment.database, person.id)
    if found is None or rights_mark(found) != rights_mark(person):
        raise Problem("forbidden", f"{whose} rights were changed while {meanwhile}; ask for it again.")
    return found


def require(caller: User, action: Action, resource: Resource, what: str) -> None:
    """Refuse what the caller may not do: 404 where even existence must not be told, else 403."""
    decision = allowed(caller, action, resource)
    if decision:
        return
    if decision.hidden:
        raise not_found(what)
    raise Problem("forbidden", decision.reason.capitalize() + ".")
