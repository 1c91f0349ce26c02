"""Every page and form × every role × two organisations, held against the API's own table of rights."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from fastapi.routing import APIRoute

from reporting_pipeline.console.pages import ROUTERS
from reporting_pipeline.domain.access import Action, Resource, ResourceKind, User, allowed, reach_of
from reporting_pipeline.domain.entitlements import Extent
from reporting_pipeline.stores import users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.world import DOCUMENT, EDITION, OWNER, PERIOD, SUBSCRIPTION, populate
from reporting_pipeline_tests.console.conftest import House, csrf_in

HOME = "default"
ROLES = ("subscriber", "analyst", "manager", "admin")
ANY = None


@dataclass(frozen=True)
class Right:
    """What an address asks: a role that may do it at all, and the thing when it is about one."""

    method: str
    path: str
    action: Action | None
    kind: ResourceKind | None = None
    of: str = ""  # "": a page; "whole": of the organisation; "home": of the deployment; else the thing
    answers: tuple[int, ...] = (200, 303)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


S, J, D, T, U = (
    ResourceKind.SUBSCRIPTION,
    ResourceKind.JOB,
    ResourceKind.DOCUMENT,
    ResourceKind.TRIAL,
    ResourceKind.USER,
)
ORGANISATION, A, L, E, M = (
    ResourceKind.ORGANISATION,
    ResourceKind.AUDIT,
    ResourceKind.DEAD_LETTER,
    ResourceKind.EDITION,
    ResourceKind.DELIVERY,
)
READ, CREATE, CHANGE, DELETE = Action.READ, Action.CREATE, Action.CHANGE, Action.DELETE
REPORT, JOB, DOC = (
    "/console/reports/{subscription_id}",
    "/console/jobs/{job_id}",
    "/console/documents/{document_id}",
)
TRIAL, ORG = "/console/trials/{trial_id}", "/console/organisations/{organisation_id}"
RIGHTS = (
    Right("GET", "/", ANY),
    Right("GET", "/docs", ANY),
    Right("GET", "/console/", ANY),
    Right("GET", REPORT, READ, S, "subscription"),
    Right("GET", REPORT + "/periods/{period}", READ, S, "subscription"),
    Right("GET", REPORT + "/change", CHANGE, S, "subscription"),
    Right("POST", REPORT + "/change", CHANGE, S, "subscription"),
    Right("GET", REPORT + "/end", DELETE, S, "subscription"),
    Right("POST", REPORT + "/end", DELETE, S, "subscription"),
    Right("POST", REPORT + "/run", Action.RUN, S, "subscription"),
    Right("POST", REPORT + "/pause", CHANGE, S, "subscription"),
    Right("POST", REPORT + "/resume", CHANGE, S, "subscription"),
    Right("GET", JOB, READ, J, "job"),
    Right("GET", JOB + "/page/{number}.png", READ, J, "job", (404,)),  # a file that is no PDF has no page
    Right("GET", JOB + "/file", READ, J, "job"),
    Right("GET", JOB + "/read", READ, J, "job", (409,)),  # its data is not there
    Right("GET", JOB + "/manifest", READ, J, "job"),
    Right("POST", JOB + "/again", Action.REQUEUE, L, "job"),
    Right(
        "GET", "/console/trace/{report_id}/{figure}", READ, ResourceKind.REPORT, "report", (410,)
    ),  # its data is not there
    Right("POST", JOB + "/release", Action.RELEASE, ResourceKind.REPORT, "job", (422,)),  # no reason is given
    Right("POST", JOB + "/send", CREATE, M, "job"),
    Right("POST", JOB + "/hold", CREATE, ResourceKind.HOLD, "job", (422,)),  # without a reason
    Right("POST", JOB + "/let-go", DELETE, ResourceKind.HOLD, "job"),
    Right("GET", "/console/changes", READ, J, "job"),
    Right("GET", "/console/subscribe", CREATE, S),
    Right("POST", "/console/subscribe", CREATE, S),
    Right("POST", "/console/subscribe/dates", ANY),
    Right("POST", "/console/subscribe/recipients", ANY),
    Right("POST", "/console/subscribe/expression", ANY),
    Right("POST", "/console/subscribe/builder", ANY),
    Right("GET", "/console/confirm", CHANGE, S),
    Right("POST", "/console/confirm", CHANGE, S),
    Right("GET", "/console/schedules", READ, S, "whole"),
    Right("POST", "/console/schedules", CHANGE, S, "whole"),
    Right("GET", "/console/operate", READ, L),
    Right("POST", "/console/operate/requeue", Action.REQUEUE, L),
    Right("POST", "/console/operate/requeue-all", Action.REQUEUE, L),
    Right("POST", "/console/operate/lift", CHANGE, M),
    Right("POST", "/console/operate/resume", CHANGE, ORGANISATION, "home"),
    Right("GET", "/console/editions/{edition_id}", READ, E),
    Right("GET", "/console/documents", READ, D),
    Right("GET", "/console/documents/new", CREATE, D),
    Right("POST", "/console/documents/new", CREATE, D),
    Right("GET", DOC, READ, D, "document"),
    Right("GET", DOC + "/file", READ, D, "document"),
    Right("GET", DOC + "/correct", CHANGE, D, "document"),
    Right("POST", DOC + "/correct", CHANGE, D, "document"),
    Right("POST", DOC + "/withdraw", DELETE, D, "document"),
    Right("GET", "/console/trials", READ, T),
    Right("GET", "/console/trials/new", CREATE, T),
    Right("POST", "/console/trials/new", CREATE, T),
    Right("GET", TRIAL, READ, T, "trial"),
    Right("POST", TRIAL, CHANGE, T, "trial"),
    Right("GET", TRIAL + "/close", DELETE, T, "trial"),
    Right("POST", TRIAL + "/close", DELETE, T, "trial"),
    Right("POST", TRIAL + "/reopen", DELETE, T, "trial"),
    Right("GET", "/console/people", READ, U, "whole"),
    Right("GET", "/console/people/new", CREATE, U),
    Right("POST", "/console/people/new", CREATE, U),
    Right("GET", "/console/people/{user_id}", READ, U, "user"),
    Right("POST", "/console/people/{user_id}", CHANGE, U, "user"),
    Right("GET", "/console/organisations", READ, ORGANISATION, "home"),
    Right("GET", "/console/organisations/new", CREATE, ORGANISATION, "home"),
    Right("POST", "/console/organisations/new", CREATE, ORGANISATION, "home"),
    Right("GET", ORG, READ, ORGANISATION, "home"),
    Right("POST", ORG, CHANGE, ORGANISATION, "home"),
    Right("POST", ORG + "/logo", CHANGE, ORGANISATION, "home"),
    Right("GET", ORG + "/logo.jpg", READ, ORGANISATION, "home", (404,)),  # this one has none
    Right("GET", ORG + "/close", CHANGE, ORGANISATION, "home"),
    Right("POST", ORG + "/close", CHANGE, ORGANISATION, "home"),
    Right("GET", "/console/audit", READ, A),
    Right("GET", "/console/audit/export", READ, A),
    Right("POST", "/console/audit/verify", READ, A, "home"),
)
NAMES = {
    "subscription_id": SUBSCRIPTION,
    "period": PERIOD,
    "document_id": DOCUMENT,
    "edition_id": EDITION,
    "trial_id": "T1",
    "user_id": OWNER,
    "organisation_id": HOME,
    "number": "1",
    "figure": "adverse_events",
}


def refusals(user: User, right: Right) -> set[int]:
    """The statuses of which one must be heard; empty where the rights allow it."""
    if right.action is None or right.kind is None:
        return set()
    reach = reach_of(user, right.action, right.kind)
    if right.of in ("", "whole", "home"):
        whole = right.of == "whole" and reach != "organisation"
        away = right.of == "home" and user.organisation != HOME
        return {403} if reach is None or whole or away else set()
    owner = None if right.of in ("document", "trial") else OWNER
    extent = Extent({"T1": None}) if right.of in ("document", "trial") else Extent()
    decision = allowed(user, right.action, Resource(right.kind, HOME, owner, extent))
    if decision:
        return set()
    # Whoever lacks both the role and the thing may hear either: neither tells that it exists.
    return ({404} if decision.hidden else {403}) | ({403} if reach is None else set())


def test_the_table_has_every_address_of_the_console() -> None:
    standing = {
        f"{method} {route.path}"
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert standing == {str(right) for right in RIGHTS}
    assert len(RIGHTS) == len(standing)


@pytest.mark.parametrize("organisation", ["default", "other"])
def test_every_page_answers_as_the_rights_say(
    house: House, database: Database, objects: ObjectStore, organisation: str
) -> None:
    """Reading as everybody; the forms only by those who may not, and nothing has changed afterwards."""
    ids = populate(database, objects)
    names = {**NAMES, "job_id": ids["job"], "report_id": ids["report"]}
    wrong = []
    before = {
        name: database[name].count_documents({}) for name in ("subscriptions", "jobs", "users", "trials")
    }
    for role in ROLES:
        user = users.get_user(database, f"usr_{organisation}_{role}")
        assert user is not None
        browser = house.signed_in(user.id)
        home = browser.get("/console/").text
        token = csrf_in(home)
        for right in RIGHTS:
            refused = refusals(user, right)
            if right.method == "POST" and not refused:
                continue
            path = right.path.format(**names)
            if right.method == "GET" and refused and f'href="{path}"' in home:
                wrong.append(f"{role} of {organisation}: {path} stands in the navigation")
            if right.path == "/console/changes":
                path += f"?job={ids['job']}"
            if right.method == "GET":
                with browser.get(path, stream=True) as answer:
                    heard = answer.status_code
            else:
                heard = browser.post(path, {"delivery": ids["letter"], "reason": "x"}, token).status_code
            if heard not in (refused or right.answers):
                wrong.append(f"{role} of {organisation}: {right} is {heard}, not {refused or right.answers}")
    assert wrong == []
    assert before == {name: database[name].count_documents({}) for name in before}
    assert (database.subscriptions.find_one({"_id": SUBSCRIPTION}) or {})["status"] == "active"
