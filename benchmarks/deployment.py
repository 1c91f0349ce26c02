"""A deployment of a benchmark's own: embedded servers in a temporary home, Dagster and the API over them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from reporting_pipeline.cli.local.dagster_processes import code_server
from reporting_pipeline.cli.local.home import Deployment, open_deployment
from reporting_pipeline.cli.local.processes import HOST, Child, api_command, claim_port, running
from reporting_pipeline.cli.local.visitor import wait_for
from reporting_pipeline.embedded import servers
from reporting_pipeline.settings import Settings, load_settings
from reporting_pipeline.stores.mongo import mongo_client

SENSOR_SECONDS = 5


@contextmanager
def embedded_deployment() -> Iterator[tuple[Settings, Deployment]]:
    """Embedded servers of a temporary home, and Dagster's home beside them."""
    with tempfile.TemporaryDirectory(prefix="reporting-benchmark-") as home:
        local = load_settings({"REPORTING_ENVIRONMENT": "local", "REPORTING_HOME": home})
        with servers.running(local) as endpoints:
            deployment = open_deployment(local)
            # dagster.yaml names its storage by DAGSTER_HOME, for this process's own look at it, too.
            os.environ["DAGSTER_HOME"] = str(deployment.dagster_home)
            yield local, deployment
            mongo_client(endpoints.mongodb_uri).close()
            mongo_client.cache_clear()


@contextmanager
def dagster(
    deployment: Deployment, sensor_seconds: int | None = SENSOR_SECONDS, **settings: str
) -> Iterator[tuple[Child, Child]]:
    """The code server and the daemon; `sensor_seconds` None leaves the deployment's own."""
    if sensor_seconds is not None:
        settings = {"REPORTING_SENSOR_INTERVAL_SECONDS": str(sensor_seconds), **settings}
    environment = deployment.environment(**settings)
    logs = deployment.settings.home / "logs"
    with (
        code_server(environment, logs) as code,
        running("dagster-daemon", code.daemon_command(), environment, logs / "daemon.log") as daemon,
    ):
        yield code.child, daemon


@contextmanager
def api(deployment: Deployment, workers: int, **settings: str) -> Iterator[tuple[str, Child]]:
    """The sidecar; yields its address and its process."""
    with ExitStack() as stack:
        port = claim_port(stack, 8000)
        base = f"http://{HOST}:{port}"
        environment = deployment.environment(REPORTING_PUBLIC_URL=base, **settings)
        command = [*api_command(port), "--workers", str(workers)]
        log = deployment.settings.home / "logs" / "api.log"
        child = stack.enter_context(running("api", command, environment, log))
        wait_for(child, base)
        yield base, child
