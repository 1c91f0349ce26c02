"""The same table in several files: a copy, or what a folder of an earlier day still holds.

Parts of a domain stand in several files, too, and so do several studies; what tells a copy is that its rows
are those of another file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reporting_pipeline.intake.sdtm.columns import text
from reporting_pipeline.intake.sdtm.tables import FORMATS, Table, suffix_of
from reporting_pipeline.intake.understanding import Understanding

_ALIKE = 0.8  # of the columns, for rows to be compared by those they share


@dataclass(frozen=True, eq=False)  # the same file may hold two tables of one name
class FromFile:
    """A table and the file that holds it."""

    file: Path
    table: Table


def without_copies(found: Sequence[FromFile], root: Path, understanding: Understanding) -> list[Table]:
    """The tables of `found`, each once; of those that are left out it is told whose copies they are.

    A copy has every row of another table, or stands in another folder and has half of its rows. The one with
    more rows is read; of equal ones, the one whose format comes first.
    """
    kept: list[FromFile] = []
    for one in sorted(found, key=lambda one: (-len(one.table), list(FORMATS).index(suffix_of(one.file)))):
        twin = next((other for other in kept if _is_copy(one, other)), None)
        if twin is None:
            kept.append(one)
            continue
        detail = (
            f"{_shown(one.file, root)} has rows of {_shown(twin.file, root)} once more; it was left out. "
            "Take it out of the folder, or the other one."
        )
        understanding.finding(one.file.name, "same_table", one.table.name, detail)
    return [one.table for one in found if one in kept]


def _is_copy(one: FromFile, other: FromFile) -> bool:
    """Whether `one`, which has no more rows than `other`, repeats it."""
    if one.table.name != other.table.name or not len(one.table):
        return False
    columns = [name for name in one.table.columns if name in other.table.columns]
    if len(columns) < _ALIKE * max(len(one.table.columns), len(other.table.columns)):
        return False
    rows = _rows(one.table, columns)
    shared = len(rows & _rows(other.table, columns))
    return shared == len(rows) or (one.file.parent != other.file.parent and shared * 2 >= len(rows))


def _rows(table: Table, columns: Sequence[str]) -> set[tuple[str, ...]]:
    """Rows as texts, alike in every format."""
    return {tuple(map(text, row)) for row in table.frame.select(columns).iter_rows()}


def _shown(file: Path, root: Path) -> str:
    return str(file.relative_to(root)) if file.is_relative_to(root) and file != root else file.name
