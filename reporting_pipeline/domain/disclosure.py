"""What of a dataset a reader gets, and which cells of a count must not be told.

A reader's rows are taken out of the dataset before anything is made of it, so that what is not theirs
cannot come into a body, a total, a chart or a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import pandas as pd

from reporting_pipeline.domain.datasets import TrialDataset

#: Counts of people below this are not told (EMA policy 0070, Health Canada's public release of data).
SMALLEST_CELL = 11


def restricted(dataset: TrialDataset, sites: Sequence[str] | None, subject: str = "") -> TrialDataset:
    """The dataset with the rows of `sites` (None: all) and, when given, of `subject` alone.

    Findings keep the rows of the documents that are left. Pictures are kept of
    files that are left. `shown` says what was left in, and is part of the key of a shared body.
    """
    if sites is None and not subject:
        return dataset
    documents = _rows(dataset.tables["documents"], sites, subject)
    kept = set(documents["document_id"])
    tables = {
        name: documents
        if name == "documents"
        else _rows(table, sites, subject)
        if "subject" in table.columns and name != "findings"
        else table
        if "document_id" not in table.columns  # what is said of the trial as a whole
        else table[table["document_id"].isin(kept)].reset_index(drop=True)
        for name, table in dataset.tables.items()
    }
    files = set(documents["file_sha256"])
    media = {digest: picture for digest, picture in dataset.media.items() if digest in files}
    wanted = json.dumps([None if sites is None else sorted(sites), subject])
    shown = sha256(wanted.encode()).hexdigest()[:16]
    return replace(dataset, tables=tables, media=media, shown=shown)


def _rows(table: pd.DataFrame, sites: Sequence[str] | None, subject: str) -> pd.DataFrame:
    kept = pd.Series(True, index=table.index)
    if sites is not None:
        kept &= table["site"].isin(list(sites))
    if subject:
        kept &= table["subject"] == subject
    return table[kept].reset_index(drop=True)


def suppressed(counts: Mapping[str, int], smallest: int = SMALLEST_CELL) -> dict[str, int | None]:
    """Counts of people by category whose sum is told, without those that must not be: None.

    A count of 1 to `smallest` - 1 is left out (0 may be told). One that was left out alone could be had
    back from the sum, so the next smallest goes with it; and so until what is left out adds up to
    `smallest` at least, because a sum below that tells as much.
    """
    if any(count < 0 for count in counts.values()):
        raise ValueError("a count of people is not negative")
    hidden = {name for name, count in counts.items() if 0 < count < smallest}
    rest = sorted((count, name) for name, count in counts.items() if count >= smallest)
    while hidden and rest and (len(hidden) < 2 or sum(counts[name] for name in hidden) < smallest):
        hidden.add(rest.pop(0)[1])
    if len(hidden) == 1 or 0 < sum(counts[name] for name in hidden) < smallest:
        hidden = set(counts)  # too few people in all: nothing of it is told, 0 neither
    return {name: None if name in hidden else count for name, count in counts.items()}


def suppressed_table(
    table: Mapping[str, Mapping[str, int]], smallest: int = SMALLEST_CELL
) -> dict[str, dict[str, int | None]]:
    """`suppressed` for a table with the sums of rows and columns: no hidden cell is alone in its line.

    Rows are filled up first, then columns, until nothing changes; the sums may then be told.
    """
    columns = sorted({name for row in table.values() for name in row})
    cells = {(row, column): table[row].get(column, 0) for row in table for column in columns}
    hidden = {cell for cell, count in cells.items() if 0 < count < smallest}
    lines = [[(row, column) for column in columns] for row in table]
    lines += [[(row, column) for row in table] for column in columns]
    while True:
        before = len(hidden)
        for line in lines:
            _fill_up(line, cells, hidden, smallest)
        if len(hidden) == before:
            break
    return {row: {c: None if (row, c) in hidden else cells[row, c] for c in columns} for row in table}


def _fill_up(
    line: Sequence[tuple[str, str]],
    cells: Mapping[tuple[str, str], int],
    hidden: set[tuple[str, str]],
    smallest: int,
) -> None:
    gone = [cell for cell in line if cell in hidden]
    rest = sorted(
        (cell for cell in line if cell not in hidden),
        key=lambda cell: (-(cells[cell] > 0), cells[cell], cell),
    )
    while gone and rest and (len(gone) < 2 or sum(cells[cell] for cell in gone) < smallest):
        chosen = rest.pop(0)
        hidden.add(chosen)
        gone.append(chosen)
