"""The OpenAPI document, and the service held to it by schemathesis: whatever is sent, nothing is a 5xx."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from reporting_pipeline.api.app import openapi_document
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.api.conftest import ROLES, Api, weekly
from reporting_pipeline_tests.api.world import populate
from reporting_pipeline_tests.installation import ROOT
from reporting_pipeline_tests.waiting import PATIENCE

OPERATIONS = sorted(
    (path, method) for path, operations in openapi_document()["paths"].items() for method in operations
)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_is_documented_with_examples(path: str, method: str) -> None:
    document = openapi_document()
    operation = document["paths"][path][method]
    assert operation["description"]
    assert operation["tags"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        assert has_example(document, content), "the body has no example"
    good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    for answer in good:
        for media_type, content in answer.get("content", {}).items():
            if media_type == "application/json":
                assert has_example(document, content), "the answer has no example"
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path" and parameter["name"] != "token":
            assert parameter.get("examples") or parameter["schema"].get("examples"), parameter["name"]


def test_every_example_is_what_its_schema_says() -> None:
    """Of bodies and answers: a member that the schema needs and an example lacks misleads a client."""
    schemas = openapi_document()["components"]["schemas"]
    wrong = [
        f"{name}: {error.message}"
        for name, schema in schemas.items()
        for example in schema.get("examples", ())
        for error in Draft202012Validator({**schema, "components": {"schemas": schemas}}).iter_errors(example)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_document_says_how_what_it_takes_is_written() -> None:
    """So that a client knows before it asks: cursors, conditions, ids, addresses, times."""
    document = openapi_document()
    schemas = document["components"]["schemas"]
    parameters = [
        parameter
        for operations in document["paths"].values()
        for operation in operations.values()
        for parameter in operation.get("parameters", ())
    ]
    for name in ("cursor", "If-Match", "Idempotency-Key"):
        found = [one["schema"] for one in parameters if one["name"].lower() == name.lower()]
        assert found
        assert all("pattern" in json.dumps(schema) for schema in found), name
    assert "pattern" in schemas["SubscriptionRequest"]["properties"]["userId"]
    assert "pattern" in schemas["ReportParameters"]["properties"]["trials"]["items"]
    assert "pattern" in schemas["Schedule"]["properties"]["time"]
    assert schemas["RegistrationRequest"]["properties"]["email"]["format"] == "email"


def test_no_address_stands_twice_and_every_operation_says_its_security() -> None:
    document = openapi_document()
    assert document["servers"]
    shapes = Counter(re.sub(r"\{[^}]+\}", "{}", path) for path in document["paths"])
    assert [shape for shape, times in shapes.items() if times > 1] == []
    for operations in document["paths"].values():
        assert all("security" in operation for operation in operations.values())


REDOCLY = "@redocly/cli@2.77.0"
TO_FETCH_IT = 300  # seconds; npx keeps it for the next time


@pytest.fixture(scope="module")
def redocly() -> list[str]:
    """The command of @redocly/cli, of the version that is pinned here: npx fetches it where it is not yet."""
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("node's npx is not installed")
    command = [npx, "--yes", f"--package={REDOCLY}", "redocly"]
    had = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, timeout=TO_FETCH_IT, check=False
    )
    if had.returncode:
        pytest.skip(f"{REDOCLY} cannot be fetched here: {had.stderr[-300:]}")
    return command


@pytest.mark.slow
def test_redocly_finds_no_error(redocly: list[str], tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(openapi_document()))
    found = subprocess.run(
        [*redocly, "lint", str(file)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_error_is_a_problem() -> None:
    for path, operations in openapi_document()["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if status[0] in "45" and path != "/readyz":
                    assert list(answer["content"]) == ["application/problem+json"], (path, method, status)


def test_every_operation_of_people_says_what_may_be_our_own_fault_and_when_to_come_back() -> None:
    for path, operations in openapi_document()["paths"].items():
        for method, operation in operations.items():
            if operation["security"]:
                assert {"401", "403", "429", "500", "503"} <= set(operation["responses"]), (path, method)
                for status, header in (
                    ("401", "WWW-Authenticate"),
                    ("429", "Retry-After"),
                    ("503", "Retry-After"),
                ):
                    assert header in operation["responses"][status]["headers"], (path, method, status)


def test_the_document_names_the_headers_of_what_is_made_and_changed(manager: Api) -> None:
    paths = openapi_document()["paths"]
    made = manager.post("/api/subscriptions", json=weekly("usr_default_manager"))
    one, many = paths["/api/subscriptions/{subscription_id}"], paths["/api/subscriptions"]
    told = many["post"]["responses"]["201"]["headers"]
    assert set(told) == {"Location", "ETag"}
    assert all(made.headers[name] for name in told)
    for method in ("get", "patch"):
        assert set(one[method]["responses"]["200"]["headers"]) == {"ETag"}
    for path in (
        "/api/scheduled-reports",
        "/api/reports",
        "/api/documents",
        "/api/trials",
        "/api/organisations",
    ):
        assert "Location" in paths[path]["post"]["responses"]["201"]["headers"], path
    for path in ("/api/scheduled-reports/{report_id}/run", "/api/report-executions/{job_id}/replay"):
        assert "Location" in paths[path]["post"]["responses"]["202"]["headers"], path


def test_the_document_is_plain_json_and_the_same_each_time() -> None:
    assert json.dumps(openapi_document()) == json.dumps(openapi_document())


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_schemathesis_finds_nothing(mode: str, api: Api, database: Database, objects: ObjectStore) -> None:
    """For every operation, in an organisation with one of everything: as its admin and as each role."""
    populate(database, objects)
    admin, *others = (
        api.as_(f"usr_default_{role}").token for role in ("admin", *sorted({*ROLES} - {"admin"}))
    )
    ran = subprocess.run(
        [sys.executable, "-m", "reporting_pipeline_tests.api.every_operation", api.base, mode],
        input=json.dumps([token for other in others for token in (admin, other)]),
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert not found["failures"], "\n\n".join(found["failures"][:10])
    assert len(found["tried"]) > 25
    assert sum(found["tried"].values()) > 150


def test_what_is_no_http_is_answered_before_the_service(api: Api) -> None:
    """Why the cases leave it out: nothing of it comes as far as the service, with a token or without."""
    odd = {"Authorization": "Bearer \x01"}
    answer = requests.get(f"{api.base}/api/users/me", headers=odd, timeout=PATIENCE)
    assert (answer.status_code, answer.text) == (400, "Invalid HTTP request received.")


def has_example(document: dict[str, Any], content: dict[str, Any]) -> bool:
    schema = content.get("schema", {})
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if schema.get("anyOf"):
        return any(has_example(document, {"schema": option}) for option in schema["anyOf"])
    if content.get("example") or content.get("examples") or schema.get("examples"):
        return True
    parts = schema.get("properties", {})
    return bool(parts) and any(
        part.get("examples") or ("items" in part and has_example(document, {"schema": part["items"]}))
        for part in parts.values()
    )
