"""What a local home keeps of its deployment: secrets of its own, and where its servers are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from reporting_pipeline.settings.model import Settings

#: The variables of a home's own secrets, by the settings they are.
OWN_SECRETS = {"REPORTING_LINK_SECRET": "link_secret", "REPORTING_JWT_SECRET": "jwt_secret"}


def own_secrets_file(settings: Settings) -> Path:
    return settings.home / "secrets.env"


def secrets_of_home(settings: Settings) -> dict[str, str]:
    """Variable -> secret of a local home that has its own."""
    path = own_secrets_file(settings)
    if settings.environment != "local" or not path.is_file():
        return {}
    lines = path.read_text(encoding="ascii").splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines) if name in OWN_SECRETS}


def remember_servers(settings: Settings, environment: Mapping[str, str]) -> None:
    """Write down in the home where its servers are; only this user can read it, for it holds their keys."""
    path = servers_of_home(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in environment.items())


def forget_servers(settings: Settings) -> None:
    """The servers of the home have stopped."""
    servers_of_home(settings).unlink(missing_ok=True)


def servers_of_home(settings: Settings) -> Path:
    return settings.home / "servers.env"
