"""Rows of a table that is being made and does not fit into memory: on disk, until the dataset is stored."""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import IO
from weakref import finalize

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from reporting_pipeline.domain.datasets import arrow_schema
from reporting_pipeline.domain.deferred import DeferredTable
from reporting_pipeline.stores.datasets import deferred_table


class RowsOnDisk:
    """A Parquet file without a name, which goes with what reads it (`domain.deferred.RowsAside`)."""

    def __init__(self, name: str) -> None:
        self._name, self._schema = name, arrow_schema(name)
        self._file = TemporaryFile()  # noqa: SIM115 - closed with the table
        self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        self._closing = finalize(self, _close, self._writer, self._file)

    def add(self, frame: pd.DataFrame) -> None:
        self._writer.write_batch(pa.RecordBatch.from_pandas(frame, self._schema, preserve_index=False))

    def table(self) -> DeferredTable:
        self._writer.close()
        self._closing.detach()  # from here on it is closed with the table
        kept = deferred_table(self._name, self._file)
        assert kept is not None  # noqa: S101 - it was written with every column
        return kept


def _close(writer: pq.ParquetWriter, file: IO[bytes]) -> None:
    """The writer first: it ends its file when it goes."""
    writer.close()
    file.close()
