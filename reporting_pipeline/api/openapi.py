"""The OpenAPI document: what FastAPI derives from the routes, with our problems and our security."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from reporting_pipeline.api.models.base import ProblemDetails

TAGS = [
    {"name": "subscriptions", "description": "Self-service: one's own reports (camelCase)."},
    {"name": "scheduled reports", "description": "Managed reports for several recipients (snake_case)."},
    {"name": "editions", "description": "The shared report of a period, its registered users and mails."},
    {"name": "documents", "description": "What arrived for the trials."},
    {"name": "trials", "description": "Trials, their sites, and organisations."},
    {"name": "operations", "description": "Dead letters, the audit log, users."},
    {"name": "service", "description": "Health, metrics, links in mails, provider events."},
]
_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Same key and request: same answer, run once. Kept for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def document(app: FastAPI, version: str, is_public: Callable[[str], bool]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the app."""
    schema = get_openapi(
        title="Reporting pipeline",
        version=version,
        summary="Subscriptions and reports of clinical trials.",
        routes=app.routes,
        tags=TAGS,
        servers=[{"url": "/", "description": "This deployment."}],
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
    )
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # ours are problem details
        schemas.pop(name, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    for one in schemas.values():
        for example in one.get("examples", ()):
            _say_nulls(example, one, schemas)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _complete(operation, method, is_public(path))
    return schema


def _say_nulls(example: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Put back the members that are null: the framework leaves them out of examples, required or not."""
    schema = _resolved(schema, schemas)
    if isinstance(example, list):
        for item in example:
            _say_nulls(item, schema.get("items", {}), schemas)
    if not isinstance(example, dict):
        return
    for name, part in schema.get("properties", {}).items():
        if name in example:
            _say_nulls(example[name], part, schemas)
        elif name in schema.get("required", ()) and {"type": "null"} in part.get("anyOf", ()):
            example[name] = None


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    options = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    return _resolved(options[0], schemas) if len(options) == 1 else schema


def _without_null(body: dict[str, Any]) -> None:
    """A body that may be left out is not null, as the framework says: generated clients send what is said."""
    for content in body.get("content", {}).values():
        options = [one for one in content["schema"].get("anyOf", ()) if one != {"type": "null"}]
        if len(options) == 1:
            content["schema"] = options[0]


def _complete(operation: dict[str, Any], method: str, public: bool) -> None:
    _without_null(operation.get("requestBody", {}))
    for answer in operation["responses"].values():
        # A word of OpenAPI 3.2 that the framework writes into a 3.1 document.
        answer.get("content", {}).get("text/event-stream", {}).pop("itemSchema", None)
    if public:
        operation["security"] = []
        return
    operation["security"] = [{"bearer": []}]
    if method in ("post", "put", "patch", "delete"):
        operation.setdefault("parameters", []).append(_KEY_PARAMETER)


def operation_id(route: APIRoute) -> str:
    """The function's name: short names for generated clients."""
    return route.name
