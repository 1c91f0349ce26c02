"""A report made again because its data was corrected or came late: what changed, and who is told.

The report that takes the place of one that was sent names it and says which figures changed. A figure
changes when its number does, or the documents behind it do: one more and one less is told, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # these bring pandas, which whoever only asks for the policy need not import
    from reporting_pipeline.domain.datasets import TrialDataset
    from reporting_pipeline.domain.figures import Figure, TrialFigures


class OnRestatement(StrEnum):
    """What an organisation wants when the data of a report that was sent changed (`on_restatement`)."""

    OFF = "off"  # nobody is told; the change can be asked for
    TELL = "tell"  # whoever got the report gets a link to the one that took its place
    SEND = "send"  # whoever got the report gets the new one as they got the first


DEFAULT_ON_RESTATEMENT = OnRestatement.TELL


def on_restatement_of(value: object) -> OnRestatement:
    """The policy that a record names; the default where it names none that there is."""
    try:
        return OnRestatement(str(value))
    except ValueError:
        return DEFAULT_ON_RESTATEMENT


@dataclass(frozen=True)
class Restated:
    """The report that was sent and whose place another takes. `datasets` are those it was made from."""

    sha256: str
    rendered_at: datetime
    versions: Mapping[str, str]  # trial -> dataset version
    datasets: tuple[TrialDataset, ...] = ()
    complete: bool = True  # False: a dataset it was made from is kept no longer, so figures are missing


def shows_the_same(before: Iterable[TrialDataset], after: Iterable[TrialDataset]) -> bool:
    """Whether two sets of datasets, as far as one reader may see them, hold the same rows."""
    old, new = ({one.trial: one for one in some} for some in (before, after))
    return old.keys() == new.keys() and all(_same_rows(old[trial], new[trial]) for trial in old)


def _same_rows(old: TrialDataset, new: TrialDataset) -> bool:
    if old.tables.keys() != new.tables.keys():
        return False
    aside = {*old.deferred, *new.deferred}
    if not all(table.equals(new.tables[name]) for name, table in old.tables.items() if name not in aside):
        return False
    from reporting_pipeline.domain.disclosure import row_digest  # see above: it brings pandas

    return all(row_digest(old, name) == row_digest(new, name) for name in aside)


@dataclass(frozen=True)
class FigureChange:
    """A figure of a trial, before and after; None where a rendering does not have it or it is no number.

    `added` and `gone` are ids of documents behind it in one of the two alone. A document that was
    corrected stands in both, and so in neither list.
    """

    trial: str
    figure: Figure
    before: float | None
    after: float | None
    added: tuple[str, ...]
    gone: tuple[str, ...]


def figure_changes(trial: str, old: TrialFigures | None, new: TrialFigures | None) -> Iterator[FigureChange]:
    """The figures of a trial that are other numbers, or numbers of other documents; in a reader's order."""
    from reporting_pipeline.domain.figures import Figure  # see above: it brings pandas

    for figure in Figure:
        before, after = _value(old, figure), _value(new, figure)
        was, now = _behind(old, figure), _behind(new, figure)
        if before != after or was != now:
            added, gone = tuple(sorted(now - was)), tuple(sorted(was - now))
            yield FigureChange(trial, figure, before, after, added, gone)


def _value(figures: TrialFigures | None, figure: Figure) -> float | None:
    value = figures.values.get(figure) if figures else None
    if value is None or value.current != value.current:  # a share of nothing is NaN
        return None
    return float(value.current)


def _behind(figures: TrialFigures | None, figure: Figure) -> set[str]:
    if figures is None or figures.values.get(figure) is None:
        return set()
    return set(figures.documents_behind(figure))
