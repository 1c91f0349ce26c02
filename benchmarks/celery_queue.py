"""One edition over standing Celery workers, as docs/operations.md scales out, on this machine.

Dagster's storages lie in a Postgres of its own, its runs go to two Celery workers over a queue in Redis, by
the `dagster.yaml` of `deploy/celery`. Everything else is what `benchmarks.edition` measures by the launcher
of one machine: the same trials, the same subscriptions, the same embedded stores.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from reporting_pipeline.automation.tags import PRIORITIES
from reporting_pipeline.cli.deploy_files import deploy_file
from reporting_pipeline.cli.local.home import Deployment
from reporting_pipeline.cli.local.processes import Child, program, running
from reporting_pipeline_tests import postgres
from reporting_pipeline_tests.deploy import redis_server

#: Each takes runs of every stage, as many at a time as an edition has under way of two stages on two cores.
WORKERS, RUNS_EACH = 2, 2
#: In the command lines of the workers and their processes.
WORKER_PROCESS = "reporting_worker"
READY = "ready."
START_SECONDS = 180.0


@dataclass(frozen=True)
class CeleryQueue:
    """What the daemon is started with besides, and the workers, which are ready."""

    environment: dict[str, str]
    workers: Sequence[Child]


@contextmanager
def celery_queue(deployment: Deployment) -> Iterator[CeleryQueue]:
    """Replace the home's `dagster.yaml`; run Postgres, Redis and the workers for the length of a block."""
    shutil.copyfile(deploy_file("celery/dagster.yaml"), deployment.dagster_home / "dagster.yaml")
    with (
        postgres.running() as url,
        redis_server.running(deployment.settings.home / "celery-queue") as broker,
        ExitStack() as stack,
    ):
        named = _variables(deployment, url, broker)
        os.environ.update(named)  # for this process's own look at the instance
        workers = [stack.enter_context(_worker(deployment, named, number)) for number in range(WORKERS)]
        for worker in workers:
            _wait_until_ready(worker)
        yield CeleryQueue(named, workers)


def _variables(deployment: Deployment, url: str, broker: str) -> dict[str, str]:
    return {
        **postgres.postgres_variables(url),
        "REPORTING_S3_BUCKET": deployment.settings.s3_bucket,
        "AWS_ENDPOINT_URL_S3": str(deployment.endpoints.s3_endpoint_url),
        **deployment.endpoints.as_environment(),
        "CELERY_BROKER_URL": broker,
        "CELERY_RESULT_BACKEND": broker,
    }


@contextmanager
def _worker(deployment: Deployment, named: dict[str, str], number: int) -> Iterator[Child]:
    """The command of docs/operations.md, for all stages at once."""
    app = deploy_file("celery/reporting_worker.py").parent
    name = f"worker-{number}"
    command = [
        *(program("celery"), "--app", "reporting_worker", "--workdir", str(app), "worker"),
        *("--queues", ",".join(PRIORITIES), "--concurrency", str(RUNS_EACH)),
        *("--hostname", f"{name}@%h", "--loglevel", "INFO"),
    ]
    log = deployment.settings.home / "logs" / f"{name}.log"
    with running(name, command, deployment.environment(**named), log) as child:
        yield child


def _wait_until_ready(worker: Child) -> None:
    deadline = time.monotonic() + START_SECONDS
    while READY not in worker.log.read_text(errors="replace"):
        worker.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{worker.name} was not ready within {START_SECONDS:.0f} s; see {worker.log}")
        time.sleep(0.2)
