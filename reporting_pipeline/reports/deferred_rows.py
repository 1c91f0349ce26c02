"""The rows of a table that is not in memory, as a report asks for them: by period, filters and reader.

Read twice: once to count them, with few columns, and once when they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from reporting_pipeline.domain.deferred import DeferredTable
from reporting_pipeline.domain.disclosure import LOOKED_AT, shown_batch
from reporting_pipeline.domain.facts import CURRENT
from reporting_pipeline.domain.figures import KIND_OF, covers
from reporting_pipeline.domain.subscriptions import Filters
from reporting_pipeline.reports.rows import TrialRows, schema_of

Choice = Callable[[pa.RecordBatch], pa.RecordBatch]  # the rows of a batch that are asked for


def rows_of_deferred(
    trial: str,
    table: DeferredTable,
    columns: list[str],
    filters: Filters,
    chosen: Choice,
    looked_at: Collection[str],
) -> TrialRows:
    """The rows of the period that pass the filters and that `chosen` takes, by the columns `looked_at`."""
    schema = schema_of(table.name, columns)

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in _passing(table, {*columns, *looked_at}, filters, chosen):
            named = pa.array([trial] * batch.num_rows, pa.string())
            cells = [batch[one.name].cast(one.type) for one in schema if one.name != "trial"]
            yield pa.record_batch([named, *cells], schema=schema)

    rows = sum(batch.num_rows for batch in _passing(table, set(looked_at), filters, chosen))
    return TrialRows(rows, batches)


def _passing(
    table: DeferredTable, columns: set[str], filters: Filters, chosen: Choice
) -> Iterator[pa.RecordBatch]:
    if not covers(filters, (KIND_OF[table.name],)):
        return
    for whole in table.read(sorted({*columns, "window", *LOOKED_AT})):
        batch = whole.filter(pc.equal(whole["window"], CURRENT))
        if filters.sites:
            batch = batch.filter(pc.is_in(batch["site"], value_set=pa.array(filters.sites, pa.string())))
        batch = chosen(shown_batch(table, batch))
        if batch.num_rows:
            yield batch
