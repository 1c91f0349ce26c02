"""An operator who has the wheel, servers by URL, and docs/operations.md; nothing of the checkout."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import signal
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import requests
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from reporting_pipeline.embedded.processes import HOST, free_ports
from reporting_pipeline.embedded.servers import Endpoints
from reporting_pipeline.stores.objects import ObjectStore
from reporting_pipeline_tests.installation import Installation
from reporting_pipeline_tests.postgres import postgres_variables
from reporting_pipeline_tests.waiting import PATIENCE, wait_until

NAME = "reports.trials.test"
LOGIN, PASSWORD = b"relay", b"pass/word:with@signs"


@dataclass
class Relay:
    """A relay that takes mail after STARTTLS and sign-in only, and who got which Message-ID."""

    url: str = ""
    mails: list[tuple[str, str]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if session.ssl is None or not session.authenticated:
            return "530 sign in over TLS first"
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self.mails.append((envelope.rcpt_tos[0], str(message_from_bytes(content)["Message-ID"])))
        return "250 taken"

    def by_reader(self) -> Counter[str]:
        return Counter(reader for reader, _ in self.mails)


@contextmanager
def relay(authority: trustme.CA) -> Iterator[Relay]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    mailbox = Relay()

    def authenticate(
        _server: SMTP, _session: Session, _envelope: Envelope, _how: str, data: Any
    ) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (LOGIN, PASSWORD))

    (port,) = free_ports(1)
    controller = Controller(
        mailbox,
        hostname=HOST,
        port=port,
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
        ready_timeout=PATIENCE,
    )
    controller.start()
    try:
        mailbox.url = f"smtp://{LOGIN.decode()}:pass%2Fword%3Awith%40signs@{HOST}:{port}"
        yield mailbox
    finally:
        controller.stop()


_AFTER_ITS_END = re.compile(
    r"(?<=Daemon threads shut down\.).*?(?=Instance is configured with|\Z)", re.DOTALL
)


@dataclass
class Stranger:
    """One deployment in the making: a folder, an environment, and the processes that were started."""

    installation: Installation
    folder: Path
    variables: dict[str, str]
    token: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)

    def does(self, *command: str, code: int = 0) -> str:
        """Run a command of the installation in the folder; what it says."""
        ran = self.installation.run(*command, cwd=self.folder, environment=self.variables)
        assert ran.code == code, f"{' '.join(command)}: {ran.output}"
        assert "Traceback" not in ran.output
        return ran.output

    def product(self, *command: str, code: int = 0) -> str:
        return self.does("reporting-pipeline", *command, code=code)

    def asks(self, method: str, path: str, body: object = None) -> Any:
        """A request as it comes through the proxy that ends TLS: under the public name."""
        answer = requests.request(
            method,
            f"http://{HOST}:{self.ports['api']}{path}",
            json=body,
            headers={"Host": NAME, "Authorization": f"Bearer {self.token}"},
            timeout=PATIENCE,
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def prometheus(self, query: str) -> float:
        """The value of a query to the Prometheus that scrapes this deployment; 0 where there is none yet."""
        address = f"http://{HOST}:{self.ports['prometheus']}/api/v1/query"
        result = requests.get(address, params={"query": query}, timeout=PATIENCE).json()["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Code server, daemon and API, each as docs/operations.md names its command; SIGTERM at the end."""
        code, api = free_ports(2)
        self.ports = {"code": code, "api": api}
        server = {"host": HOST, "port": code, "location_name": "reporting_pipeline"}
        (self.folder / "workspace.yaml").write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        sidecar = "reporting_pipeline.sidecar:app_from_environment"
        with ExitStack() as stack:
            stack.enter_context(self._process("reporting-pipeline", "code-server", "-p", str(code)))
            stack.enter_context(
                self._process("uvicorn", sidecar, "--factory", "--workers", "2", "--port", str(api))
            )
            stack.enter_context(self._process("dagster-daemon", "run", "-w", "workspace.yaml"))
            wait_until("the API is ready", self._is_ready, every=0.2)
            yield

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Debian's Prometheus with the files that came with the wheel, pointed to this API."""
        (port,) = free_ports(1)
        self.ports = {**self.ports, "prometheus": port}
        config = self.product("files", "prometheus/prometheus.yaml")
        assert "127.0.0.1:8000" in config
        config = config.replace("127.0.0.1:8000", f"{HOST}:{self.ports['api']}")
        (self.folder / "prometheus.yaml").write_text(config.replace("15s", "1s"))
        (self.folder / "alerts.yaml").write_text(self.product("files", "prometheus/alerts.yaml"))
        program = shutil.which("prometheus")
        assert program is not None
        arguments = ("--config.file=prometheus.yaml", f"--web.listen-address={HOST}:{port}")
        with self._process(program, *arguments, f"--storage.tsdb.path={self.folder / 'tsdb'}"):
            wait_until("Prometheus scrapes the API", self._is_scraped, every=0.2)
            yield

    def logs(self) -> dict[str, str]:
        """What each program has said. Not what Dagster's daemon says between its end and its next start: a
        sensor's thread of it may tick once more, over a workspace that is empty by then."""
        texts = {path.name: path.read_text(errors="replace") for path in self.folder.glob("*.log")}
        return {name: _AFTER_ITS_END.sub("", text) for name, text in texts.items()}

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"http://{HOST}:{self.ports['api']}/readyz", timeout=PATIENCE).ok
        except requests.ConnectionError:
            return False

    def _is_scraped(self) -> bool:
        try:
            return self.prometheus('up{job="reporting-pipeline"}') == 1
        except (requests.ConnectionError, ValueError, KeyError):
            return False

    @contextmanager
    def _process(self, name: str, *arguments: str) -> Iterator[None]:
        program = name if name.startswith("/") else self.installation.program(name)
        log = self.folder / f"{Path(name).name}.log"
        with (
            log.open("ab") as output,
            subprocess.Popen(
                [program, *arguments],
                cwd=self.folder,
                env=self.installation.environment(self.variables),
                stdout=output,
                stderr=output,
                start_new_session=True,
            ) as process,
        ):
            try:
                yield
                assert process.poll() is None, f"{name} ended by itself: {log.read_text()[-2000:]}"
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(PATIENCE)


def variables_of(
    folder: Path, endpoints: Endpoints, bucket: str, postgres_url: str, smtp_url: str
) -> dict[str, str]:
    """What the operator writes into the environment, as the chapter "Deploying" says."""
    return {
        **endpoints.as_environment(),
        **postgres_variables(postgres_url),
        "AWS_ENDPOINT_URL_S3": str(endpoints.s3_endpoint_url),
        "DAGSTER_HOME": str(folder / "dagster"),
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
        "REPORTING_ENVIRONMENT": "production",
        "REPORTING_HOME": str(folder / "home"),
        "REPORTING_MONGODB_DATABASE": f"stranger_{secrets.token_hex(4)}",
        "REPORTING_S3_BUCKET": bucket,
        "REPORTING_ARCHIVE_CLASS": "none",
        "REPORTING_ORGANISATION": "acme",
        "REPORTING_PUBLIC_URL": f"https://{NAME}",
        "REPORTING_LINK_SECRET": secrets.token_hex(32),
        "REPORTING_JWT_SECRET": secrets.token_hex(32),
        "REPORTING_EMAIL_BACKEND": "smtp",
        "REPORTING_EMAIL_FROM": "reports@trials.test",
        "REPORTING_EMAIL_PER_SECOND": "1000",
        "REPORTING_SENSOR_INTERVAL_SECONDS": "2",
        "REPORTING_REQUESTS_PER_MINUTE": "5000",
        "REPORTING_SMTP_URL": smtp_url,
        "REPORTING_BACKUP_KEY_FILE": str(folder / "backup.key"),
        "REPORTING_LOG_FORMAT": "json",
        "SSL_CERT_FILE": str(folder / "authority.pem"),
    }


def keep_versions(objects: ObjectStore) -> None:
    objects.client.put_bucket_versioning(Bucket=objects.bucket, VersioningConfiguration={"Status": "Enabled"})
