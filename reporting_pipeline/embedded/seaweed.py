"""SeaweedFS, the embedded server that speaks S3: its command line, its secrets and its health.

One process runs the four parts (master, volume, filer, S3 gateway), all on 127.0.0.1. The S3 port
asks for the keys of this home; the three others are open to whoever is on this machine, which is why
these servers are for one person's machine and not for production.
"""

from __future__ import annotations

import json
import secrets
import urllib.request
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from reporting_pipeline.embedded.errors import HomeNotUsable
from reporting_pipeline.embedded.processes import HOST, Launch, write_private

NAME = "s3"
PROGRAM = "weed"
PORTS = (
    "master",
    "master_grpc",
    "volume",
    "volume_grpc",
    "filer",
    "filer_grpc",
    "s3",
    "s3_grpc",
)
# It ignores SIGTERM for 10 s and more while it says good-bye to itself; its files are whole by then.
GRACE_SECONDS = 2.0
START_SECONDS = 60.0
REGION = "us-east-1"


@dataclass(frozen=True)
class SeaweedKeys:
    """The secrets of one home, made once: without them its objects cannot be read."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    encryption_key: str = field(repr=False)  # 32 bytes, hex: wraps the keys of SSE-S3 objects


def keys(folder: Path) -> SeaweedKeys:
    """The keys of this home, made at the first call. Raises HomeNotUsable when data outlived its keys."""
    path = folder / "keys.json"
    try:
        return SeaweedKeys(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError) as error:
        raise HomeNotUsable(f"{path} is not readable as this home's keys: {error}") from None
    if (folder / "data").exists():
        raise HomeNotUsable(
            f"{folder} holds objects but {path.name} is gone, so they cannot be decrypted: "
            "bring the file back, or remove the folder to start empty."
        )
    made = SeaweedKeys(
        access_key_id="AK" + secrets.token_hex(9).upper(),
        secret_access_key=secrets.token_urlsafe(30),
        encryption_key=secrets.token_hex(32),
    )
    write_private(path, json.dumps(asdict(made)))
    return made


def plan(folder: Path, ports: dict[str, int]) -> Launch:
    """How to run it on `folder`; writes the S3 identity file beside the data."""
    mine = keys(folder)
    identity = {
        "name": "reporting-pipeline",
        "credentials": [{"accessKey": mine.access_key_id, "secretKey": mine.secret_access_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    identities = folder / "identities.json"
    write_private(identities, json.dumps({"identities": [identity]}))
    data = folder / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    arguments = (
        "-logtostderr=true",
        "server",
        f"-dir={data}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        f"-master.port={ports['master']}",
        f"-master.port.grpc={ports['master_grpc']}",
        "-master.telemetry=false",
        "-master.electionTimeout=1s",  # the default makes every restart wait for 10 s and more
        # Files of 64 MB are made as they are needed and not in advance: each bucket has its own.
        "-master.volumeSizeLimitMB=64",
        f"-volume.port={ports['volume']}",
        f"-volume.port.grpc={ports['volume_grpc']}",
        "-volume.max=2000",
        "-volume.preStopSeconds=0",
        "-filer",
        f"-filer.port={ports['filer']}",
        f"-filer.port.grpc={ports['filer_grpc']}",
        "-filer.localSocket=filer.sock",
        "-s3",
        f"-s3.port={ports['s3']}",
        f"-s3.port.grpc={ports['s3_grpc']}",
        "-s3.localSocket=s3.sock",
        f"-s3.config={identities}",
        "-s3.iam=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    )
    environment = {
        "WEED_S3_SSE_KEK": mine.encryption_key,
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # one new volume at a time instead of seven
        "GOMEMLIMIT": "512MiB",
    }
    return Launch(NAME, PROGRAM, arguments, ports, environment)


def endpoint_url(ports: dict[str, int]) -> str:
    return f"http://{HOST}:{ports['s3']}"


def remove_sockets(ports: dict[str, int]) -> None:
    """Remove the Unix sockets of a stopped server: it puts them in /tmp and leaves them when killed."""
    for part in ("master", "volume", "filer", "s3"):
        socket = Path("/tmp") / f"seaweedfs-{part}-grpc-{ports[f'{part}_grpc']}.sock"  # noqa: S108 - its choice
        # Another user's file of that name, in a folder open to all, is not ours to touch.
        with suppress(OSError):
            socket.unlink()


def healthy(ports: dict[str, int]) -> bool:
    """Is the S3 gateway up, and does the master know a volume server with room?"""
    if not _answers(f"{endpoint_url(ports)}/healthz"):
        return False
    body = _answers(f"http://{HOST}:{ports['master']}/dir/status")
    try:
        return bool(body) and json.loads(body)["Topology"]["Max"] > 0
    except (ValueError, KeyError, TypeError):
        return False


def _answers(url: str) -> bytes:
    """The body of a 200 answer within five seconds, or b"" (a blank one counts as b"\\n")."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a loopback URL made above
            return answer.read() or b"\n"
    except OSError:
        return b""
