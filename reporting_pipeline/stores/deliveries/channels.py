"""The channels themselves: halted until a person resumes them, or paused for a while."""

from __future__ import annotations

from datetime import datetime

from reporting_pipeline.domain.deliveries import short_error
from reporting_pipeline.stores.mongo import Database, Record


def closed_channels(database: Database, now: datetime) -> list[str]:
    """The channels that send nothing now: halted until a person resumes them, or paused by a 429."""
    return [
        row["_id"]
        for row in database.channel_states.find(
            {"$or": [{"halted": True}, {"paused_until": {"$gt": now}}]}, {"_id": 1}
        )
    ]


def halted_channels(database: Database) -> list[Record]:
    """`_id` (the channel), `reason` and `halted_at` of each that waits for a person."""
    return list(database.channel_states.find({"halted": True}).sort("_id", 1))


def halt_channel(database: Database, channel: str, reason: str, now: datetime) -> bool:
    """Stop a channel whose credentials are refused. True for the one caller that stopped it: it alerts."""
    changed = database.channel_states.find_one_and_update(
        {"_id": channel},
        {"$set": {"halted": True, "reason": short_error(reason), "halted_at": now}},
        upsert=True,
    )
    return not (changed or {}).get("halted", False)


def resume_channel(database: Database, channel: str, now: datetime) -> bool:
    """Let a halted channel send again. False when it was not halted."""
    changed = database.channel_states.update_one(
        {"_id": channel, "halted": True}, {"$set": {"halted": False, "resumed_at": now}}
    )
    return changed.modified_count == 1


def pause_channel(database: Database, channel: str, until: datetime) -> None:
    """Send nothing over a channel before `until`; a longer pause stays."""
    database.channel_states.update_one({"_id": channel}, {"$max": {"paused_until": until}}, upsert=True)
