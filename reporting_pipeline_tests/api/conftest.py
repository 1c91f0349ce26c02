"""The API on a real uvicorn, two organisations with people in every role, and tokens for them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import uvicorn
from starlette.types import ASGIApp

from reporting_pipeline.api.app import create_app
from reporting_pipeline.domain.entitlements import ALL, Entitlements
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import users
from reporting_pipeline.stores.documents import upsert_trial
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases.callers.tokens import mint_token
from reporting_pipeline_tests.waiting import PATIENCE

ROLES = ("subscriber", "analyst", "manager", "admin", "service")


@dataclass(frozen=True)
class Api:
    """Calls as one user; `anonymous` and `as_` give others."""

    base: str
    settings: Settings
    token: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def as_(self, user_id: str) -> Api:
        return self.with_token(mint_token(self.settings, user_id, datetime.now(UTC)))

    def with_token(self, token: str | None) -> Api:
        return Api(self.base, self.settings, token)

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {})}
        headers.update(arguments.pop("headers", {}))
        return requests.request(
            method,
            self.base + path,
            headers=headers,
            timeout=PATIENCE,
            allow_redirects=False,
            **arguments,
        )

    def get(self, path: str, **arguments: Any) -> requests.Response:
        return self.call("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> requests.Response:
        return self.call("POST", path, **arguments)

    def patch(self, path: str, **arguments: Any) -> requests.Response:
        return self.call("PATCH", path, **arguments)

    def put(self, path: str, **arguments: Any) -> requests.Response:
        return self.call("PUT", path, **arguments)

    def delete(self, path: str, **arguments: Any) -> requests.Response:
        return self.call("DELETE", path, **arguments)


class Server(uvicorn.Server):
    """uvicorn in a thread of the test."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none", lifespan="off")
        super().__init__(config)
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.run, kwargs={"sockets": [self.socket]}, daemon=True)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def __enter__(self) -> Server:
        self.thread.start()
        deadline = time.monotonic() + PATIENCE
        while not self.started:
            assert time.monotonic() < deadline, "uvicorn did not start"
            time.sleep(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self.thread.join(PATIENCE)
        self.socket.close()


@pytest.fixture
def organisations(database: Database) -> None:
    """`default` and `other`: people in every role, a trial each (two in `default`), a mail domain each."""
    now = datetime.now(UTC)
    for organisation, trials in (("default", ("T1", "T2")), ("other", ("X1",))):
        users.save_organisation(database, organisation, organisation, [f"{organisation}.example"])
        for trial in trials:
            upsert_trial(
                database,
                {
                    "_id": trial,
                    "organisation": organisation,
                    "title": f"Trial {trial}",
                    "sites": [{"id": "701", "name": "Site 701"}],
                },
            )
        for role in ROLES:
            users.create_user(
                database,
                organisation,
                f"{role}@{organisation}.example",
                now,
                name=role.capitalize(),
                roles=[role],
                entitlements=Entitlements(ALL),
                timezone="Europe/Zurich",
                user_id=f"usr_{organisation}_{role}",
            )


@pytest.fixture
def serve(
    database: Database, objects: ObjectStore, settings: Settings, organisations: None
) -> Iterator[Callable[..., Api]]:
    """Start the API with other settings or another clock."""
    running: list[Server] = []

    def start(clock: Callable[[], datetime] | None = None, token: str | None = None, **changed: Any) -> Api:
        changed = {"requests_per_minute": 1_000_000, **changed}
        chosen = settings.model_copy(update=changed)
        more = {"clock": clock} if clock else {}
        server = Server(create_app(chosen, database, objects, **more))
        running.append(server.__enter__())
        return Api(server.base, chosen, token)

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def api(serve: Callable[..., Api]) -> Api:
    """The API, called by nobody."""
    return serve()


@pytest.fixture
def subscriber(api: Api) -> Api:
    return api.as_("usr_default_subscriber")


@pytest.fixture
def manager(api: Api) -> Api:
    return api.as_("usr_default_manager")


def weekly(user: str = "usr_default_subscriber", **more: Any) -> dict[str, Any]:
    """The body of a plain weekly subscription."""
    return {
        "userId": user,
        "reportType": "weekly",
        "filters": {"trials": ["T1"]},
        "allowDuplicate": True,
        **more,
    }


def expired(settings: Settings, user_id: str) -> str:
    return mint_token(settings, user_id, datetime.now(UTC) - timedelta(hours=9), timedelta(hours=8))
