"""Fixtures that every test may ask for: the real servers, and a database and a bucket of one's own.

The embedded servers start once per session (once per xdist worker) at the first test that asks, in a
temporary home, and are stopped and forgotten at the end, also when the session is killed. Isolation
is by name: each test has a database and a bucket that no other uses meanwhile. Nothing here knows
the product beyond its settings and its stores.
"""

from __future__ import annotations

import secrets
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import boto3
import hypothesis
import psutil
import pytest

from reporting_pipeline.embedded import servers
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings, load_settings
from reporting_pipeline.stores import audit
from reporting_pipeline.stores.mongo import Database, mongo_client, open_database
from reporting_pipeline.stores.objects import CLIENT_CONFIG, ObjectStore, connection_arguments
from reporting_pipeline_tests import postgres
from reporting_pipeline_tests.guardian import guarding
from reporting_pipeline_tests.installation import Installations
from reporting_pipeline_tests.process_state import process_of_its_own
from reporting_pipeline_tests.spare_databases import SpareDatabases

#: A worker, its servers and the processes that one test starts, in bytes.
MEMORY_OF_A_WORKER = 3 * 1024**3
#: More would wait for the longest module.
MOST_WORKERS = 8


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt("terminated")


def pytest_configure() -> None:
    """A terminated session tears its fixtures down as Ctrl-C does; hypothesis holds no time against code."""
    signal.signal(signal.SIGTERM, _interrupt)
    # No example is too slow: how long one takes says something of the machine, nothing of the code.
    hypothesis.settings.register_profile(
        "reporting",
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
        print_blob=True,
    )
    hypothesis.settings.load_profile("reporting")
    # As the processes of a test deployment chain, whatever this one's environment is.
    audit.use_keys(audit.audit_keys(load_settings({"REPORTING_ENVIRONMENT": "test"})))


@pytest.hookimpl(optionalhook=True)  # where xdist is not installed nobody asks
def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: two for each core that this process may use, as many as memory holds, two at least.

    Half of its time a worker waits: for a server, a process that it started, an end that it wants to see.
    """
    cores = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else 2
    held = psutil.virtual_memory().available // MEMORY_OF_A_WORKER
    return max(2, min(2 * cores, held, MOST_WORKERS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules of long tests first: at the end no worker waits for the other's."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    whole = Path(__file__).parent / "end_to_end"
    items.sort(key=lambda item: (item.path.parent != whole, item.path not in slow))


@pytest.fixture(autouse=True, scope="module")
def _process_of_its_module() -> Iterator[None]:
    """The same of what a fixture of a whole module does, as an API that masks what its loggers write."""
    with process_of_its_own():
        yield


@pytest.fixture(autouse=True)
def _process_of_its_own() -> Iterator[None]:
    """No test finds what another did to their process; first of all fixtures, so that it ends last."""
    with process_of_its_own():
        yield


@pytest.fixture(scope="session")
def _servers_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="reporting-tests-") as home:
        yield Path(home)


@pytest.fixture(scope="session")
def servers_home(_servers_home: Path, endpoints: Endpoints) -> Path:
    """Where each of the running servers has its folder, by its name."""
    return _servers_home / "embedded"


@pytest.fixture(scope="session")
def endpoints(_servers_home: Path) -> Iterator[Endpoints]:
    """The addresses and keys of real MongoDB and S3 servers, fault injection allowed."""
    local = load_settings({"REPORTING_ENVIRONMENT": "test", "REPORTING_HOME": str(_servers_home)})
    with guarding(_servers_home), servers.running(local, test_commands=True) as started:
        yield started
        mongo_client(started.mongodb_uri).close()
        mongo_client.cache_clear()


@pytest.fixture(scope="session")
def _spare_databases() -> SpareDatabases:
    return SpareDatabases()


@pytest.fixture
def settings(
    endpoints: Endpoints, tmp_path: Path, _spare_databases: SpareDatabases, request: pytest.FixtureRequest
) -> Settings:
    """A deployment on the real servers, with a home, a database name and a bucket name of its own."""
    mark = secrets.token_hex(6)
    # Without `database` nobody gives it back.
    name = _spare_databases.take() if "database" in request.fixturenames else f"test_{mark}"
    return load_settings(
        {
            "REPORTING_ENVIRONMENT": "test",
            "REPORTING_WATCH_SECONDS": "0",  # a tick that is turned by hand does not stay
            "REPORTING_HOME": str(tmp_path / "home"),
            "REPORTING_MONGODB_DATABASE": name,
            "REPORTING_S3_BUCKET": f"test-{mark}",
            **endpoints.as_environment(),
        }
    )


@pytest.fixture
def database(settings: Settings, _spare_databases: SpareDatabases) -> Iterator[Database]:
    """An empty database with every index in place: the one that `settings` names; emptied afterwards."""
    assert settings.mongodb_uri is not None
    opened = open_database(settings.mongodb_uri.get_secret_value(), settings.mongodb_database)
    _spare_databases.note(opened)
    yield opened
    _spare_databases.give_back(opened)


@pytest.fixture(scope="session")
def _s3_client(endpoints: Endpoints) -> Iterator[object]:
    settings = load_settings({"REPORTING_ENVIRONMENT": "test", **endpoints.as_environment()})
    client = boto3.client("s3", config=CLIENT_CONFIG, **connection_arguments(settings))
    yield client
    client.close()


@pytest.fixture
def objects(settings: Settings, _s3_client: object) -> Iterator[ObjectStore]:
    """An empty bucket, encrypted: the one that `settings` names; deleted afterwards."""
    store = ObjectStore(_s3_client, settings.s3_bucket, settings.s3_encryption)  # type: ignore[arg-type]
    store.ensure_bucket()
    yield store
    store.client.delete_bucket(Bucket=store.bucket)  # the embedded server deletes what is in it, too


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[str]:
    """A real PostgreSQL of this session: `postgresql+psycopg2://…/postgres`, in which no test writes."""
    with postgres.running() as url:
        yield url


@pytest.fixture
def postgres_url(_postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL database of this test's own: `postgresql+psycopg2://…/test_…`."""
    with postgres.new_database(_postgres_server) as url:
        yield url


@pytest.fixture
def another_postgres_url(_postgres_server: str) -> Iterator[str]:
    """A second one, for a test that loses its first."""
    with postgres.new_database(_postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def installations(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Installations:
    """The product's wheel, and environments with it: each made once for all workers."""
    own = tmp_path_factory.getbasetemp()
    return Installations(own.parent if hasattr(request.config, "workerinput") else own)
