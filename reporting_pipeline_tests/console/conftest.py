"""The console and the API in one process on real stores, and people signed in to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import pytest
import requests
from fastapi import Response

from reporting_pipeline.api.app import create_app
from reporting_pipeline.console.sessions import Cookies
from reporting_pipeline.settings import Settings
from reporting_pipeline.sidecar import sidecar_of
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.sessions import begin_session
from reporting_pipeline_tests.api.conftest import Server, organisations
from reporting_pipeline_tests.api.world import NOW
from reporting_pipeline_tests.waiting import PATIENCE

__all__ = ["organisations"]


class _Hidden(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = dict(attrs)
        if tag == "input" and fields.get("type") == "hidden":
            self.found.append((fields.get("name") or "", fields.get("value") or ""))


def hidden_fields(page: str) -> list[tuple[str, str]]:
    """Name and value of every hidden field of a page."""
    parser = _Hidden()
    parser.feed(page)
    return parser.found


def csrf_in(page: str) -> str:
    """The token of the forms of a page."""
    return dict(hidden_fields(page)).get("csrf", "")


@dataclass(frozen=True)
class Browser:
    """A browser without script."""

    base: str
    session: requests.Session

    def get(self, path: str, **arguments: Any) -> requests.Response:
        return self.session.get(self.base + path, timeout=PATIENCE, allow_redirects=False, **arguments)

    def post(self, path: str, fields: Any, token: str | None = None) -> requests.Response:
        """Send a form as the page at /console/ would hold it."""
        given = csrf_in(self.get("/console/").text) if token is None else token
        body = [*dict(fields).items()] if isinstance(fields, dict) else list(fields)
        return self.session.post(
            self.base + path, data=[*body, ("csrf", given)], timeout=PATIENCE, allow_redirects=False
        )

    def told(self, path: str, fields: Any) -> str:
        """The page to which a form leads that was done; loading it again does nothing again."""
        answer = self.post(path, fields)
        assert answer.status_code == 303, answer.text
        return self.get(answer.headers["location"]).text


@dataclass(frozen=True)
class House:
    """The running sidecar."""

    base: str
    settings: Settings
    database: Database

    def stranger(self) -> Browser:
        return Browser(self.base, requests.Session())

    def cookie_of(self, user: str) -> tuple[str, str]:
        """Name and value of the cookie of a new session."""
        cookies = Cookies(self.settings)
        answer = Response()
        cookies.write(answer, begin_session(self.database, user, NOW, NOW))
        value = answer.headers["set-cookie"].split(";")[0].partition("=")[2]
        return cookies.name, value

    def signed_in(self, user: str) -> Browser:
        browser = self.stranger()
        name, value = self.cookie_of(user)
        browser.session.cookies.set(name, value)
        return browser


@pytest.fixture
def house(
    database: Database, objects: ObjectStore, settings: Settings, organisations: None
) -> Iterator[House]:
    chosen = settings.model_copy(
        update={"requests_per_minute": 1_000_000, "dagster_url": "https://dagster.default.example"}
    )
    with Server(sidecar_of(create_app(chosen, database, objects, clock=lambda: NOW))) as server:
        yield House(server.base, chosen, database)


@pytest.fixture
def person(house: House) -> Callable[[str], Browser]:
    """A person of `default` in a role, signed in."""
    return lambda role: house.signed_in(f"usr_default_{role}")
