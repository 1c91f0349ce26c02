"""The pictures of the system show what there is, and their drawings are of their sources."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reporting_pipeline.assets import scope

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
_NODE = re.compile(r"(\w+)[\[(]+\"?([^\])\"]+)\"?[\])]+")


def _nodes(name: str) -> dict[str, str]:
    return dict(_NODE.findall((IMAGES / f"{name}.mmd").read_text()))


def test_the_map_names_every_package_and_no_other() -> None:
    drawn = {node for node in _nodes("system") if node != "root" and not node.startswith("group")}
    there = {path.parent.name for path in (ROOT / "reporting_pipeline").glob("*/__init__.py")}
    assert drawn == there


def test_the_flow_goes_through_every_asset() -> None:
    assets = {
        scope.DOCUMENTS,
        scope.TRIAL_DATASET,
        scope.TRIAL_MEDIA,
        scope.TRIAL_STATUS,
        scope.SUBSCRIBER_REPORTS,
        scope.REPORT_EMAILS,
    }
    assert assets <= set(_nodes("flow"))


@pytest.mark.parametrize("name", ["system", "flow"])
def test_a_drawing_says_what_its_source_says(name: str) -> None:
    """CONTRIBUTING.md has the command that draws them anew."""
    drawing = ElementTree.parse(IMAGES / f"{name}.svg")  # noqa: S314 - ours
    shown = {
        " ".join(" ".join(text.itertext()).split())
        for text in drawing.iter("{http://www.w3.org/2000/svg}text")
    }
    wanted = {" ".join(label.split()) for label in _nodes(name).values()}
    assert {re.sub(r"\s", "", label) for label in wanted} <= {re.sub(r"\s", "", label) for label in shown}
