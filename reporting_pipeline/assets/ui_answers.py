"""Two steps of the answers that Dagster's UI gets, without the work for each key.

The page of an asset shows the health of all its partitions. Out of half a million keys, Dagster takes each
one apart to sort it by period, which `partition_health` has done already, and its GraphQL library completes
each text of a list with a path, two looks for an awaitable and a serializer, to hand on the same text. Both
take as long as the page may take in all. `quicken` puts other functions in their place, in the webserver
alone; each of them leaves what it does not know to the one it replaces. `test_partition_health.py` compares
their answers and fails loudly when an upgrade has moved what is replaced.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dagster import MultiPartitionsDefinition, TimeWindowPartitionsDefinition
from dagster._core.definitions.partitions.context import partition_loading_context

if TYPE_CHECKING:
    from reporting_pipeline.assets.partition_health import GroupedSubset

_log = logging.getLogger(__name__)
_WEBSERVERS = "dagster_graphql.implementation.fetch_assets"
_replaced: list[type[GroupedSubset]] = []


def quicken(grouped: type[GroupedSubset]) -> None:
    """Replace both, once a process and where Dagster's GraphQL is loaded; no run loads it."""
    if _WEBSERVERS in sys.modules and not _replaced:
        _replaced.append(grouped)
        _replace(grouped)


def _replace(grouped: type[GroupedSubset]) -> None:
    from dagster_graphql.implementation import fetch_assets
    from graphql.execution.execute import ExecutionContext

    for owner, name, quicker in (
        (fetch_assets, "build_multi_partition_ranges_generic", partial(ranges_of, grouped)),
        (ExecutionContext, "complete_list_value", texts_or),
    ):
        slower = getattr(owner, name, None)
        if slower is None:
            _log.warning("%s has no %s any more: the UI answers correctly, but slowly", owner, name)
        else:
            setattr(owner, name, quicker(slower))


def ranges_of(grouped: type[GroupedSubset], dagsters: Callable[..., Any]) -> Callable[..., Any]:
    """Dagster's `build_multi_partition_ranges_generic` for subsets that are grouped already."""
    from dagster_graphql.implementation.partition_status_utils import (
        MultiPartitionRange,
    )

    def build_multi_partition_ranges_generic(
        subsets: Mapping[Any, Any],
        partitions_def: MultiPartitionsDefinition,
        dynamic_partitions_store: Any,
        build_secondary_dim: Callable[[Mapping[Any, Any]], Any],
    ) -> Sequence[Any]:
        if not all(isinstance(subset, grouped) for subset in subsets.values()):
            return dagsters(subsets, partitions_def, dynamic_partitions_store, build_secondary_dim)
        primary = partitions_def.primary_dimension.partitions_def
        empty = partitions_def.secondary_dimension.partitions_def.empty_subset()

        def of_key(key: str) -> dict[Any, Any]:
            return {status: subset.groups[key] for status, subset in subsets.items() if key in subset.groups}

        found: list[Any] = []
        with partition_loading_context(dynamic_partitions_store=dynamic_partitions_store):
            # Neighbours that show the same are one range.
            for shown, same in groupby(primary.get_partition_keys(), key=of_key):
                if not shown:
                    continue
                keys = list(same)
                others = {status: empty.with_partition_keys(group) for status, group in shown.items()}
                starts = ends = None
                if isinstance(primary, TimeWindowPartitionsDefinition):
                    starts = primary.time_window_for_partition_key(keys[0]).start.timestamp()
                    ends = primary.time_window_for_partition_key(keys[-1]).end.timestamp()
                one: Any = MultiPartitionRange(
                    primary_dim_start_key=keys[0],
                    primary_dim_end_key=keys[-1],
                    primary_dim_start_time=starts,
                    primary_dim_end_time=ends,
                    secondary_dim=build_secondary_dim(others),
                )
                found.append(one)
        return found

    return build_multi_partition_ranges_generic


def texts_or(librarys: Callable[..., Any]) -> Callable[..., Any]:
    """The GraphQL library's `complete_list_value`, where a list of texts is complete as it is."""
    from graphql import GraphQLNonNull, GraphQLString

    def complete_list_value(
        self: Any, return_type: Any, field_nodes: Any, info: Any, path: Any, result: Any
    ) -> Any:
        of = return_type.of_type
        is_text = (of.of_type if isinstance(of, GraphQLNonNull) else of) is GraphQLString
        if is_text and isinstance(result, (list, tuple)) and set(map(type, result)) == {str}:
            return list(result)
        return librarys(self, return_type, field_nodes, info, path, result)

    return complete_list_value
