"""The code server of a deployment: one a port, ended by SIGTERM while somebody listens to it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from dagster._grpc.client import DagsterGrpcClient
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reporting_pipeline.cli.operate.code_server import _port_of_ones_own
from reporting_pipeline.embedded.processes import HOST, free_ports, ports_are_free
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import SettingsError, child_environment
from reporting_pipeline_tests.waiting import PATIENCE, wait_until


@contextmanager
def serving(port: int, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    program = Path(sys.executable).parent / "reporting-pipeline"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(program), "code-server", "-p", str(port)], env=environment, stdout=output, stderr=output
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE)


def is_loaded(port: int) -> bool:
    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        try:
            request = health_pb2.HealthCheckRequest(service="DagsterApi")
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_of_two_that_are_started_at_once_one_has_the_port_from_the_look_on() -> None:
    """Dagster binds seconds later, when it has loaded, as the last socket here does."""
    (port,) = free_ports(1)
    with _port_of_ones_own(HOST, port):
        with pytest.raises(SettingsError, match="another code server may still serve there"):
            _port_of_ones_own(HOST, port).__enter__()
        with socket.socket() as dagsters:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                dagsters.setsockopt(socket.SOL_SOCKET, option, 1)
            dagsters.bind((HOST, port))
            dagsters.listen(1)
            with pytest.raises(SettingsError, match="another code server may still serve there"):
                _port_of_ones_own(HOST, port).__enter__()
            for _ in range(20):  # each connection comes to who listens
                with socket.create_connection((HOST, port), PATIENCE), dagsters.accept()[0]:
                    pass
    with _port_of_ones_own(HOST, port):
        pass


@pytest.mark.slow
def test_a_port_is_ones_own_and_sigterm_stops_it(endpoints: Endpoints, tmp_path: Path) -> None:
    (tmp_path / "dagster").mkdir()
    environment = child_environment(
        {
            "REPORTING_ENVIRONMENT": "test",
            "REPORTING_HOME": str(tmp_path),
            "DAGSTER_HOME": str(tmp_path / "dagster"),
            "COLUMNS": "300",
            **endpoints.as_environment(),
        }
    )
    (port,) = free_ports(1)
    with serving(port, environment, tmp_path / "first.log") as first:
        wait_until("it has loaded", lambda: is_loaded(port), every=0.2)
        with serving(port, environment, tmp_path / "second.log") as second:
            assert second.wait(PATIENCE) == 1
        assert "another code server may still serve there" in (tmp_path / "second.log").read_text()

        client = DagsterGrpcClient(host=HOST, port=port)
        assert client.ping("still here")["echo"] == "still here"
        family = psutil.Process(first.pid).children(recursive=True)
        first.send_signal(signal.SIGTERM)
        assert first.wait(PATIENCE) == 0
    wait_until("all of its processes have ended", lambda: not any(map(lives, family)), every=0.2)
    wait_until("nobody listens any more", lambda: ports_are_free({"": port}), every=0.2)
    with serving(port, {**environment, "REPORTING_LOG_FORMAT": "json"}, tmp_path / "third.log") as third:
        wait_until("the port is free for the next one", lambda: is_loaded(port), every=0.2)
        third.kill()
        wait_until("nobody serves for who was killed", lambda: ports_are_free({"": port}), every=0.2)
    lines = (tmp_path / "third.log").read_text().splitlines()
    told = [json.loads(line)["event"] for line in lines if "Started Dagster code server" in line]
    assert len(told) == 1, "once the definitions are loaded a line is one object, and said once"
