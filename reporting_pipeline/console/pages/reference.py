"""The API reference at /docs, made on the server from the OpenAPI document: no script, no assets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from reporting_pipeline.console.rendering import html

router = APIRouter()

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Operation:
    """One method of one address."""

    id: str
    method: str
    path: str
    tag: str
    words: str
    public: bool
    parameters: tuple[tuple[str, str, bool, str, str], ...]  # name, where, needed, type, words
    body: str  # an example as JSON; "" without a body
    answers: tuple[tuple[str, str], ...]  # status, words


@router.get("/docs")
def reference(request: Request) -> Response:
    """Every address of the API with what it takes and answers."""
    document = _document(request)
    operations = list(_operations(document))
    tags = [(tag["name"], tag.get("description", "")) for tag in document.get("tags", [])]
    return html(
        "reference.html",
        title=document["info"]["title"],
        version=document["info"]["version"],
        parts=[(name, words, [one for one in operations if one.tag == name]) for name, words in tags],
    )


def _document(request: Request) -> Mapping[str, Any]:
    document: Mapping[str, Any] = request.app.state.api_document()
    return document


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield _operation(document, path, method, methods[method])


def _operation(document: Mapping[str, Any], path: str, method: str, given: Mapping[str, Any]) -> Operation:
    parameters = tuple(
        (
            one["name"],
            one["in"],
            bool(one.get("required")),
            _type(one.get("schema", {})),
            str(one.get("description", "")),
        )
        for one in given.get("parameters", ())
    )
    return Operation(
        id=given["operationId"],
        method=method.upper(),
        path=path,
        tag=(given.get("tags") or [""])[0],
        words=str(given.get("description") or given.get("summary") or ""),
        public=given.get("security") == [],
        parameters=parameters,
        body=_example(document, given.get("requestBody", {})),
        answers=tuple((status, one.get("description", "")) for status, one in given["responses"].items()),
    )


def _type(schema: Mapping[str, Any]) -> str:
    kinds = [schema, *schema.get("anyOf", ())]
    found = [one.get("format") or one.get("type") for one in kinds if one.get("type") not in (None, "null")]
    choices = next((one["enum"] for one in kinds if "enum" in one), None)
    return " | ".join(map(str, choices)) if choices else "/".join(map(str, found))


def _example(document: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """An example of a request's body; a body that has none in the document is described by its type."""
    for media_type, content in body.get("content", {}).items():
        schema = _resolved(document, content.get("schema", {}))
        examples = schema.get("examples") or [content[key] for key in ("example",) if key in content]
        return json.dumps(examples[0], indent=2, ensure_ascii=False) if examples else media_type
    return ""


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: Mapping[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


@lru_cache(maxsize=1)
def nothing() -> Mapping[str, Any]:
    """The document of a console that stands alone, without an API beside it."""
    return {"info": {"title": "API", "version": ""}, "paths": {}, "components": {"schemas": {}}}
