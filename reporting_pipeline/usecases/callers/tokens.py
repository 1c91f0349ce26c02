"""When a token's person signed in; tokens for a deployment that signs with its own secret.

These are for local work, tests, and services of the house.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from reporting_pipeline.domain.access import Role
from reporting_pipeline.domain.entitlements import ALL, Entitlements
from reporting_pipeline.domain.keyring import BARE, Keyring
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores import audit, users
from reporting_pipeline.stores.mongo import Database

LONGEST_TOKEN = timedelta(days=30)
CLOCKS_APART = 10  # seconds


def authenticated_at(claims: Mapping[str, Any]) -> datetime | None:
    """When the person of a checked token proved who they are: `auth_time`. None where it does not say so.

    When the token was made (`iat`) says nothing of it: a provider that knows a browser makes new ones without
    asking anybody. A time after the token was made is no such time.
    """
    told, made = claims.get("auth_time"), claims.get("iat")
    if isinstance(told, bool) or not isinstance(told, (int, float)):
        return None
    if not isinstance(made, (int, float)) or not 0 <= told <= made + CLOCKS_APART:
        return None
    try:
        return datetime.fromtimestamp(told, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def mint_token(settings: Settings, user_id: str, now: datetime, ttl: timedelta = timedelta(hours=8)) -> str:
    """A bearer token (HS256) that says `user_id` until `now + ttl`.

    Raises ValueError where tokens come from an identity provider (a JWKS is set), and for a `ttl`
    that is not between a second and 30 days.
    """
    if settings.jwks_url or settings.jwks_file:
        raise ValueError(
            "this deployment takes tokens of its identity provider only (REPORTING_JWKS_URL is set)"
        )
    if not timedelta(seconds=1) <= ttl <= LONGEST_TOKEN:
        raise ValueError(f"a token lives between a second and {LONGEST_TOKEN.days} days, not {ttl}")
    claims = {
        "sub": user_id,
        "iss": settings.jwt_issuer,
        "aud": settings.jwt_audience,
        "iat": int(now.timestamp()),
        "auth_time": int(now.timestamp()),  # whoever has the secret has said who this is
        "exp": int((now + ttl).timestamp()),
    }
    keys = Keyring.read(settings.jwt_secret.get_secret_value())
    named = None if keys.current == BARE else {"kid": keys.current}
    return jwt.encode(claims, keys.keys[keys.current], algorithm="HS256", headers=named)


def known_user(database: Database, user_id: str) -> str:
    """The id, of somebody who may use a token. ValueError, with what to do, for anybody else."""
    user = users.get_user(database, user_id)
    if user is None:
        raise ValueError(
            f"there is no user {user_id!r}; an admin makes one: PUT /api/users/{{id}}, or `bootstrap`"
        )
    if not user.active:
        raise ValueError(f"user {user_id!r} was deactivated: no token of theirs would be taken")
    return user_id


def local_user_id(role: str) -> str:
    """What this machine's own user in `role` is called."""
    return f"usr_local_{role}"


def local_user(database: Database, settings: Settings, role: str, now: datetime) -> str:
    """The id of this machine's own user in `role`, made when there is none: `usr_local_admin`, ….

    For trying the API out. ValueError outside a local or test deployment, and for an unknown role.
    """
    if settings.environment not in ("local", "test"):
        raise ValueError(f"users of {settings.environment} are made by its admins, not by this command")
    known = Role(role).value
    user_id = local_user_id(known)
    if users.get_user(database, user_id) is None:
        home = settings.organisation
        with suppress(users.AddressTaken):  # another call has just made it
            users.create_user(
                database,
                settings.organisation,
                f"local-{known}@example.org",
                now,
                name=f"Local {known}",
                roles=[known],
                entitlements=Entitlements(ALL),
                timezone=settings.timezone,
                user_id=user_id,
            )
            audit.record(database, audit.AuditAction.USER_CREATED, "system", user_id, now, organisation=home)
    return user_id
