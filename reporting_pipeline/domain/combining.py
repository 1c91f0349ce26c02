"""When reports of one reader go in one mail: how long one waits for others, and which go together.

Every report keeps its own delivery in the ledger. Deliveries of one mail bear its id from before it is sent
until they are settled, so that after whatever dies in between the same ones go again under the same id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

#: Shorter than the absence alarm waits before it says that a report did not come.
LONGEST_WINDOW_MINUTES = 60
#: More go in a second mail.
MOST_IN_A_MAIL = 20


def combine_minutes_of(user: Mapping[str, Any]) -> int:
    """The window of a record of `users`, in minutes; 0 where it names none that can be."""
    minutes = user.get("combine_minutes")
    if not isinstance(minutes, int) or isinstance(minutes, bool):
        return 0
    return minutes if 0 < minutes <= LONGEST_WINDOW_MINUTES else 0


def mail_id(deliveries: Iterable[tuple[str, int]]) -> str:
    """The id of the mail of these (delivery, copy): the same for the same ones."""
    told = " ".join(f"{delivery}.{copy}" for delivery, copy in sorted(deliveries))
    return f"mal_{sha256(told.encode()).hexdigest()[:24]}"


def waits_until(
    due: Sequence[datetime], coming: Sequence[datetime | None], minutes: int, now: datetime
) -> datetime | None:
    """Until when reports wait that were due at `due`; None: they go now.

    `coming`: when others of the same reader will be ready to go, None where that is not known yet. The window
    begins with the first that is due. Nothing that may come is waited for beyond it, and nothing at all where
    nothing comes.
    """
    end = min(due) + timedelta(minutes=minutes)
    awaited = [end if one is None else one for one in coming if one is None or one <= end]
    latest = min(max(awaited, default=now), end)
    return latest if latest > now else None
