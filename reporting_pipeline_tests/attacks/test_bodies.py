"""Every body of every route, with hostile values in each place: an answer, and never a fault of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.conftest import Api, organisations, serve
from reporting_pipeline_tests.api.test_rights import ROUTES, Route
from reporting_pipeline_tests.api.world import populate

__all__ = ["organisations", "serve"]

#: JSON as it is written, since writers refuse to write some of it.
HOSTILE = {
    "none": "null",
    "no number": "NaN",
    "too much": "1e999",
    "a large number": "9" * 400,
    "a surrogate": '"\\ud800"',
    "a nil byte": '"a\\u0000b"',
    "an operator": '{"$gt": ""}',
    "a list": "[[], {}]",
    "deep": "[" * 400 + "]" * 400,
    "long": json.dumps("x" * 200_000),
    "true": "true",
    "markup": json.dumps("</script><img src=x onerror=alert(1)>${7*7}{{7*7}}"),
}
MARK = "\x1amark\x1a"


def places(value: Any) -> Iterator[Any]:
    """`value` once for each place in it, with MARK there."""
    yield MARK
    if isinstance(value, dict):
        for name, member in value.items():
            for changed in places(member):
                yield {**value, name: changed}
    elif isinstance(value, list):
        for position, member in enumerate(value):
            for changed in places(member):
                yield [*value[:position], changed, *value[position + 1 :]]


def bodies(route: Route) -> Iterator[tuple[str, str]]:
    """(what it is, the body's text)."""
    marked = [json.dumps(one) for one in places(route.arguments["json"])]
    for name, text in HOSTILE.items():
        for place, body in enumerate(marked):
            yield f"{name} at {place}", body.replace(json.dumps(MARK), text)


WRITING = [route for route in ROUTES if "json" in route.arguments]


@pytest.mark.slow
def test_no_value_in_any_place_is_a_fault(
    serve: Callable[..., Api], database: Database, objects: ObjectStore
) -> None:
    api, ids = serve(requeues_per_hour=100_000), populate(database, objects)
    faults = []
    for route in WRITING:
        caller, path = api.as_(f"usr_default_{route.role}"), route.path.format(**ids)
        for name, body in bodies(route):
            answer = caller.call(route.method, path, data=body, headers={"Content-Type": "application/json"})
            if answer.status_code >= 500:
                faults.append(f"{route} {name}: {answer.status_code} {body[:200]}")
    assert faults == []
    lists = ("subscriptions", "documents", "trials", "scheduled-reports", "audit", "reports-awaiting-release")
    for listed in lists:
        answer = api.as_("usr_default_admin").get(f"/api/{listed}")
        assert answer.status_code == 200, answer.text
