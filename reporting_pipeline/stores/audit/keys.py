"""The keys that chain the rows: of the process or as they were set."""

from __future__ import annotations

from functools import lru_cache

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.settings import Settings, current_settings

_RING: list[Keyring] = []


def use_keys(ring: Keyring) -> None:
    """Chain with these keys from now on, instead of those of the process's settings."""
    _RING[:] = [ring]


def process_keys() -> Keyring:
    """The keys this process chains with; others are derived from them."""
    return _RING[0] if _RING else _keys_of_process()


@lru_cache(maxsize=1)
def _keys_of_process() -> Keyring:
    return audit_keys(current_settings())


def audit_keys(settings: Settings) -> Keyring:
    """The keys of a deployment's log: its own, or derived from those of its links."""
    if settings.audit_secret is not None:
        return Keyring.read(settings.audit_secret.get_secret_value())
    return Keyring.read(settings.link_secret.get_secret_value()).derived("audit")
