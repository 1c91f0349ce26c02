"""What compose and the chart give each process, against what docs/operations.md says was measured."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from reporting_pipeline_tests.deploy import artefacts

#: Of a limit over what was measured: a process at its limit is killed, whatever it was doing.
MARGIN = 1.5
_ROW = re.compile(r"^\| `((?:compose|chart)/[\w-]+)` \| ([\d,]+) MB \|", re.MULTILINE)
_UNITS = {"m": 1 << 20, "g": 1 << 30, "Mi": 1 << 20, "Gi": 1 << 30}
PAGE = (artefacts.ROOT / "docs/operations.md").read_text()
MEASURED = {where: float(taken.replace(",", "")) for where, taken in _ROW.findall(PAGE)}


def megabytes(text: str) -> float:
    found = re.fullmatch(r"(\d+)(m|g|Mi|Gi)", text)
    assert found is not None, text
    return int(found[1]) * _UNITS[found[2]] / 1e6


def given() -> Iterator[tuple[str, float, float]]:
    """(where, request, limit) in MB of every process of ours that goes on; compose asks for nothing."""
    for name, service in artefacts.own_services().items():
        if "mem_limit" in service:
            yield f"compose/{name}", float("inf"), megabytes(service["mem_limit"])
    for name, deployment in artefacts.of_kind(artefacts.rendered(), "Deployment").items():
        ours = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]
        request, limit = (megabytes(ours[kind]["memory"]) for kind in ("requests", "limits"))
        yield f"chart/{name.removeprefix('rp-')}", request, limit


GIVEN = {where: (request, limit) for where, request, limit in given()}


def test_every_process_was_measured() -> None:
    assert set(MEASURED) == set(GIVEN)


@pytest.mark.parametrize("where", MEASURED)
def test_a_process_gets_what_it_takes_and_half_as_much_again(where: str) -> None:
    request, limit = GIVEN[where]
    assert request >= MEASURED[where]
    assert limit >= MEASURED[where] * MARGIN
