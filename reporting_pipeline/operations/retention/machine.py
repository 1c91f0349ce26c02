"""Files on this machine: the outbox and the cache of thumbnails. Every machine has its own."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from reporting_pipeline.domain.deliveries import SETTLED, from_wire_id
from reporting_pipeline.domain.retention import SAFETY
from reporting_pipeline.operations.retention.kinds import Removed, Retention


def outbox(retention: Retention) -> Removed:
    """Mails that were written as files. One whose delivery is not settled stays: it says what was sent."""
    removed = Removed("outbox")
    oldest = retention.rules.before(retention.rules.outbox, retention.now)
    for path in _files(retention.settings.outbox):
        if path.name.endswith(".part"):
            if _age(path) < retention.now - SAFETY:
                _remove(retention, removed, path)
        elif path.suffix == ".eml" and _age(path) < oldest:
            if _settled(retention, path.stem):
                _remove(retention, removed, path)
            else:
                removed.keep("its delivery is not settled")
    return removed


def cache(retention: Retention) -> Removed:
    """The thumbnails used longest ago, until the cache is within its limit; and half-written ones."""
    removed = Removed("cache")
    entries = []
    for path in _files(retention.settings.home / "cache" / "thumbnails"):
        if path.name.endswith(".part"):
            if _age(path) < retention.now - SAFETY:
                _remove(retention, removed, path)
            continue
        status = path.stat()
        entries.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    entries.sort(key=lambda entry: (entry[0], entry[2].name))
    surplus = sum(size for _, size, _ in entries) - retention.rules.cache_bytes
    for _, size, path in entries:
        if surplus <= 0:
            break
        _remove(retention, removed, path)
        surplus -= size
    return removed


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _age(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _settled(retention: Retention, wire: str) -> bool:
    """Whether the delivery of a mail is settled or gone; a notice has no delivery and goes by its age."""
    try:
        delivery, _ = from_wire_id(wire)
    except ValueError:
        return True
    found = retention.database.deliveries.find_one({"_id": delivery}, {"state": 1})
    return found is None or found["state"] in {state.value for state in SETTLED}


def _remove(retention: Retention, removed: Removed, path: Path) -> None:
    removed.files += 1
    removed.bytes += path.stat().st_size
    if not retention.dry_run:
        path.unlink(missing_ok=True)
