"""A token says by `auth_time` alone when its person signed in."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline.usecases.callers.tokens import authenticated_at, mint_token
from reporting_pipeline_tests.api.conftest import Api
from reporting_pipeline_tests.api.world import populate

MADE = 1_780_000_000


@pytest.mark.parametrize(
    ("claims", "seconds"),
    [
        ({"auth_time": MADE - 60}, MADE - 60),
        ({"auth_time": MADE - 0.5}, MADE - 0.5),
        ({"auth_time": MADE + 10}, MADE + 10),
        ({"auth_time": MADE + 11}, None),
        ({}, None),
        ({"auth_time": None}, None),
        ({"auth_time": True}, None),
        ({"auth_time": str(MADE)}, None),
        ({"auth_time": [MADE]}, None),
        ({"auth_time": -1}, None),
        ({"auth_time": float("nan")}, None),
        ({"auth_time": float("inf")}, None),
        ({"auth_time": 10**30, "iat": 10**30}, None),
    ],
)
def test_when_somebody_signed_in(claims: dict[str, Any], seconds: float | None) -> None:
    told = authenticated_at({"iat": MADE, **claims})
    assert told == (None if seconds is None else datetime.fromtimestamp(seconds, UTC))


@pytest.mark.parametrize("claims", [{}, {"auth_time": 1}, {"auth_time": int(time.time()) + 86_400}])
def test_a_new_token_of_an_old_sign_in_releases_nothing(
    api: Api, database: Database, objects: ObjectStore, claims: dict[str, int]
) -> None:
    awaiting = populate(database, objects)["awaiting"]
    report = database.reports.find_one({"subscription": "sub_awaiting"}) or {}
    secret = api.settings.jwt_secret.get_secret_value()
    good = mint_token(api.settings, "usr_default_manager", datetime.now(UTC))
    told = jwt.decode(good, secret, algorithms=["HS256"], audience=api.settings.jwt_audience)
    assert told.pop("auth_time") == told["iat"]
    body = {"sha256": report["sha256"], "meaning": "approval", "reason": "Looked at"}
    path = f"/api/report-executions/{awaiting}/release"
    answer = api.with_token(jwt.encode(told | claims, secret, "HS256")).post(path, json=body)
    assert (answer.status_code, "ign in again" in answer.text) == (403, True)
    assert api.with_token(good).post(path, json=body).status_code == 200
