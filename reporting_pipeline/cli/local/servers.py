"""The embedded servers of a home: start, look, stop."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from reporting_pipeline.cli.local.home import note_servers
from reporting_pipeline.embedded import servers
from reporting_pipeline.embedded.servers import ServerStatus
from reporting_pipeline.settings import Settings, forget_servers, with_own_secrets


def start(settings: Settings, console: Console) -> None:
    """Start what is not running, and print the environment that points to it."""
    settings = with_own_secrets(settings)
    endpoints = servers.start(settings)
    note_servers(settings, endpoints)
    for name, value in endpoints.as_environment().items():
        console.print(f"export {name}='{value}'", highlight=False, soft_wrap=True)


def show(settings: Settings, console: Console) -> None:
    """What runs, and where."""
    table = Table("server", "state", "process", "address")
    for one in servers.status(settings):
        table.add_row(one.name, _state(one), str(one.pid or ""), one.address or "")
    console.print(table)


def stop(settings: Settings, console: Console) -> None:
    """Stop this home's servers; their data stays."""
    stopped = servers.stop(settings)
    forget_servers(settings)
    console.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


def _state(server: ServerStatus) -> str:
    if not server.embedded:
        return "named by the environment"
    if server.healthy:
        return "running"
    return "does not answer" if server.running else "stopped"
