"""The Celery app of the workers: `celery --app reporting_worker --workdir deploy/celery worker`.

It is the run launcher's own app, so that those who send runs and those who take them read one
configuration, the dagster.yaml in DAGSTER_HOME. No setting belongs here.
"""

from __future__ import annotations

from celery import Celery
from dagster import DagsterInstance
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

# Imported before the worker forks: every process it starts has the pipeline's libraries at once.
import reporting_pipeline.definitions  # noqa: F401


def worker_app() -> Celery:
    """The launcher's app with the two tasks it sends. Raises RuntimeError for another run launcher."""
    with DagsterInstance.get() as instance:
        launcher = instance.run_launcher
        if not isinstance(launcher, CeleryRunLauncher):
            raise RuntimeError(
                f"the dagster.yaml in DAGSTER_HOME launches runs with {type(launcher).__name__}; "
                "workers need the one of deploy/celery"
            )
        created = launcher.celery
    create_execute_job_task(created)
    create_resume_job_task(created)
    return created


app = worker_app()
