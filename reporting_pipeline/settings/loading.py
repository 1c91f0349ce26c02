"""Settings from the environment, `.env`, the folder of secrets and a local home."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from reporting_pipeline.domain.wrong_values import words_of
from reporting_pipeline.made_once import make_once
from reporting_pipeline.settings.home import OWN_SECRETS, own_secrets_file, secrets_of_home, servers_of_home
from reporting_pipeline.settings.model import Settings, variable_names

ENV_FILE = Path(".env")
SECRETS_DIR = "REPORTING_SECRETS_DIR"


class SettingsError(ValueError):
    """The environment does not describe a valid deployment; the message says which variable and why."""


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` alone, or from the process's environment and its files.

    Raises SettingsError that names the variable and, for one from a file, the file.
    """
    whole = os.environ if environ is None else environ
    folder = _secrets_folder(whole)
    env_file = ENV_FILE if environ is None and ENV_FILE.is_file() else None
    for names, where in (
        (set(whole), "in the environment"),
        (set(dotenv_values(env_file)) if env_file else set(), "in .env"),
        (set(os.listdir(folder)) if folder else set(), f"in {folder}"),
    ):
        _refuse_unknown(names, where)
    values: dict[str, Any] = {name: whole[name] for name in variable_names() if whole.get(name)}
    try:
        return Settings(_env_file=env_file, _secrets_dir=folder, **values)
    except ValidationError as error:
        problems = "; ".join(
            _said(problem) for problem in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"The environment is not valid: {problems}") from None


def _said(problem: Any) -> str:
    """One problem by its variable; those of several variables name them themselves."""
    named = ".".join(str(part) for part in problem["loc"])
    text = words_of(problem)
    return f"{named}: {text}" if named else text


def _secrets_folder(environ: Mapping[str, str]) -> Path | None:
    if not environ.get(SECRETS_DIR):
        return None
    folder = Path(environ[SECRETS_DIR])
    if not folder.is_dir():
        raise SettingsError(f"{SECRETS_DIR}: {folder} is no folder")
    return folder


def _refuse_unknown(names: set[str], where: str) -> None:
    known = variable_names() | {SECRETS_DIR}
    for name in sorted(names):
        if name.startswith("REPORTING_") and name not in known:
            near = get_close_matches(name, known, n=1)
            raise SettingsError(
                f"{name} is not a setting"
                + (f"; did you mean {near[0]}?" if near else "")
                + f" It stands {where}. docs/operations.md lists all settings."
            )


def value_in_environment(name: str) -> str:
    """What a variable holds that another program's file names (dagster.yaml); "" where it is not set."""
    return os.environ.get(name, "")


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with `extra` over it, for a child process of the same deployment."""
    return {**os.environ, **extra}


@lru_cache(maxsize=1)
def current_settings() -> Settings:
    """The settings of this process, read once.

    What came from a file is put into the environment, too: Dagster's resources and boto3 read MONGODB_URI
    and the AWS names there, and child processes may have another current folder.
    """
    settings = load_settings()
    for name, value in _from_files().items():
        os.environ.setdefault(name, value)
    own = secrets_of_home(settings)
    return load_settings({**own, **_said_in_environment()}) if own else settings


def _said_in_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if value}


def with_own_secrets(settings: Settings) -> Settings:
    """The same deployment with secrets of its home alone, which are made where the home is new.

    For homes on one machine that start their own servers: the links, sessions, audit log and tokens of one
    are nobody else's to forge. What the environment names stays; a home that was begun without goes on with
    the published one, by which its log is chained.
    """
    alone = settings.mongodb_uri is None and settings.s3_endpoint_url is None
    if settings.environment == "local" and alone and not (settings.home / "embedded").exists():
        made = "".join(f"{name}={secrets.token_hex(32)}\n" for name in OWN_SECRETS)
        make_once(own_secrets_file(settings), made)
    current_settings.cache_clear()
    given = {
        name: SecretStr(value)
        for name, value in secrets_of_home(settings).items()
        if not os.environ.get(name)
    }
    return settings.model_copy(update={OWN_SECRETS[name]: value for name, value in given.items()})


def _from_files() -> dict[str, str]:
    """The variables that `.env` and the secrets folder name, without those that say nothing."""
    folder = _secrets_folder(os.environ)
    known = variable_names()
    secret = (
        {path.name: path.read_text().strip() for path in folder.iterdir() if path.name in known}
        if folder
        else {}
    )
    noted = {name: value or "" for name, value in dotenv_values(ENV_FILE).items() if name in known}
    return {name: value for name, value in {**secret, **noted}.items() if value}


def with_servers_of_home(settings: Settings) -> Settings:
    """The same deployment, pointed to the servers that run in its home, where it is a local one.

    What the environment names itself stays as it is.
    """
    path = servers_of_home(settings)
    if settings.environment not in ("local", "test") or not path.is_file():
        return settings
    lines = path.read_text(encoding="utf-8").splitlines()
    noted = dict(line.split("=", 1) for line in lines if "=" in line)
    return load_settings({**secrets_of_home(settings), **noted, **_said_in_environment()})
