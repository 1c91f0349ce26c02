"""Asks a running API for every operation of its document by schemathesis, and says what was wrong.

    python -m reporting_pipeline_tests.api.every_operation http://127.0.0.1:8000 positive < tokens.json

`tokens.json`: a list of bearer tokens, taken in turn. Answers {"tried": {operation: cases}, "failures":
[text]}.

A process of its own: hypothesis also tries the constants of all modules that its process has loaded, so that
among other tests the cases would be others each time.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from reporting_pipeline.api.app import openapi_document
from reporting_pipeline_tests.waiting import PATIENCE

EXAMPLES = 8  # per operation and mode
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
)


@schemathesis.serializer("application/x-ndjson")
def lines(_context: object, value: object) -> bytes:
    """Text as it is: what a document a line looks like is no JSON schema."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def asked(base: str, mode: GenerationMode, tokens: Sequence[str]) -> tuple[Counter[str], list[str]]:
    """How many cases of each operation were tried, and each answer that the document does not allow."""
    schema = schemathesis.openapi.from_dict(openapi_document())
    schema.config.update(base_url=base)
    turns = cycle(tokens)
    tried: Counter[str] = Counter()
    failures: list[str] = []
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not _can_be_wrong(operation):
            continue
        if operation.path == "/api/events":  # lasts as long as it is asked to: test_events.py
            continue
        for case in _cases(operation, mode):
            tried[operation.label] += 1
            try:
                case.call_and_validate(
                    headers={"Authorization": f"Bearer {next(turns)}"},
                    checks=list(CHECKS),
                    timeout=PATIENCE,
                )
            except FailureGroup as group:
                failures += [f"{operation.label}: {one}" for one in group.exceptions]
    return tried, failures


def _cases(
    operation: schemathesis.APIOperation[Any, Any, Any, Any], mode: GenerationMode
) -> list[schemathesis.Case[Any]]:
    """The same cases each time."""
    found: list[schemathesis.Case[Any]] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def collect(case: schemathesis.Case[Any]) -> None:
        if _is_http(case):
            found.append(case)

    collect()
    return found


def _is_http(case: schemathesis.Case[Any]) -> bool:
    """Whether a server of HTTP hands it on: a value with control characters is answered by uvicorn itself.

    RFC 9110, 5.5: visible characters, blanks, tabs and the octets above 127.
    """
    headers = [*(case.headers or {}).values(), *(case.cookies or {}).values()]
    return all(re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", str(value)) for value in headers)


def _can_be_wrong(operation: schemathesis.APIOperation[Any, Any, Any, Any]) -> bool:
    """Whether it takes anything at all that could be invalid; a token in a path takes every text.

    Lines of documents are each answered for themselves: what is no document is a line that is refused.
    """
    if operation.path.endswith(":batch"):
        return False
    return "{token}" not in operation.path and bool(list(operation.iter_parameters()) or operation.body)


if __name__ == "__main__":
    tried, failures = asked(sys.argv[1], GenerationMode(sys.argv[2]), json.load(sys.stdin))
    json.dump({"tried": tried, "failures": failures}, sys.stdout)
