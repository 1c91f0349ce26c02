"""Subsets of the partitions of two dimensions that are kept grouped, as Dagster's UI shows them."""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cached_property
from typing import Self

from dagster._core.definitions.partitions.subset import DefaultPartitionsSubset, PartitionsSubset
from dagster._core.definitions.partitions.utils.multi import MULTIPARTITION_KEY_DELIMITER

#: Keys of the primary dimension -> keys of the other one.
Groups = Mapping[str, Set[str]]


class GroupedSubset(DefaultPartitionsSubset):
    """Keys of two dimensions, by the key of the primary one; joined only when somebody asks for them.

    `primary_first`: whether the primary dimension comes first in a joined key.
    """

    groups: Groups
    primary_first: bool

    def __new__(cls, groups: Groups, primary_first: bool) -> Self:
        made: Self = super().__new__(cls)
        made.groups = {primary: keys for primary, keys in groups.items() if keys}
        made.primary_first = primary_first
        return made

    @cached_property
    def subset(self) -> Set[str]:
        return {
            _joined(one, other, self.primary_first) for one, keys in self.groups.items() for other in keys
        }

    @property
    def is_empty(self) -> bool:
        return not self.groups

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and value in self.subset

    def __sub__(self, other: PartitionsSubset) -> PartitionsSubset:
        if not isinstance(other, GroupedSubset):
            return super().__sub__(other)
        left = {one: keys - other.groups.get(one, frozenset()) for one, keys in self.groups.items()}
        return GroupedSubset(left, self.primary_first)

    def __or__(self, other: PartitionsSubset) -> PartitionsSubset:
        if not isinstance(other, GroupedSubset):
            return super().__or__(other)
        both = {one: keys | other.groups.get(one, frozenset()) for one, keys in self.groups.items()}
        return GroupedSubset({**other.groups, **both}, self.primary_first)

    def to_serializable_subset(self) -> PartitionsSubset:
        return DefaultPartitionsSubset(set(self.subset))


def _joined(primary: str, other: str, primary_first: bool) -> str:
    one = (primary, other) if primary_first else (other, primary)
    return MULTIPARTITION_KEY_DELIMITER.join(one)
