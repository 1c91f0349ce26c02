"""Trials and organisations of a deployment, from the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from reporting_pipeline.cli.operate.stores import Stores, open_stores
from reporting_pipeline.cli.plain import plain_errors
from reporting_pipeline.stores import organisations, trials
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.usecases import trials as usecase

console = Console()
ACTOR = "system"
trial_app = typer.Typer(no_args_is_help=True, help="Trials: register, list, close.")
organisation_app = typer.Typer(no_args_is_help=True, help="Organisations: register, change, list.")
Domains = Annotated[list[str] | None, typer.Option("--domain", help="A mail domain reports may go to.")]
Hosts = Annotated[list[str] | None, typer.Option("--host", help="A host webhooks may go to.")]
Sites = Annotated[list[str] | None, typer.Option("--site", help="A site, as 701 or 701=Its name.")]
Organisation = Annotated[str | None, typer.Option(help="Default: this deployment's own.")]


@trial_app.command("add")
def add_trial(
    trial: str,
    title: Annotated[str, typer.Option(help="What it is called.")],
    site: Sites = None,
    organisation: Organisation = None,
) -> None:
    """Register a trial; documents can be taken in from then on."""
    with plain_errors():
        stores = open_stores()
        sites = [one.partition("=")[::2] for one in site or ()]
        fields = {
            "_id": trial,
            "title": title,
            "sites": [{"id": number, "name": name or f"Site {number}"} for number, name in sites],
        }
        home = organisation or stores.settings.organisation
        usecase.register_trial(stores.database, home, ACTOR, fields, datetime.now(UTC))
        console.print(f"trial {trial} is registered", highlight=False, markup=False)


@trial_app.command("list")
def list_trials(organisation: Organisation = None) -> None:
    """The trials of an organisation."""
    with plain_errors():
        stores = open_stores()
        table = Table("trial", "title", "sites", "closed")
        found = trials.list_trials(stores.database, organisation or stores.settings.organisation, limit=1_000)
        for one in found:
            closed = one.get("closed_at")
            table.add_row(
                one["_id"],
                one.get("title", ""),
                str(len(one.get("sites", []))),
                f"{closed:%Y-%m-%d}" if closed else "",
            )
        console.print(table)


@trial_app.command("close")
def close_trial(trial: str, organisation: Organisation = None) -> None:
    """Close a trial: no document is taken in any more."""
    with plain_errors():
        stores = open_stores()
        before = _trial(stores, trial, organisation)
        usecase.close_trial(stores.database, before, ACTOR, datetime.now(UTC))
        console.print(f"trial {trial} is closed", highlight=False, markup=False)


@trial_app.command("reopen")
def reopen_trial(trial: str, organisation: Organisation = None) -> None:
    """Open a closed trial again."""
    with plain_errors():
        stores = open_stores()
        before = _trial(stores, trial, organisation)
        usecase.reopen_trial(stores.database, before, ACTOR, datetime.now(UTC))
        console.print(f"trial {trial} is open", highlight=False, markup=False)


@organisation_app.command("add")
def add_organisation(organisation: str, name: str, domain: Domains = None, host: Hosts = None) -> None:
    """Register an organisation."""
    _save(organisation, name, domain, host, new=True)


@organisation_app.command("change")
def change_organisation(organisation: str, name: str, domain: Domains = None, host: Hosts = None) -> None:
    """Put another name, and other domains and hosts, in the place of its own."""
    _save(organisation, name, domain, host, new=False)


@organisation_app.command("list")
def list_organisations() -> None:
    """The organisations of this deployment."""
    with plain_errors():
        table = Table("organisation", "name", "mail domains", "hosts")
        for one in organisations.list_all(open_stores().database, limit=1_000):
            domains, hosts = one.get("allowed_domains") or (), one.get("allowed_hosts") or ()
            table.add_row(one["_id"], str(one.get("name", "")), ", ".join(domains), ", ".join(hosts))
        console.print(table)


def _save(
    organisation: str, name: str, domains: list[str] | None, hosts: list[str] | None, *, new: bool
) -> None:
    with plain_errors():
        stores = open_stores()
        fields = {"name": name, "allowed_domains": domains or [], "allowed_hosts": hosts or []}
        if not new:
            fields = organisations.decided_by(organisations.get(stores.database, organisation)) | fields
        try:
            usecase.save_organisation(
                stores.database,
                organisation,
                ACTOR,
                fields,
                datetime.now(UTC),
                home=stores.settings.organisation,
                new=new,
            )
        except organisations.OrganisationMissing:
            raise ValueError(f"there is no organisation {organisation}; add it first") from None
        console.print(f"organisation {organisation} is kept", highlight=False, markup=False)


def _trial(stores: Stores, trial: str, organisation: str | None) -> Record:
    home = organisation or stores.settings.organisation
    found = trials.get_trial(stores.database, home, trial)
    if found is None:
        raise ValueError(f"there is no trial {trial} of {home}; `reporting-pipeline trial list` names them")
    return found
