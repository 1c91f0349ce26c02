"""`reporting-pipeline bootstrap`: the first organisation and admin of an empty deployment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from reporting_pipeline.cli.operate.stores import open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.settings import Settings
from reporting_pipeline.usecases.bootstrap import Bootstrapped
from reporting_pipeline.usecases.bootstrap import bootstrap as make_first

console = Console()


def bootstrap(
    email: Annotated[str, typer.Argument(help="The first admin's address.")],
    organisation: Annotated[str | None, typer.Option(help="Its id; default: REPORTING_ORGANISATION.")] = None,
    name: Annotated[str | None, typer.Option(help="Its name, as reports show it.")] = None,
    domain: Annotated[
        list[str] | None, typer.Option(help="A domain that reports may be mailed to; may be repeated.")
    ] = None,
    all_trials: Annotated[
        bool, typer.Option("--all-trials", help="The admin may see the data of all trials; also later.")
    ] = False,
) -> None:
    """Make the first organisation and admin. Called again it changes nothing, but for --all-trials."""
    with plain_errors():
        stores = open_stores()
        chosen = organisation or stores.settings.organisation
        done = make_first(
            stores.database,
            chosen,
            name or chosen,
            email,
            datetime.now(UTC),
            domains=domain or (),
            sees_all_trials=all_trials,
            timezone=stores.settings.timezone,
        )
    _say(done, stores.settings)


def _say(done: Bootstrapped, settings: Settings) -> None:
    was = "is made" if done.made else "was there already"
    console.print(f"organisation {done.organisation} with admin {done.admin} {was}", highlight=False)
    console.print("Next:", highlight=False)
    if settings.jwks_url or settings.jwks_file:
        token = f"a token of your identity provider whose `sub` is {done.admin}"
    else:
        token = f"TOKEN=$(reporting-pipeline token {done.admin})"
    for step in (
        "reporting-pipeline doctor",
        token,
        f'curl -H "Authorization: Bearer $TOKEN" {settings.public_url}/api/users/{done.admin}',
        "people and what each may see: PUT /api/users/{user_id}; documents: reporting-pipeline import; "
        "docs/api.md",
    ):
        console.print(f"  {step}", highlight=False, soft_wrap=True, markup=False)
    if not done.sees_trials:
        console.print(
            "The admin sees no trial's data and can open none to others: call this again with --all-trials, "
            "before there are readers",
            highlight=False,
            soft_wrap=True,
        )
    if done.organisation != settings.organisation:
        console.print(
            f"Commands are for the organisation {settings.organisation} where they name none: set "
            f"REPORTING_ORGANISATION={done.organisation}, or give them --organisation {done.organisation}",
            highlight=False,
            soft_wrap=True,
        )
