"""The datasets of a period that is still open, from the documents that had arrived by a moment.

Nothing is kept: the pipeline makes its own once the period is over. Files are not looked at, which an
omission says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256

import pandas as pd

from reporting_pipeline.domain.datasets import TrialDataset, table_from_rows
from reporting_pipeline.domain.periods import Period
from reporting_pipeline.domain.tidying import tidy_documents
from reporting_pipeline.stores.documents import documents_of, newest_update, trial_record
from reporting_pipeline.stores.mongo import Database

#: Documents that are read while somebody waits; a hundred a subject make a large trial.
MOST_DOCUMENTS = 20_000
_BEGINNING = datetime.min.replace(tzinfo=UTC)


class TooMuchToRead(Exception):
    """More documents than are read while somebody waits; the message says so for a person."""


def open_datasets(
    database: Database, trials: Iterable[str], period: Period, now: datetime, *, so_far: bool = False
) -> dict[str, TrialDataset]:
    """By trial what stands at `now` of `period` and the one before; `so_far`: of all time before.

    Raises TooMuchToRead over MOST_DOCUMENTS of all trials together.
    """
    first = _BEGINNING if so_far else period.previous().start_at
    read = {trial: newest_update(database, trial, first, now) for trial in trials}
    if (count := sum(number for number, _ in read.values())) > MOST_DOCUMENTS:
        raise TooMuchToRead(
            f"The report of a period that is still open would be made from {count:,} documents, and is made "
            f"at once from {MOST_DOCUMENTS:,} at most. Choose fewer trials, or wait for the period's end."
        )
    return {
        trial: _dataset(database, trial, period, (first, now), newest, so_far)
        for trial, (_, newest) in read.items()
    }


def _dataset(
    database: Database,
    trial: str,
    period: Period,
    window: tuple[datetime, datetime],
    newest: datetime | None,
    so_far: bool,
) -> TrialDataset:
    records = list(documents_of(database, trial, *window))
    tables = tidy_documents(records, {}, period, so_far=so_far)
    said = "\x1f".join(f"{one['_id']} {one.get('updated_at')}" for one in records)
    return TrialDataset(
        trial=trial,
        title=str((trial_record(database, trial) or {}).get("title") or trial),
        period=period,
        tables=_with_files_told(tables),
        version=sha256(f"{window[1].isoformat()}\x1f{said}".encode()).hexdigest()[:16],
        data_as_of=newest.replace(tzinfo=UTC) if newest and not newest.tzinfo else newest or window[1],
    )


def _with_files_told(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    documents = tables["documents"]
    if not (documents["file_name"] != "").any():
        return dict(tables)
    reason = "the period is still open, and files are looked at once it is over; none is counted"
    told = table_from_rows("omissions", [{"part": "files", "reason": reason}])
    omissions = pd.concat([tables["omissions"], told], ignore_index=True)
    return {**tables, "omissions": omissions}
