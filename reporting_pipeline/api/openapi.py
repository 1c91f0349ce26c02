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
    )
    components = schema.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # ours are problem details
        schemas.pop(name, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _complete(operation, method, is_public(path))
    return schema


def _complete(operation: dict[str, Any], method: str, public: bool) -> None:
    if public:
        return
    operation["security"] = [{"bearer": []}]
    if method in ("post", "put", "patch", "delete"):
        operation.setdefault("parameters", []).append(_KEY_PARAMETER)


def operation_id(route: APIRoute) -> str:
    """The function's name: short names for generated clients."""
    return route.name
