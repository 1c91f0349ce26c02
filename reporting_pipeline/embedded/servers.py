"""Start, find and stop the embedded servers of a home; what the CLI and the tests call.

Servers run detached under `settings.home / "embedded"` and stay until `stop`: their data, ports and
keys outlive a stop, a crash and a reboot. What the environment provides (MONGODB_URI, S3_ENDPOINT_URL
or AWS credentials) is used as it is and nothing is started for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import SecretStr

from reporting_pipeline.embedded import seaweed, secantus
from reporting_pipeline.embedded.errors import HomeLocked, ServerFailed
from reporting_pipeline.embedded.processes import (
    ADDRESS_TAKEN,
    HUNG_SECONDS,
    LINGER_SECONDS,
    Launch,
    Record,
    answers,
    free_ports,
    launch,
    ports_are_free,
    prepare_folder,
    program_path,
    read_record,
    stop_process,
)
from reporting_pipeline.settings import Settings

LOCK_SECONDS = 180.0  # as long as a start may take
PORT_ATTEMPTS = 3  # another process can take a port between our look and the server's bind


@dataclass(frozen=True)
class Endpoints:
    """Where MongoDB and S3 are. None: not embedded and not set, left to the client's own defaults."""

    mongodb_uri: str = field(repr=False)  # may carry a password
    s3_endpoint_url: str | None
    s3_access_key_id: str | None
    s3_secret_access_key: str | None = field(repr=False)
    s3_region: str = seaweed.REGION

    def as_environment(self) -> dict[str, str]:
        """The variables that point a child process (Dagster's, uvicorn's) to the same servers."""
        variables = {
            "MONGODB_URI": self.mongodb_uri,
            "S3_ENDPOINT_URL": self.s3_endpoint_url,
            "AWS_ACCESS_KEY_ID": self.s3_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.s3_secret_access_key,
            "AWS_REGION": self.s3_region,
        }
        return {name: value for name, value in variables.items() if value}

    def applied_to(self, settings: Settings) -> Settings:
        """The same deployment, pointed to these servers."""
        secret = self.s3_secret_access_key
        return settings.model_copy(
            update={
                "mongodb_uri": SecretStr(self.mongodb_uri),
                "s3_endpoint_url": self.s3_endpoint_url,
                "s3_access_key_id": self.s3_access_key_id,
                "s3_secret_access_key": SecretStr(secret) if secret else None,
                "s3_region": self.s3_region,
            }
        )


@dataclass(frozen=True)
class ServerStatus:
    """One server as it is now."""

    name: str  # "mongodb" or "s3"
    embedded: bool  # False: the environment names one, nothing of ours runs
    running: bool  # our process is alive; for a server that is not embedded, unknown and False
    healthy: bool  # and answers
    pid: int | None
    address: str | None  # URI without credentials; None when it never ran or is not ours
    log: Path | None


@dataclass(frozen=True)
class _Server:
    name: str
    program: str
    port_names: tuple[str, ...]
    plan: Callable[[Path, dict[str, int]], Launch]
    healthy: Callable[[dict[str, int]], bool]
    address: Callable[[dict[str, int]], str]
    start_seconds: float
    grace_seconds: float


def _servers(*, test_commands: bool = False) -> tuple[_Server, _Server]:
    mongodb = _Server(
        name=secantus.NAME,
        program=secantus.PROGRAM,
        port_names=secantus.PORTS,
        plan=lambda folder, ports: secantus.plan(folder, ports, test_commands=test_commands),
        healthy=secantus.healthy,
        address=secantus.uri,
        start_seconds=secantus.START_SECONDS,
        grace_seconds=secantus.GRACE_SECONDS,
    )
    s3 = _Server(
        name=seaweed.NAME,
        program=seaweed.PROGRAM,
        port_names=seaweed.PORTS,
        plan=seaweed.plan,
        healthy=seaweed.healthy,
        address=seaweed.endpoint_url,
        start_seconds=seaweed.START_SECONDS,
        grace_seconds=seaweed.GRACE_SECONDS,
    )
    return mongodb, s3


def start(
    settings: Settings,
    *,
    lock_seconds: float = LOCK_SECONDS,
    hung_seconds: float = HUNG_SECONDS,
    test_commands: bool = False,
) -> Endpoints:
    """Start what is missing, find what runs, and say where it is.

    Waits at most `lock_seconds` for another command on the same home. A server that is slow to answer is
    waited for and left alone; only one that neither answers nor computes for `hung_seconds` is replaced.
    `test_commands` lets tests inject faults into MongoDB (configureFailPoint). Raises an EmbeddedError
    that says what to do.
    """
    mongodb, s3 = _servers(test_commands=test_commands)
    wanted = [server for server in (mongodb, s3) if not _provided(server, settings)]
    for server in wanted:
        program_path(server.program)
    ports: dict[str, dict[str, int]] = {}
    if wanted:
        with _locked(settings, lock_seconds):
            ports = {server.name: _find_or_launch(server, settings, hung_seconds) for server in wanted}
    return _endpoints(settings, ports.get(mongodb.name), ports.get(s3.name))


def status(settings: Settings) -> list[ServerStatus]:
    """Both servers as they are now; looks and touches nothing."""
    return [_status(server, settings) for server in _servers()]


def stop(settings: Settings, *, lock_seconds: float = LOCK_SECONDS) -> list[str]:
    """Stop the servers of this home; the names of those that were running. Their data stays."""
    if not _home(settings).is_dir():
        return []
    servers = _servers()
    # At once: each takes its seconds to say good-bye.
    with _locked(settings, lock_seconds), ThreadPoolExecutor(len(servers)) as pool:
        stopped = pool.map(lambda server: _stop(server, settings), servers)
        return [server.name for server, was_running in zip(servers, stopped, strict=True) if was_running]


@contextmanager
def running(settings: Settings, *, test_commands: bool = False) -> Iterator[Endpoints]:
    """The servers for the length of a block; stopped at its end whatever happens in it."""
    try:
        yield start(settings, test_commands=test_commands)
    finally:
        stop(settings)


def _home(settings: Settings) -> Path:
    return settings.home / "embedded"


def _provided(server: _Server, settings: Settings) -> bool:
    """Does the environment already name such a server?"""
    if server.name == secantus.NAME:
        return settings.mongodb_uri is not None
    return settings.s3_endpoint_url is not None or settings.s3_access_key_id is not None


@contextmanager
def _locked(settings: Settings, seconds: float) -> Iterator[None]:
    """One starter or stopper of a home at a time."""
    home = _home(settings)
    prepare_folder(home)
    try:
        with FileLock(home / "lock", timeout=seconds, mode=0o600):
            yield
    except Timeout:
        raise HomeLocked(
            f"{home} has been locked by another start or stop for {seconds:g} s: wait for it to end, "
            "or set REPORTING_HOME to a home of your own."
        ) from None


def _find_or_launch(server: _Server, settings: Settings, hung_seconds: float) -> dict[str, int]:
    """The ports of the running server, which is started when it is not there or hangs."""
    folder = _home(settings) / server.name
    prepare_folder(folder)
    record = read_record(folder)
    if record is not None and record.process() is not None:
        ports = dict(record.ports)
        if answers(record, lambda: server.healthy(ports), hung_seconds):
            return ports
        stop_process(record, server.grace_seconds)
    return _launch(server, folder, record)


def _launch(server: _Server, folder: Path, before: Record | None) -> dict[str, int]:
    """Launch on the ports of last time, so that addresses stay; on new ones when they are taken."""
    for attempt in range(1, PORT_ATTEMPTS + 1):
        ports = _ports(server, before if attempt == 1 else None)
        try:
            launch(
                folder,
                server.plan(folder, ports),
                lambda ports=ports: server.healthy(ports),  # type: ignore[misc]
                server.start_seconds,
            )
        except ServerFailed as error:
            if attempt == PORT_ATTEMPTS or ADDRESS_TAKEN not in str(error).lower():
                raise
        else:
            return ports
    raise AssertionError("unreachable: the last attempt returns or raises")


def _ports(server: _Server, before: Record | None) -> dict[str, int]:
    if (
        before is not None
        and set(before.ports) == set(server.port_names)
        and ports_are_free(before.ports, LINGER_SECONDS)
    ):
        return dict(before.ports)
    return dict(zip(server.port_names, free_ports(len(server.port_names)), strict=True))


def _endpoints(settings: Settings, mongodb: dict[str, int] | None, s3: dict[str, int] | None) -> Endpoints:
    given_uri, given_secret = settings.mongodb_uri, settings.s3_secret_access_key
    uri = secantus.uri(mongodb) if mongodb else given_uri.get_secret_value() if given_uri else ""
    if s3 is None:
        return Endpoints(
            uri,
            settings.s3_endpoint_url,
            settings.s3_access_key_id,
            given_secret.get_secret_value() if given_secret else None,
            settings.s3_region,
        )
    keys = seaweed.keys(_home(settings) / seaweed.NAME)
    return Endpoints(uri, seaweed.endpoint_url(s3), keys.access_key_id, keys.secret_access_key)


def _status(server: _Server, settings: Settings) -> ServerStatus:
    if _provided(server, settings):
        return ServerStatus(server.name, False, False, False, None, None, None)
    folder = _home(settings) / server.name
    record = read_record(folder)
    process = record.process() if record else None
    log = folder / f"{server.name}.log"
    return ServerStatus(
        name=server.name,
        embedded=True,
        running=process is not None,
        healthy=process is not None and record is not None and server.healthy(dict(record.ports)),
        pid=process.pid if process else None,
        address=server.address(dict(record.ports)) if record else None,
        log=log if log.exists() else None,
    )


def _stop(server: _Server, settings: Settings) -> bool:
    record = read_record(_home(settings) / server.name)
    if record is None or not stop_process(record, server.grace_seconds):
        return False
    if server.name == seaweed.NAME:
        seaweed.remove_sockets(dict(record.ports))
    return True
