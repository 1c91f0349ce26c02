"""`reporting-pipeline dev`: everything of a deployment on this machine, until Ctrl-C."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

from rich.console import Console

from reporting_pipeline.cli.deployment import open_deployment
from reporting_pipeline.cli.processes import DEFINITIONS, program, running
from reporting_pipeline.embedded import servers
from reporting_pipeline.settings import Settings

HOST = "127.0.0.1"
API_APP = "reporting_pipeline.api.app:app_from_environment"


def run(settings: Settings, port: int, console: Console) -> None:
    """Start servers, Dagster's UI and daemon, and the API; stop all of it at the end."""
    ui_port = _free_port(port)
    api_port = _free_port(8000)
    with ExitStack() as stack:
        deployment = open_deployment(settings)
        stack.callback(servers.stop, settings)
        environment = deployment.environment(REPORTING_PUBLIC_URL=f"http://{HOST}:{api_port}")
        logs = deployment.settings.home / "logs"
        children = [
            stack.enter_context(running(name, command, environment, logs / f"{name}.log"))
            for name, command in {
                "daemon": [program("dagster-daemon"), "run", "-m", DEFINITIONS],
                "webserver": [
                    program("dagster-webserver"),
                    "-h",
                    HOST,
                    "-p",
                    str(ui_port),
                    "-m",
                    DEFINITIONS,
                ],
                "api": [
                    program("uvicorn"),
                    API_APP,
                    "--factory",
                    "--host",
                    HOST,
                    "--port",
                    str(api_port),
                    "--no-server-header",
                ],
            }.items()
        ]
        console.print(f"Dagster's UI  [bold]http://{HOST}:{ui_port}[/]")
        console.print(f"API           [bold]http://{HOST}:{api_port}/docs[/]")
        console.print(f"Logs          {logs}")
        console.print("Ctrl-C stops everything; the data stays.")
        try:
            while True:
                for child in children:
                    child.check()
                time.sleep(1)
        except KeyboardInterrupt:
            console.print("stopping")


def _free_port(wanted: int) -> int:
    """`wanted`, or the next one that nobody listens on."""
    for port in range(wanted, wanted + 50):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) != 0:
                return port
    raise ValueError(f"no free port between {wanted} and {wanted + 49}; give another with --port")
