"""What a step is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reporting_pipeline.stores.mongo import Database

Beat = Callable[[], None]


@dataclass(frozen=True)
class Step:
    """One migration: from the state that step `number - 1` left to its own, and back where it can."""

    number: int  # 1, 2, 3, … without a gap
    name: str  # what is different afterwards, in a few words
    up: Callable[[Database, Beat], int]  # returns how many records it changed
    count: Callable[[Database], int]  # how many records `up` would change now
    down: Callable[[Database, Beat], int] | None = None
    not_reversible: str = ""  # why there is no `down`

    def __post_init__(self) -> None:
        if (self.down is None) == (not self.not_reversible):
            raise ValueError(f"step {self.number} needs either `down` or the reason why there is none")
