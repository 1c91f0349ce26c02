"""Dagster's processes: one code server that has the definitions loaded, and the daemon and UI beside it.

Without a code server of their own, the daemon and the UI each start one and the daemon replaces its own
every minute; loading the definitions takes some five seconds of a core each time.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reporting_pipeline.cli.local.processes import HOST, Child, program, running
from reporting_pipeline.settings import SettingsError

DEFINITIONS = "reporting_pipeline.definitions"
LOCATION = "reporting_pipeline"  # as in workspace.yaml: the switches of sensors are kept under it
#: What Dagster's code server calls itself when asked for its health.
_SERVICE = "DagsterApi"
START_SECONDS = 120.0


@dataclass(frozen=True)
class CodeServer:
    """A code server, and the workspace file that names it."""

    child: Child
    workspace: Path
    socket: Path

    def wait_until_loaded(self) -> None:
        """Return when it has loaded the definitions. Raises SettingsError when it does not in time."""
        _wait_until_loaded(self.child, self.socket)

    def daemon_command(self) -> list[str]:
        return [program("dagster-daemon"), "run", "-w", str(self.workspace)]

    def webserver_command(self, port: int) -> list[str]:
        return [program("dagster-webserver"), "-h", HOST, "-p", str(port), "-w", str(self.workspace)]


@contextmanager
def code_server(environment: Mapping[str, str], logs: Path) -> Iterator[CodeServer]:
    """Run a code server that has loaded, for the length of a block. Raises SettingsError when it does not."""
    with starting_code_server(environment, logs) as started:
        started.wait_until_loaded()
        yield started


@contextmanager
def starting_code_server(environment: Mapping[str, str], logs: Path) -> Iterator[CodeServer]:
    """Run a code server for the length of a block, which begins while it still loads.

    It listens on a socket in a folder that only this user can enter: whoever reaches it can run code.
    """
    with tempfile.TemporaryDirectory(prefix="reporting-") as name:
        socket, workspace = Path(name) / "code.sock", Path(name) / "workspace.yaml"
        named = {"socket": str(socket), "location_name": LOCATION}
        workspace.write_text(json.dumps({"load_from": [{"grpc_server": named}]}))  # JSON is YAML, too
        command = [program("dagster"), "code-server", "start", "-s", str(socket), "-m", DEFINITIONS]
        with running("code-server", command, dict(environment), logs / "code-server.log") as child:
            yield CodeServer(child, workspace, socket)


def _wait_until_loaded(child: Child, socket: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < deadline:
            child.check()
            try:
                answer = health.Check(health_pb2.HealthCheckRequest(service=_SERVICE), timeout=2)
            except grpc.RpcError:
                time.sleep(0.2)
                continue
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            time.sleep(0.2)
    raise SettingsError(f"Dagster's code server did not load within {START_SECONDS:.0f} s; see {child.log}")
