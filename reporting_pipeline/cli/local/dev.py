"""`reporting-pipeline dev`: everything of a deployment on this machine, until Ctrl-C."""

from __future__ import annotations

import time
from contextlib import ExitStack

from rich.console import Console

from reporting_pipeline.cli.local.dagster_processes import code_server
from reporting_pipeline.cli.local.home import running_deployment
from reporting_pipeline.cli.local.processes import HOST, api_command, free_port, running
from reporting_pipeline.settings import Settings


def run(settings: Settings, port: int, console: Console) -> None:
    """Start servers, Dagster's UI and daemon, and the API; stop all of it at the end."""
    ui_port = free_port(port)
    api_port = free_port(8000)
    with ExitStack() as stack:
        deployment = stack.enter_context(running_deployment(settings))
        environment = deployment.environment(REPORTING_PUBLIC_URL=f"http://{HOST}:{api_port}")
        logs = deployment.settings.home / "logs"
        code = stack.enter_context(code_server(environment, logs))
        commands = {
            "daemon": code.daemon_command(),
            "webserver": code.webserver_command(ui_port),
            "api": api_command(api_port),
        }
        children = [code.child] + [
            stack.enter_context(running(name, command, environment, logs / f"{name}.log"))
            for name, command in commands.items()
        ]
        console.print(
            f"Console       [bold]http://{HOST}:{api_port}/[/]  (subscribe, read, steer: in a browser)"
        )
        console.print(f"Dagster's UI  [bold]http://{HOST}:{ui_port}[/]")
        console.print(f"API           [bold]http://{HOST}:{api_port}[/]  (its document: /openapi.json)")
        console.print(f"Logs          {logs}")
        console.print("Ctrl-C stops everything; the data stays.")
        try:
            while True:
                for child in children:
                    child.check()
                time.sleep(1)
        except KeyboardInterrupt:
            console.print("stopping")
