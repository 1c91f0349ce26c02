"""Tables of SDTM: what a file's format gives, with the domain's name and columns in capitals.

A table's texts are without blanks at the end, as XPT pads them; what is missing is None. A file that cannot
be read raises `UnreadableFile`, which names the file and, where one is at fault, the line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from reporting_pipeline.intake.content import UnreadableFile, content_of
from reporting_pipeline.intake.sdtm.formats import dataset_json, delimited, xport
from reporting_pipeline.intake.sdtm.formats.cells import Read

Row = dict[str, Any]

#: How a file is read, by its suffix; in the order in which one of several formats of a table is chosen.
FORMATS: Mapping[str, Callable[[bytes, str], list[Read]]] = {
    ".xpt": xport.read,
    ".json": dataset_json.read,
    ".ndjson": dataset_json.read,
    ".csv": delimited.read,
    ".tsv": delimited.read,
}
#: Columns of analysis data (ADaM), which SDTM does not have.
_OF_ANALYSIS = frozenset(
    {
        *("PARAMCD", "AVAL", "AVALC", "DTYPE", "ABLFL", "ANL01FL", "TRTEMFL", "SAFFL", "ITTFL"),
        *(
            "AVISIT",
            "TRT01P",
            "TRT01A",
            "TRTP",
            "TRTA",
            "TRTSDT",
            "TRTEDT",
            "ASTDT",
            "AENDT",
            "ADT",
            "ADY",
            "ASTDY",
        ),
    }
)


@dataclass(frozen=True)
class Table:
    """One table of SDTM. `frame` holds texts (str) and numbers (float); its rows keep the file's order."""

    name: str  # "LB", "SUPPAE"; upper case
    frame: pl.DataFrame
    source: str  # the file's name, for a person
    notes: tuple[tuple[str, str], ...] = ()  # (code, sentence) about the reading

    def __len__(self) -> int:
        return len(self.frame)

    def by_domain(self) -> list[Table]:
        """The table itself, or one for each domain where DOMAIN (of SUPP--: RDOMAIN) names several."""
        supplements = {"RDOMAIN", "QNAM"} <= set(self.columns)
        column = "RDOMAIN" if supplements else "DOMAIN"
        if column not in self.columns:
            return [self]
        named = self.frame[column].cast(pl.String).str.strip_chars().str.to_uppercase().fill_null("")
        domains = sorted(set(named) - {""})
        if len(domains) < 2:
            return [self]
        prefix = "SUPP" if supplements else ""
        return [
            Table(
                prefix + domain,
                self.frame.filter(named.is_in([domain, ""] if first else [domain])),
                self.source,
            )
            for first, domain in ((one == self.name.removeprefix(prefix), one) for one in domains)
        ]

    @property
    def is_analysis(self) -> bool:
        """Whether it is analysis data (ADaM): rows of SDTM once more, and derived ones; some keep DOMAIN."""
        named = stem_of(Path(self.source)).upper().startswith("AD")
        return len(_OF_ANALYSIS.intersection(self.columns)) >= (1 if named else 2)

    def called(self, name: str) -> Table:
        """The same table under another name."""
        return replace(self, name=name)

    @property
    def columns(self) -> list[str]:
        return self.frame.columns

    def rows(self) -> Iterator[Row]:
        return self.frame.iter_rows(named=True)


def read_tables(path: Path) -> list[Table]:
    """The tables of one file, by its suffix (`.gz` beside it is understood). Raises UnreadableFile.

    A transport file may hold several members, and Dataset-JSON 1.0 several item groups.
    """
    content = content_of(path)
    return [_table(one, path) for one in FORMATS[suffix_of(path)](content, path.name)]


def table_of(frame: pl.DataFrame, source: str) -> Table:
    """A table that stands in memory. Its name is that of its DOMAIN, or of `source`."""
    tidied = _tidied(frame)
    return Table(_domain(tidied, stem_of(Path(source))), tidied, source)


def suffix_of(path: Path) -> str:
    """`path`'s suffix in lower case, that of the file inside for a `.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def stem_of(path: Path) -> str:
    name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def _table(read: Read, path: Path) -> Table:
    frame = _tidied(read.frame)
    return Table(_domain(frame, read.name or stem_of(path)), frame, path.name, read.notes)


def _tidied(frame: pl.DataFrame) -> pl.DataFrame:
    names = Counter(column.strip().upper() for column in frame.columns)
    if twins := sorted(name for name, count in names.items() if count > 1):
        raise UnreadableFile(f"has more than one column {twins[0]}; which of them counts is not known")
    renamed = frame.rename({column: column.strip().upper() for column in frame.columns})
    return renamed.with_columns(pl.col(pl.String).str.strip_chars().replace("", None))


def _domain(frame: pl.DataFrame, name: str) -> str:
    """What the table says of itself before what its file is called."""
    if {"RDOMAIN", "QNAM"} <= set(frame.columns):
        return "SUPP" + _first(frame, "RDOMAIN")
    if "DOMAIN" in frame.columns and (domain := _first(frame, "DOMAIN")):
        return domain
    return name.strip().upper()


def _first(frame: pl.DataFrame, column: str) -> str:
    found = frame[column].drop_nulls()
    return str(found[0]).strip().upper() if len(found) else ""
