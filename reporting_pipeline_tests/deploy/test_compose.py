"""One machine: the compose file is one, nothing stands open, the migration comes first."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from compose_spec import PyCompose

from reporting_pipeline.cli.operate.code_server import GRACE_SECONDS, LEAVE_SECONDS
from reporting_pipeline.embedded.processes import free_ports
from reporting_pipeline_tests.deploy import artefacts
from reporting_pipeline_tests.waiting import PATIENCE

FILE = artefacts.DEPLOY / "compose.yaml"
CADDY = artefacts.DEPLOY / "docker/Caddyfile"
SERVICES: dict[str, dict[str, Any]] = artefacts.compose()["services"]
#: What the linter says and the deployment means: images by tag (digests are the registry's to tell), no
#: limit of CPU (a limit would slow an edition on an idle machine), and Caddy's two ports, open on purpose.
MEANT = {"CL-0019", "CL-0026", "CL-0005"}


def put_in(text: str) -> str:
    """Each `${NAME:-default}` as its default, each `${NAME:?}` as a word."""
    return re.sub(r"\$\{\w+:(?:-([^}]*)|\?)\}", lambda found: found[1] or "given", text)


def test_it_follows_the_specification() -> None:
    """Merges of YAML and variables are put in first: the specification's own model knows neither."""
    written = {name: part for name, part in artefacts.compose().items() if not name.startswith("x-")}
    assert set(PyCompose.from_json(put_in(json.dumps(written))).service_names()) == set(SERVICES)


def test_the_linter_says_nothing_that_is_not_meant() -> None:
    program = Path(sys.executable).parent / "compose-lint"
    done = subprocess.run([program, "check", "--format", "json", FILE], capture_output=True, text=True)
    found = json.loads(done.stdout)
    said = {(one["rule_id"], one["service"]) for one in found["findings"]}
    assert {rule for rule, _ in said} <= MEANT
    assert {service for rule, service in said if rule == "CL-0005"} <= {"caddy"}


def test_only_caddy_is_reached_from_outside() -> None:
    assert [name for name, one in SERVICES.items() if "ports" in one] == ["caddy"]
    assert [name for name, one in SERVICES.items() if "network_mode" in one] == []
    assert [name for name, one in SERVICES.items() if "outside" in one["networks"]] == ["caddy"]


def test_nothing_of_ours_starts_before_the_migration() -> None:
    def waits(name: str) -> bool:
        named = SERVICES[name].get("depends_on", {})
        return "migrate" in named or any(waits(other) for other in named)

    for name in artefacts.own_services():
        assert name == "migrate" or waits(name), name
    assert SERVICES["api"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service


def test_nobody_is_root_but_who_opens_the_ports_below_1024() -> None:
    """An image that begins as root to change its user later needs capabilities that nobody has here."""
    root = [name for name, one in SERVICES.items() if one.get("user", "0").split(":")[0] == "0"]
    assert root == ["caddy"]
    assert SERVICES["caddy"]["cap_add"] == ["NET_BIND_SERVICE"]


def test_every_setting_can_be_given_and_none_that_stands_here_is_lost() -> None:
    """In a file that need not be there; an S3 without storage classes is said to be one."""
    for name, service in artefacts.own_services().items():
        assert service["env_file"] == [{"path": "../settings.env", "required": False}], name
        assert service["environment"]["REPORTING_ARCHIVE_CLASS"] == "none", name


def test_who_is_told_to_end_is_given_the_time_that_it_takes() -> None:
    """Docker kills after ten seconds: a store in the midst of its files, the API in the midst of answers."""
    given = {
        name: int(one["stop_grace_period"].removesuffix("s"))
        for name, one in SERVICES.items()
        if "stop_grace_period" in one
    }
    command = SERVICES["api"]["command"]
    assert given["api"] > int(command[command.index("--timeout-graceful-shutdown") + 1])
    assert given["code-server"] > GRACE_SECONDS + LEAVE_SECONDS
    assert {name for name, seconds in given.items() if seconds >= 60} == {"mongodb", "postgres", "s3"}


def test_no_secret_is_written_down() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"SECRET|PASSWORD|TOKEN|_URI$|SMTP_URL|ACCESS_KEY|KEK", variable):
                assert re.search(r"\$\{\w+:\?\}", value), f"{name}: {variable}"


def test_dagster_s_ui_is_behind_the_sign_in() -> None:
    """Every site that leads to a webserver asks oauth2-proxy before it passes anything on."""
    sites = re.findall(r"^\{\$(\w+)\} \{\n(.*?)^\}", CADDY.read_text(), re.MULTILINE | re.DOTALL)
    leading = {name: body for name, body in sites if "webserver" in body}
    assert set(leading) == {"DAGSTER_HOST", "DAGSTER_READ_HOST"}
    for name, body in leading.items():
        assert re.search(r"forward_auth oauth2-proxy:4180 \{\s+uri /oauth2/auth\?allowed_groups=", body), name
        assert body.index("forward_auth") < body.index("reverse_proxy webserver"), name
    assert "--read-only" in SERVICES["webserver-read"]["command"]
    assert "webserver-read:3000" in leading["DAGSTER_READ_HOST"]
    assert "analysts" not in leading["DAGSTER_HOST"]


def test_slow_headers_are_given_up() -> None:
    """uvicorn has no limit of its own for them: the proxy has (docs/security.md)."""
    found = re.search(r"timeouts \{\s*read_header (\d+)s", CADDY.read_text())
    assert found is not None
    assert int(found[1]) <= 10


def test_caddy_takes_its_file() -> None:
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed: `apt-get install caddy` brings it")
    names = re.findall(r"\{\$(\w+)\}", CADDY.read_text())
    done = subprocess.run(
        [program, "validate", "--adapter", "caddyfile", "--config", CADDY],
        env={name: f"{name.lower().replace('_', '-')}.trials.test" for name in names},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


class _Upstream(BaseHTTPRequestHandler):
    """oauth2-proxy that knows everybody, and Dagster's webserver that tells what reached it."""

    def do_GET(self) -> None:
        body = b"reached"
        self.send_response(202 if self.path.startswith("/oauth2/") else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The Caddyfile of the deployment as it stands, without TLS, before `_Upstream`."""
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed: `apt-get install caddy` brings it")
    folder = tmp_path_factory.mktemp("caddy")
    ports = dict(zip(re.findall(r"\{\$(\w+_HOST)\}", CADDY.read_text()), free_ports(4), strict=True))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Upstream) as upstream:
        Thread(target=upstream.serve_forever, args=(0.05,), daemon=True).start()
        there = f"127.0.0.1:{upstream.server_address[1]}"
        text = re.sub(r"(?<=[ ])(oauth2-proxy|webserver|webserver-read|api|s3):\d+", there, CADDY.read_text())
        file = folder / "Caddyfile"
        file.write_text(text.replace("{\n\temail", "{\n\tadmin off\n\temail", 1), encoding="utf-8")
        hosts = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        caddy = subprocess.Popen(
            [program, "run", "--adapter", "caddyfile", "--config", file],
            env={"HOME": str(folder), "XDG_DATA_HOME": str(folder), "ACME_EMAIL": "a@trials.test", **hosts},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + PATIENCE
            while not _answers(hosts["DAGSTER_HOST"]):
                assert caddy.poll() is None, "caddy did not start"
                assert time.monotonic() < deadline, "caddy does not answer"
                time.sleep(0.05)
            yield hosts["DAGSTER_HOST"]
        finally:
            caddy.terminate()
            caddy.wait(PATIENCE)
            upstream.shutdown()


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).status_code == 200
    except requests.RequestException:
        return False


WEBSOCKET = {"Connection": "Upgrade", "Upgrade": "websocket"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/graphql", {"Origin": "{own}"}, 200),
        ("POST", "/graphql", {}, 200),  # a program, which sends nobody's cookies but its own
        ("GET", "/graphql", WEBSOCKET | {"Origin": "{own}"}, 200),
        ("GET", "/runs/1?logs=a", {}, 200),
        ("POST", "/graphql", {"Origin": "https://elsewhere.example"}, 403),
        ("POST", "/graphql", {"Origin": "null"}, 403),
        ("POST", "/graphql", {"Origin": "{own}.elsewhere.example"}, 403),
        ("GET", "/graphql", WEBSOCKET | {"Origin": "https://elsewhere.example"}, 403),
        ("GET", "/graphql?query=mutation%7BstopSensor%7D", {}, 405),
        ("GET", "/graphql/?a=1&query=mutation%7BstopSensor%7D", {}, 405),
        ("POST", "/graphql?query=mutation%7BstopSensor%7D", {"Origin": "{own}"}, 405),
    ],
)
def test_no_other_site_s_page_acts_in_dagster_s_ui(
    front: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Whoever operates is signed in there, and opens other pages beside it."""
    sent = {name: value.replace("{own}", front) for name, value in headers.items()}
    answer = requests.request(method, front + path, headers=sent, timeout=PATIENCE)
    assert answer.status_code == status
    assert (answer.text == "reached") == (status == 200)


def test_the_sign_in_s_cookie_goes_with_no_other_site_s_requests() -> None:
    assert SERVICES["oauth2-proxy"]["environment"]["OAUTH2_PROXY_COOKIE_SAMESITE"] == "lax"
