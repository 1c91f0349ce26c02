"""The keys that sign manifests: from the settings, or, of a home on this machine, from a file in it.

The file is made once, with a key of its own: no two homes sign alike, and what another home signed is not
ours. Outside one machine every process has the keys from the settings.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from functools import lru_cache
from pathlib import Path

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.domain.proof import KEY_BYTES, SigningKeys, seeds
from reporting_pipeline.made_once import make_once
from reporting_pipeline.settings import Settings

KEY_FILE = "report-signing.key"


def signing_keys(settings: Settings) -> SigningKeys:
    """What this deployment signs with and every public key it knows.

    Where the settings name no key: a home on one machine has its own; elsewhere they are derived from the
    secret of the links, as those of the audit log are.
    """
    secret = settings.proof_keys.get_secret_value() if settings.proof_keys else ""
    link = settings.link_secret.get_secret_value()
    alone = settings.environment in ("local", "test")
    return _keys(secret, settings.proof_retired_keys, link, settings.home if alone else None)


@lru_cache(maxsize=16)
def _keys(secret: str, retired: str, link: str, home: Path | None) -> SigningKeys:
    public = seeds(retired) if retired else []
    if secret:
        return SigningKeys.of(seeds(secret), public)
    if home is not None:
        return SigningKeys.of(seeds(_of_home(home / KEY_FILE)), public)
    derived = Keyring.read(link).derived("report-proof")
    names = [derived.current, *(name for name in derived.keys if name != derived.current)]
    return SigningKeys.of([derived.keys[name] for name in names], public)


def _of_home(path: Path) -> str:
    """The key in the file; of several processes that start at once one makes it, for all of them."""
    if not path.is_file():
        make_once(path, b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
    return path.read_text(encoding="ascii").strip()
