"""Every process of a deployment, by the very command of its file, as nobody on a tree that it cannot write.

Compose's processes make an edition together; the chart's differ from them in their workers and jobs. Ports
and folders of the image are replaced by the test's own. `pytest -s` prints what memory each process took.
"""

from __future__ import annotations

import base64
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
import pytest
import requests
import yaml

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.embedded.processes import HOST, free_ports
from reporting_pipeline.settings import Settings
from reporting_pipeline.stores.editions import get_edition, open_edition
from reporting_pipeline.stores.mongo import Database
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.deploy import artefacts, redis_server
from reporting_pipeline_tests.deploy.jail import as_nobody, serving_as_nobody
from reporting_pipeline_tests.end_to_end.deployment import recipients
from reporting_pipeline_tests.end_to_end.test_killed_run import fill
from reporting_pipeline_tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.slow

COMMANDS = artefacts.commands()
READERS = 6


class Machine:
    """The image's commands with this test's ports and folders, run without rights; what memory they take."""

    def __init__(self, environment: Mapping[str, str], jail: Path, logs: Path) -> None:
        self.environment = dict(environment)
        self.jail, self.logs = jail, logs
        self.ports = dict(zip(("8000", "4000", "3000", "read"), free_ports(4), strict=True))
        self.instance = Path(environment["DAGSTER_HOME"])
        server = {"host": HOST, "port": self.ports["4000"], "location_name": "reporting_pipeline"}
        (self.instance / "workspace.yaml").write_text(
            yaml.safe_dump({"load_from": [{"grpc_server": server}]})
        )
        self.processes: dict[str, int] = {}
        self.memory: dict[str, float] = {}

    def command(self, where: str) -> list[str]:
        port = self.ports["read"] if "-read" in where else self.ports["3000"]
        ours = {
            "8000": str(self.ports["8000"]),
            "4000": str(self.ports["4000"]),
            "3000": str(port),
            "/opt/dagster": str(self.instance),
            "/opt/worker": str(artefacts.DEPLOY / "celery"),
            "s3://backups/reporting": str(self.jail / "backups"),
        }
        known = re.compile("|".join(map(re.escape, ours)))
        return [known.sub(lambda found: ours[found[0]], word) for word in COMMANDS[where]]

    def does(self, where: str) -> str:
        done = as_nobody(self.command(where), self.environment, self.jail)
        assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"
        return done.stdout

    def is_well(self, where: str) -> bool:
        return as_nobody(self.command(where), self.environment, self.jail).returncode == 0

    def starts(self, stack: ExitStack, *wheres: str) -> None:
        for where in wheres:
            log = self.logs / f"{where.replace('/', '_')}.log"
            process = serving_as_nobody(self.command(where), self.environment, self.jail, log)
            self.processes[where] = stack.enter_context(process).pid

    def looks_at_the_memory(self) -> None:
        """Notes the most that each process with its children has taken so far, in MB."""
        for where, pid in self.processes.items():
            first = psutil.Process(pid)
            taken = sum(_resident(one) for one in (first, *first.children(recursive=True)))
            self.memory[where] = max(self.memory.get(where, 0.0), taken)

    def answers(self, port: str, path: str) -> bool:
        try:
            return requests.get(f"http://{HOST}:{self.ports[port]}{path}", timeout=PATIENCE).ok
        except requests.ConnectionError:
            return False


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


@pytest.fixture
def machine(deployment: dict[str, str], jail: Path, tmp_path: Path) -> Iterator[Machine]:
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    more = {"REPORTING_BACKUP_KEY": key, "REPORTING_SENSOR_INTERVAL_SECONDS": "1"}
    made = Machine({**deployment, **more}, jail, tmp_path)
    yield made
    for where, taken in sorted(made.memory.items()):
        sys.stdout.write(f"{where}: {taken:.0f} MB\n")


def test_all_of_compose_makes_an_edition_and_the_jobs_of_the_chart_follow_it(
    machine: Machine, settings: Settings, database: Database, objects: ObjectStore
) -> None:
    now = datetime.now(UTC)
    period = Period.last_closed(Cadence.WEEKLY, now, settings.timezone)
    machine.does("compose/migrate")
    with ExitStack() as stack:
        machine.starts(stack, "compose/api", "compose/code-server")
        wait_until("the API is ready", partial(machine.answers, "8000", "/readyz"), every=0.2)
        wait_until("the code server serves", lambda: machine.is_well("compose/code-server/healthcheck"))
        machine.starts(stack, "compose/daemon", "compose/webserver", "compose/webserver-read")
        for port in ("3000", "read"):
            wait_until("the UI answers", partial(machine.answers, port, "/server_info"), every=0.2)
        fill(database, objects, period, now, READERS)
        edition = open_edition(database, Cadence.WEEKLY, period.key, "schedule", now).id

        def is_complete() -> bool:
            machine.looks_at_the_memory()
            return get_edition(database, edition).state.value == "completed"

        wait_until("the edition completes", is_complete, every=0.2)
        for probe in ("compose/api/healthcheck", "compose/daemon/healthcheck"):
            wait_until(f"{probe} is well", partial(machine.is_well, probe))
        for name in ("webserver", "webserver-read"):
            assert machine.is_well(f"Deployment/rp-{name}/livenessProbe")
    assert recipients(machine.jail / "outbox") == [f"reader{n:02}@example.org" for n in range(READERS)]
    machine.does("CronJob/rp-backup")
    assert "stood again" in machine.does("CronJob/rp-restore-drill")
    assert "nothing is older" in machine.does("CronJob/rp-backup-prune")
    assert "deleted" in machine.does("CronJob/rp-retention")


def test_the_workers_of_the_chart_stand_and_take_work(machine: Machine, tmp_path: Path) -> None:
    (machine.instance / "dagster.yaml").write_text((artefacts.DEPLOY / "celery/dagster.yaml").read_text())
    stages = ("fetch", "aggregate", "render", "notify")
    with redis_server.running(tmp_path / "redis") as broker, ExitStack() as stack:
        machine.environment |= {"CELERY_BROKER_URL": broker, "CELERY_RESULT_BACKEND": broker}
        machine.starts(stack, *(f"Deployment/rp-{stage}-workers" for stage in stages))
        ask = ["celery", "--app", "reporting_worker", "--workdir", str(artefacts.DEPLOY / "celery")]
        ask += ["inspect", "active_queues", "--timeout", "10"]

        def all_listen() -> bool:
            said = as_nobody(ask, machine.environment, machine.jail).stdout
            return all(f"{stage}@" in said for stage in stages)

        wait_until("all four listen", all_listen)
        machine.looks_at_the_memory()
