"""Somebody left, was erased, lost a trial or a site, or their organisation was closed: every way in ended.

What was open a moment before: their token, their browser, the link in a mail, an answer that was kept for
them, what goes on being told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import requests
from fastapi import Response

from reporting_pipeline.api.app import create_app
from reporting_pipeline.console.sessions import Cookies
from reporting_pipeline.delivery.links.tokens import link_token
from reporting_pipeline.domain.entitlements import ALL, Audience, Entitlements
from reporting_pipeline.domain.periods import Cadence
from reporting_pipeline.domain.planning import report_id
from reporting_pipeline.settings import Settings
from reporting_pipeline.sidecar import sidecar_of
from reporting_pipeline.stores import personal_data, users
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.sessions import begin_session
from reporting_pipeline.usecases.trials import close_organisation
from reporting_pipeline_tests.api.conftest import Api, Server
from reporting_pipeline_tests.attacks.world import NOW, PERIOD, World, mark, open_world
from reporting_pipeline_tests.console.conftest import Browser

BOARD = Audience.SAFETY_BOARD
Change = Callable[[World], object]
#: What happens: to whom, the thing that was theirs, and whether they are still somebody afterwards.
CHANGES: dict[str, tuple[str, str, bool, Change]] = {
    "deactivated": (
        "default",
        "whole",
        False,
        lambda w: users.change_user(w.database, "default", "usr_owner_of_default", {"active": False}, NOW),
    ),
    "erased": (
        "default",
        "whole",
        False,
        lambda w: personal_data.erase_user(w.database, w.objects, "usr_owner_of_default", NOW),
    ),
    "their organisation closed": (
        "other",
        "foreign",
        False,
        lambda w: close_organisation(w.database, "other", "usr_admin_all", NOW, home="default"),
    ),
    "the trial withdrawn": (
        "default",
        "second",
        True,
        lambda w: _entitled(w, Entitlements(("T1",), audience=BOARD)),
    ),
    "the site withdrawn": (
        "default",
        "site",
        True,
        lambda w: _entitled(w, Entitlements(ALL, {"T1": ("702",)}, audience=BOARD)),
    ),
    "another audience": ("default", "unblinded", True, lambda w: _entitled(w, Entitlements(ALL))),
}


def _entitled(world: World, entitlements: Entitlements) -> object:
    return users.change_user(
        world.database, "default", "usr_owner_of_default", {"entitlements": entitlements}, NOW
    )


@dataclass(frozen=True)
class Owner:
    """Somebody with all that leads to one thing of theirs."""

    world: World
    base: str
    name: str
    api: Api
    browser: Browser

    def ways(self) -> dict[str, requests.Response]:
        """To the report itself; each answered by its own status where it is open."""
        secret = self.api.settings.link_secret.get_secret_value()
        report = report_id(Cadence.WEEKLY, PERIOD, f"sub_{self.name}")
        until = datetime.now(UTC) + timedelta(days=1)
        link = f"/r/{link_token(secret, self.world.sent[self.name], report, until)}"
        stranger = Browser(self.base, requests.Session())
        job = self.world.jobs[self.name]
        return {
            "link": stranger.get(link),
            "link as sent": stranger.get(f"{link}?file=sent"),
            "link in a browser": stranger.get(link, headers={"Accept": "text/html"}),
            "download": self.api.get(f"/api/report-executions/{job}/download"),
            "file in the console": self.browser.get(f"/console/jobs/{job}/file"),
        }

    def rooms(self) -> dict[str, requests.Response]:
        """Where whoever is nobody any more finds nothing at all."""
        again = {"json": {"name": "As it was"}, "headers": {"Idempotency-Key": "before"}}
        return {
            "their list": self.api.get("/api/subscriptions?limit=1"),
            "what goes on": self.api.get("/api/events?lasting=1"),
            "a kept answer": self.api.patch(f"/api/subscriptions/sub_{self.name}", **again),
            "their own data": self.api.get(f"/api/users/{self.api_user}/export"),
            "their page": self.browser.get("/console/"),
        }

    @property
    def api_user(self) -> str:
        return "usr_owner_of_other" if self.name == "foreign" else "usr_owner_of_default"


@pytest.fixture
def opened(settings: Settings, database: Database, objects: ObjectStore) -> Iterator[World]:
    with open_world(settings, database, objects) as world:
        yield world


@pytest.mark.parametrize("change", CHANGES)
def test_every_way_in_has_ended(opened: World, change: str) -> None:
    organisation, name, remains, happens = CHANGES[change]
    user = f"usr_owner_of_{organisation}"
    settings = opened.api.settings
    with Server(sidecar_of(create_app(settings, opened.database, opened.objects))) as server:
        cookies, answer, session = Cookies(settings), Response(), requests.Session()
        cookies.write(answer, begin_session(opened.database, user, datetime.now(UTC)))
        session.cookies.set(cookies.name, answer.headers["set-cookie"].split(";")[0].partition("=")[2])
        api = Api(server.base, settings).as_(user)
        owner = Owner(opened, server.base, name, api, Browser(server.base, session))
        before, inside = owner.ways(), owner.rooms()
        assert {
            way: one.status_code for way, one in before.items() if one.status_code not in (200, 303, 307)
        } == {}
        assert {way: one.status_code for way, one in inside.items() if one.status_code != 200} == {}
        happens(opened)
        for way, one in owner.ways().items():
            assert one.status_code in (303, 401, 403, 404), way
            assert one.status_code != 303 or "/sign-in" in one.headers["location"], way
            assert mark(name) not in (one.text + repr(dict(one.headers))).upper(), way
        if not remains:
            for way, one in owner.rooms().items():
                assert one.status_code in (303, 401, 403), way
                assert mark(name) not in (one.text + repr(dict(one.headers))).upper(), way
