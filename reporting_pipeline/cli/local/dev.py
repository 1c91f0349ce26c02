"""`reporting-pipeline dev`: everything of a deployment on this machine, until Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from rich.console import Console

from reporting_pipeline.cli.local.dagster_processes import code_server
from reporting_pipeline.cli.local.home import Deployment, running_deployment
from reporting_pipeline.cli.local.processes import (
    HOST,
    Child,
    api_command,
    claim_port,
    stop_together,
)
from reporting_pipeline.cli.local.visitor import wait_for
from reporting_pipeline.embedded import servers
from reporting_pipeline.settings import Settings, SettingsError
from reporting_pipeline.stores.users import trials_of

LOOK_SECONDS = 2.0
NO_DATA = (
    "              There is no data yet: begin there with a trial of your own, or end this and run\n"
    "              `reporting-pipeline demo` first, which fills it with two sample trials."
)


def run(settings: Settings, port: int, console: Console) -> None:
    """Start servers, Dagster's UI and daemon, and the API; start again what dies; stop all at the end."""
    with ExitStack() as stack:
        ui_port = claim_port(stack, port)
        api_port = claim_port(stack, 8000)
        deployment = stack.enter_context(running_deployment(settings))
        environment = deployment.environment(
            REPORTING_PUBLIC_URL=f"http://{HOST}:{api_port}",
            REPORTING_DAGSTER_URL=f"http://{HOST}:{ui_port}",
        )
        logs = deployment.settings.home / "logs"
        code = stack.enter_context(code_server(environment, logs))
        clients: list[Child] = []
        stack.callback(stop_together, clients)  # before the code server, which they would miss
        commands = {
            "daemon": code.daemon_command(),
            "webserver": code.webserver_command(ui_port),
            "api": api_command(api_port),
        }
        for name, command in commands.items():
            clients.append(Child(name, command, environment, logs / f"{name}.log"))
        children = [code.child, *clients]
        base = f"http://{HOST}:{api_port}"
        wait_for(children[-1], base)  # an address that is printed can be opened
        console.print(f"Console       [bold]{base}/[/]  (subscribe, read, steer: in a browser)")
        if not trials_of(deployment.database, settings.organisation):
            console.print(NO_DATA)
        console.print(f"Dagster's UI  [bold]http://{HOST}:{ui_port}[/]")
        console.print(f"API           [bold]{base}[/]  (its document: /openapi.json)")
        console.print(f"Logs          {logs}")
        console.print("Ctrl-C stops everything; the data stays.")
        try:
            while True:
                keep_running(deployment, children, console)
                time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            console.print("stopping")


def keep_running(deployment: Deployment, children: Sequence[Child], console: Console) -> None:
    """Start again what has ended since the last look: the home's servers, then the children.

    Raises SettingsError where that does not help.
    """
    dead = [one.name for one in servers.status(deployment.given) if one.embedded and not one.running]
    if dead:
        console.print(f"{' and '.join(dead)} ended and is started again")
        if servers.start(deployment.given) != deployment.endpoints:
            raise SettingsError("the embedded servers came back on other ports; start this command again")
    for child in children:
        code = child.keep()
        if code is not None:
            console.print(f"{child.name} ended with code {code} and is started again; its log is {child.log}")
