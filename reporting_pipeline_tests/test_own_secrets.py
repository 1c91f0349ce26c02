"""A home on one machine has secrets of its own, which no other home and no page of ours knows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reporting_pipeline.settings import (
    LOCAL_SECRET,
    Settings,
    current_settings,
    load_settings,
    with_own_secrets,
    with_servers_of_home,
)


def secrets_of(settings: Settings) -> tuple[str, str]:
    return settings.link_secret.get_secret_value(), settings.jwt_secret.get_secret_value()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of this process, where nothing else is said."""
    for name in ("REPORTING_ENVIRONMENT", "MONGODB_URI", "REPORTING_LINK_SECRET", "REPORTING_JWT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REPORTING_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    current_settings.cache_clear()
    yield tmp_path / "home"
    current_settings.cache_clear()


def test_a_new_home_gets_secrets_that_every_process_of_it_has(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:  # commands that begin it at once
        found = set(pool.map(lambda _: secrets_of(with_own_secrets(load_settings())), range(4)))
    (made,) = found
    assert LOCAL_SECRET not in made
    assert made[0] != made[1]
    assert (home / "secrets.env").stat().st_mode & 0o777 == 0o600
    assert secrets_of(current_settings()) == made
    assert secrets_of(with_servers_of_home(current_settings())) == made
    assert [path.name for path in home.iterdir()] == ["secrets.env"]


def test_no_two_homes_have_the_same(home: Path, tmp_path: Path) -> None:
    others = [load_settings({"REPORTING_HOME": str(tmp_path / name)}) for name in ("one", "two")]
    assert len({secrets_of(with_own_secrets(one)) for one in others}) == 2


def test_what_is_said_stays_and_a_home_that_was_begun_without_goes_on_as_it_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "embedded").mkdir(parents=True)
    assert secrets_of(with_own_secrets(load_settings())) == (LOCAL_SECRET, LOCAL_SECRET)
    (home / "embedded").rmdir()
    said = "said-0123456789-abcdefghijklmnop-qrstuv"
    monkeypatch.setenv("REPORTING_LINK_SECRET", said)
    link, token = secrets_of(with_own_secrets(load_settings()))
    assert link == said
    assert token != LOCAL_SECRET
    assert secrets_of(current_settings()) == (link, token)


@pytest.mark.parametrize(
    "environ",
    [
        {"REPORTING_ENVIRONMENT": "test"},
        {"MONGODB_URI": "mongodb://127.0.0.1:1"},
        {"S3_ENDPOINT_URL": "http://127.0.0.1:1"},
    ],
)
def test_where_stores_are_named_or_nobody_works_nothing_is_made(home: Path, environ: dict[str, str]) -> None:
    settings = load_settings({"REPORTING_HOME": str(home), **environ})
    assert secrets_of(with_own_secrets(settings)) == (LOCAL_SECRET, LOCAL_SECRET)
    assert not home.exists()
