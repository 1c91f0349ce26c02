"""What others need to reach the API: a bearer token, and the API's description.

The API is imported by the command that needs it: it would double the start of every other.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from reporting_pipeline.cli.operate.stores import open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.domain.access import Role


def token(
    user: Annotated[str | None, typer.Argument(help="User id, e.g. usr_…")] = None,
    role: Annotated[
        Role | None, typer.Option(help="Instead of a user: this machine's own, who is made when missing.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=720, help="How long it is valid.")] = 8,
) -> None:
    """Print a bearer token for the API, signed with this deployment's own secret."""
    from reporting_pipeline.usecases.callers.tokens import known_user, local_user, mint_token

    with plain_errors():
        now = datetime.now(UTC)
        if (user is None) == (role is None):
            raise ValueError("name a user id, or give --role for this machine's own user")
        stores = open_stores()
        if role is not None:
            user = local_user(stores.database, stores.settings, role, now)
        else:
            user = known_user(stores.database, user or "")
        typer.echo(mint_token(stores.settings, user, now, timedelta(hours=hours)))


def openapi() -> None:
    """Print the API's OpenAPI document."""
    from reporting_pipeline.api.app import openapi_document

    with plain_errors():
        typer.echo(json.dumps(openapi_document(), indent=2))
