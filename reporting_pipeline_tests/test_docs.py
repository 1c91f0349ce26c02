"""The documents say what is: every setting, every command, every file they name."""

import re
from pathlib import Path

import pytest

from reporting_pipeline.cli import app
from reporting_pipeline.settings import SECRETS_DIR, variable_names

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def test_every_setting_is_listed_and_every_listed_one_exists() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    named = set(re.findall(r"`((?:REPORTING|SENDGRID|SLACK)_[A-Z0-9_]+|MONGODB_URI|S3_ENDPOINT_URL)`", text))
    assert variable_names() - set(re.findall(r"`([A-Z0-9_]+)`", text)) == set()
    assert named - variable_names() - {SECRETS_DIR} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_ours_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(
        r"`((?:reporting_pipeline|reporting_pipeline_tests|benchmarks|deploy|docs)/[\w/.-]+)`",
        page.read_text(),
    )
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_is_one_of_ours(page: Path) -> None:
    groups = {group.name for group in app.registered_groups}
    commands = {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    }
    shown = re.findall(r"reporting-pipeline ([a-z][a-z-]*)", page.read_text())
    assert set(shown) - groups - commands == set()


def test_every_make_target_that_the_readme_shows_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / "README.md").read_text()))
    assert shown - targets == set()


def test_every_test_that_a_decision_names_exists() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "reporting_pipeline_tests").rglob("test_*.py"))
    named = {
        name
        for page in (ROOT / "docs" / "decisions").glob("*.md")
        for name in re.findall(r"`(test_\w+)`", page.read_text())
    }
    assert len(named) > 50
    assert [name for name in sorted(named) if f"def {name}(" not in tests] == []
