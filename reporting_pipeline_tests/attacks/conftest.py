"""One world for all attacks of a module: they ask, and what they may not do changes nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import requests
from fastapi import Response

from reporting_pipeline.api.app import create_app
from reporting_pipeline.console.sessions import Cookies
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import load_settings
from reporting_pipeline.sidecar import sidecar_of
from reporting_pipeline.stores.mongo import open_database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.stores.sessions import begin_session
from reporting_pipeline_tests.api.conftest import Server
from reporting_pipeline_tests.attacks.world import World, open_world
from reporting_pipeline_tests.console.conftest import Browser
from reporting_pipeline_tests.spare_databases import keep_what_expires


@pytest.fixture(scope="module")
def world(
    endpoints: Endpoints, _s3_client: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    name = secrets.token_hex(6)
    settings = load_settings(
        {
            "REPORTING_ENVIRONMENT": "test",
            "REPORTING_HOME": str(tmp_path_factory.mktemp("attacks")),
            "REPORTING_MONGODB_DATABASE": f"test_{name}",
            "REPORTING_S3_BUCKET": f"test-{name}",
            **endpoints.as_environment(),
        }
    )
    assert settings.mongodb_uri is not None
    database = open_database(settings.mongodb_uri.get_secret_value(), settings.mongodb_database)
    keep_what_expires(database)
    objects = ObjectStore(_s3_client, settings.s3_bucket, settings.s3_encryption)  # type: ignore[arg-type]
    objects.ensure_bucket()
    with open_world(settings, database, objects) as opened:
        yield opened  # what it wrote goes with the servers, at the session's end


@pytest.fixture(scope="module")
def base(world: World) -> Iterator[str]:
    app = create_app(world.api.settings, world.database, world.objects)
    with Server(sidecar_of(app)) as server:
        yield server.base


@pytest.fixture(scope="module")
def browser(world: World, base: str) -> Callable[[str], Browser]:
    def signed_in(user: str) -> Browser:
        cookies, answer = Cookies(world.api.settings), Response()
        cookies.write(answer, begin_session(world.database, user, datetime.now(UTC)))
        session = requests.Session()
        session.cookies.set(cookies.name, answer.headers["set-cookie"].split(";")[0].partition("=")[2])
        return Browser(base, session)

    return signed_in
