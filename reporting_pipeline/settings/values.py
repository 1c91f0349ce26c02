"""What single values must be: waits, addresses, networks, secrets, the crons of deadlines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from itertools import islice
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from cronsim import CronSim
from pydantic import SecretStr
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from reporting_pipeline.domain.keyring import Keyring
from reporting_pipeline.domain.periods import Cadence, Period

LOCAL_SECRET = "local-development-secret-not-for-production"  # noqa: S105 - refused outside local
#: Words of secrets that were printed somewhere to be replaced.
PUBLISHED = ("changeme", "change-me", "change_me", "example", "not-for-production", "placeholder", "password")
SECRET_LENGTH = 32
SECRET_LETTERS = 10  # different ones: `openssl rand -hex 32` has 13 or more
DEADLINES_TRIED = 15  # the next ones, of which each is looked at
LONGEST_WAIT = 1_440  # minutes between two attempts
_TREES: tuple[tuple[str, Literal["github", "gitlab"]], ...] = (("/-/tree/", "gitlab"), ("/tree/", "github"))


def minutes(text: str) -> tuple[timedelta, ...]:
    """Waits from minutes with commas between them. Raises ValueError for what is none."""
    try:
        waits = tuple(float(part) for part in text.split(","))
    except ValueError:
        waits = ()
    if not 1 <= len(waits) <= 20 or not all(0 < wait <= LONGEST_WAIT for wait in waits):
        raise ValueError(
            f"{text!r} must be up to 20 numbers of minutes above 0 and up to a day; e.g. '1,5,15'"
        )
    return tuple(timedelta(minutes=wait) for wait in waits)


def source_tree(address: str) -> tuple[str, str, Literal["github", "gitlab"]]:
    """(repository, revision, whose form its addresses have) of the address of a revision's tree.

    ValueError for what has neither GitHub's form nor GitLab's.
    """
    refuse_other_address(address, {"https", "http"})
    for mark, platform in _TREES:
        repository, found, revision = address.rstrip("/").partition(mark)
        if found and revision:
            return repository, revision, platform
    raise ValueError(
        "must be the address of a revision's tree; e.g. 'https://github.com/OWNER/NAME/tree/v1.2'"
    )


def refuse_other_address(address: str, schemes: set[str]) -> None:
    """Raise ValueError unless `address` is a URL of one of `schemes` that names a host. Never prints it."""
    wanted = " or ".join(f"{scheme}://" for scheme in sorted(schemes))
    if not address.isprintable() or " " in address:
        raise ValueError("is no address: it holds a blank or a control character")
    try:
        parts = urlsplit(address)
        named = bool(parts.hostname)
    except ValueError:
        raise ValueError(f"is no address; it must begin with {wanted} and name a host") from None
    if parts.scheme not in schemes or not named:
        raise ValueError(f"must begin with {wanted} and name a host")


def refuse_other_port(address: str) -> None:
    """Raise ValueError where the address of one server names a port that is none. Never prints it."""
    try:
        port = urlsplit(address).port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("must name a port from 1 to 65535 after its last colon, or none")


def refuse_other_mongodb(uri: str) -> None:
    """Raise ValueError for an address that MongoDB's driver does not take, or that lets writes be lost.

    One that is looked up by DNS (mongodb+srv) is asked for when it is used. Never prints it.
    """
    refuse_other_address(uri, {"mongodb", "mongodb+srv"})
    if not uri.startswith("mongodb://"):
        return
    try:
        options = parse_uri(uri)["options"]
    except (PyMongoError, ValueError):
        raise ValueError(
            "is no address that MongoDB's driver takes: look at hosts, ports and options; signs of user and "
            "password that are no letter or digit are written as % and two digits"
        ) from None
    if options.get("w") == 0:
        raise ValueError("must not say w=0: writes that fail would be lost in silence")


def refuse_part_of_address(address: str) -> None:
    """Raise ValueError where an address that others are built from is more than host, port and path."""
    parts = urlsplit(address)
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must be host, port and path alone: no user, no ? and no #")


def refuse_open_keys(address: str, environment: str) -> None:
    """Raise ValueError for keys of a sign-in that come unprotected; to try it out, this machine's may."""
    parts = urlsplit(address)
    near = environment in ("local", "test") and parts.hostname in ("127.0.0.1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and near):
        raise ValueError("REPORTING_JWKS_URL must be https")


def networks_of(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_loopback(address: str) -> bool:
    """Whether every host of a URL is this machine (mongodb:// takes several)."""
    hosts = [part.rpartition("@")[2] for part in urlsplit(address).netloc.split(",")]
    return all(_is_this_machine(urlsplit(f"//{host}").hostname or "") for host in hosts)


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def weakness(name: str, secret: str, environment: str) -> Iterator[str]:
    """What is wrong with a secret, without printing it."""
    published = secret == LOCAL_SECRET or any(word in secret.lower() for word in PUBLISHED)
    if published or len(secret) < SECRET_LENGTH or len(set(secret)) < SECRET_LETTERS:
        yield (
            f"{name} must be set to at least {SECRET_LENGTH} characters of your own in {environment}, not "
            "printed anywhere and not repeated; e.g. from `openssl rand -hex 32`"
        )


def keys_in(secret: SecretStr) -> list[str]:
    """Each key of a secret: it may hold several while they change (`domain/keyring.py`)."""
    return [key.decode() for key in Keyring.read(secret.get_secret_value()).keys.values()]


def shared(keys: list[tuple[str, str]]) -> Iterator[str]:
    """Secrets that are one: who learns what the one signs could sign the other."""
    for number, (name, key) in enumerate(keys):
        for other, value in keys[:number]:
            if key == value:
                yield (
                    f"{name} must not be the same as {other}"
                    if name != other
                    else f"{name} holds a key twice"
                )


def once_after(cadence: Cadence, deadline: str, opens: str, timezone: str) -> bool:
    """Whether each time of the deadline is of another period, and after its edition was opened."""
    zone = ZoneInfo(timezone)
    times = list(islice(CronSim(deadline, datetime(2026, 1, 1, tzinfo=zone)), DEADLINES_TRIED))
    ends = [Period.last_closed(cadence, one, timezone).end_at.astimezone(zone) for one in times]
    opened = (next(CronSim(opens, end - timedelta(seconds=1))) for end in ends)
    return len(set(ends)) == len(ends) and all(one < time for one, time in zip(opened, times, strict=True))
