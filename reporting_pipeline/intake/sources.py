"""A path to documents: a file or a folder, SDTM or newline-delimited JSON, found out by what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from reporting_pipeline.intake import ndjson
from reporting_pipeline.intake.content import UnreadableFile, content_of, head_of, text_of
from reporting_pipeline.intake.documents import SourceDocument
from reporting_pipeline.intake.exchange import exchange_format_of
from reporting_pipeline.intake.mapping import TableMapping, mapped
from reporting_pipeline.intake.sdtm import documents as sdtm
from reporting_pipeline.intake.sdtm.copies import FromFile, without_copies
from reporting_pipeline.intake.sdtm.domains import ABOUT_THE_TRIAL, RELATIONS
from reporting_pipeline.intake.sdtm.formats import dataset_json
from reporting_pipeline.intake.sdtm.other_results import domain_of, is_named
from reporting_pipeline.intake.sdtm.tables import FORMATS, Table, read_tables, stem_of, suffix_of
from reporting_pipeline.intake.sdtm.trial import TrialFacts, trial_facts
from reporting_pipeline.intake.understanding import Understanding

_TABLES = tuple(FORMATS)
_LINES = (".ndjson", ".jsonl", ".json")
#: What people keep beside such files, and what to do with it.
_ADVICE = {
    **dict.fromkeys((".zip", ".7z", ".tar", ".rar", ".tgz"), "unpack it first"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save each of its sheets as CSV"),
    **dict.fromkeys((".sas7bdat", ".cpt", ".rda", ".rds", ".sav", ".dta"), "save it as XPT or CSV"),
    **dict.fromkeys((".txt", ".dat"), "a table is read as .csv or .tsv"),
    ".parquet": "save it as CSV",
}
_NAMED = 20  # trials that a message names
_HEAD = 65_536  # bytes that say what a file of JSON holds, nearly always


class SourceProblem(ValueError):
    """There is nothing to read at a path, or it does not say enough; the message says what to do."""


@dataclass(frozen=True)
class ImportSource:
    """What stands at a path, sorted out but not yet read as documents."""

    path: Path
    tables: dict[str, list[Table]]  # of SDTM, by name; {} when there are documents as lines
    files: tuple[Path, ...]  # of lines

    @property
    def is_sdtm(self) -> bool:
        return bool(self.tables)

    def facts(self, trial: str) -> TrialFacts:
        """The trial's title, sites and the rest, as far as the source says."""
        return trial_facts(trial, self.tables)

    def trials(self, trial: str | None) -> list[str]:
        """The trials that SDTM names, documents or not: its STUDYIDs, or `trial` in their place."""
        if not self.is_sdtm:
            return []
        named = _trial_of_sdtm(self.tables, trial)
        if named is None:
            return [trial] if trial else sdtm.studies_of(self.tables)
        return [named]

    def documents(
        self, understanding: Understanding, zone: ZoneInfo, trial: str | None
    ) -> Iterator[SourceDocument]:
        """Every document; `trial` chooses or names the trial.

        Raises SourceProblem, at the latest at the end, for a trial that is not there.
        """
        if self.is_sdtm:
            named = _trial_of_sdtm(self.tables, trial)
            understanding.note(
                "SDTM does not say when data arrived; each document stands on its collection date."
            )
            found = sdtm.documents_of(self.tables, understanding, named)
        else:
            found = self._from_lines(understanding, zone, trial)
        return found if trial is None else _of_trial(found, trial)

    def _from_lines(
        self, understanding: Understanding, zone: ZoneInfo, trial: str | None
    ) -> Iterator[SourceDocument]:
        for path in self.files:
            text, notes = text_of(content_of(path))
            for code, sentence in notes:
                understanding.finding(path.name, code, "", sentence)
            lines = ndjson.lines_of(text, path.name, understanding)
            yield from ndjson.documents_of(lines, understanding, zone, trial)


def open_source(
    path: Path,
    understanding: Understanding,
    progress: Callable[[str], None] = lambda name: None,
    mapping: TableMapping | None = None,
) -> ImportSource:
    """What stands at `path`. `progress` is called with the name of each file before it is read; `mapping`
    says how tables that are not SDTM are read.

    Raises SourceProblem when nothing there can be read, MappingProblem when the mapping does not fit.
    """
    files = _files(path)
    tables: list[Table] = []
    lines: list[Path] = []
    found: list[FromFile] = []
    if mapping is not None:
        tables, used = mapped(mapping, path, files, understanding)
        files = [file for file in files if file not in used]
    chosen, documents = _one_of_each_format(files, understanding)
    for file in chosen:
        progress(file.name)
        if (standard := exchange_format_of(file)) is not None:
            understanding.finding(file.name, "not_read", "", f"{file.name} was not read: {standard}.")
        elif file in documents:
            lines.append(file)
        elif suffix_of(file) in _TABLES:
            found += (FromFile(file, table) for table in _read(file, understanding))
    tables += without_copies(found, path, understanding)
    _refuse_nothing(path, files, tables, lines, understanding)
    if tables and lines:
        for file in lines:
            detail = f"{file.name} has documents as lines, beside tables of SDTM; read it by itself."
            understanding.finding(file.name, "not_read", "", detail)
        lines = []
    return ImportSource(path, sdtm.by_name(tables), tuple(lines))


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise SourceProblem(f"there is nothing at {path}")
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SourceProblem(f"{path} is neither a file nor a folder")
    found = sorted(
        (one for one in path.rglob("*") if one.is_file() and not _hidden(one, path)),
        key=lambda one: str(one.relative_to(path)).lower(),
    )
    if not found:
        raise SourceProblem(f"the folder {path} is empty; give a folder of SDTM or a file of documents")
    return found


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in file.relative_to(root).parts)


def _one_of_each_format(
    files: list[Path], understanding: Understanding
) -> tuple[list[Path], frozenset[Path]]:
    """(The files that can be read, those of them that hold documents); of one table in several formats in a
    folder the first of `FORMATS`."""
    chosen: dict[tuple[Path, str], Path] = {}
    rest: list[Path] = []
    documents: set[Path] = set()
    for file in files:
        suffix = suffix_of(file)
        if suffix not in (*_TABLES, *_LINES):
            _tell_not_read(file, understanding)
            continue
        if _holds_documents(file):
            documents.add(file)
        if suffix not in _TABLES or file in documents:
            rest.append(file)
            continue
        key = (file.parent, stem_of(file).upper())
        before = chosen.get(key)
        if before is None:
            chosen[key] = file
            continue
        better, other = sorted((before, file), key=lambda one: _TABLES.index(suffix_of(one)))
        chosen[key] = better
        understanding.finding(
            other.name,
            "other_format",
            "",
            f"The same table was read from {better.name}; this one was left out.",
        )
    found = sorted([*chosen.values(), *rest], key=lambda one: str(one).lower())
    return found, frozenset(documents)


def _tell_not_read(file: Path, understanding: Understanding) -> None:
    """A finding of what may hold data, and a note of the rest, as a define.xml or a form in PDF beside it."""
    advice = _ADVICE.get(suffix_of(file)) or exchange_format_of(file)
    if advice is None or file.name.startswith("~$"):
        formats = ", ".join(_TABLES)
        understanding.note(f"{file.name} was not read: it is none of {formats}, .jsonl (.gz).")
    else:
        understanding.finding(file.name, "not_read", "", f"{file.name} was not read: {advice}.")


def _holds_documents(file: Path) -> bool:
    """Whether a file of JSON holds documents rather than a table (Dataset-JSON)."""
    if suffix_of(file) not in _LINES:
        return False
    if suffix_of(file) == ".jsonl":
        return True
    try:
        is_table = dataset_json.looks_like_one(*head_of(file, _HEAD))
        if is_table is None:
            is_table = dataset_json.looks_like_one(text_of(content_of(file))[0])
    except UnreadableFile:
        return False
    return not is_table


def _read(file: Path, understanding: Understanding) -> Iterator[Table]:
    """The tables of SDTM that a file holds; what it holds else is told."""
    try:
        found = read_tables(file)
    except UnreadableFile as error:
        understanding.finding(file.name, "unreadable_file", "", f"{error}.")
        return
    for table in found:
        for code, sentence in table.notes:
            understanding.finding(file.name, code, "", f"{file.name}: {sentence}.")
        if table.is_analysis:
            detail = f"{file.name} is analysis data (ADaM): it has rows of SDTM once more, and derived ones."
            understanding.finding(file.name, "not_sdtm", table.name, detail)
        elif _names_a_domain(table):
            yield table
        elif domain := domain_of(table.columns, stem_of(file)):
            detail = f"{file.name} names no domain; by its columns or its name it was read as {domain}."
            understanding.finding(file.name, "assumed_domain", "DOMAIN", detail)
            yield table.called(domain)
        else:
            detail = f"{file.name} is no table of SDTM: neither its name nor a column DOMAIN names one."
            understanding.finding(file.name, "not_sdtm", table.name, detail)


def _names_a_domain(table: Table) -> bool:
    named = is_named(table.name, table.columns) or table.name in ABOUT_THE_TRIAL | RELATIONS
    return named or table.name.startswith("SUPP") or "DOMAIN" in table.columns


def _refuse_nothing(
    path: Path,
    files: Sequence[Path],
    tables: Sequence[Table],
    lines: Sequence[Path],
    understanding: Understanding,
) -> None:
    if tables or lines:
        return
    reasons = [finding.detail for finding in understanding.findings] or understanding.notes
    told = " ".join(reasons[:3])
    raise SourceProblem(
        f"nothing at {path} can be read ({len(files)} files). Give a folder of SDTM "
        f"(.xpt, Dataset-JSON .json, .csv) or documents as .ndjson. {told}".strip()
    )


def _trial_of_sdtm(tables: dict[str, list[Table]], trial: str | None) -> str | None:
    """The name that all rows get, or None when STUDYID says it (and `trial` chooses among several)."""
    studies = sdtm.studies_of(tables)
    if len(studies) <= 1:
        return trial or (studies[0] if studies else None)
    if trial is not None and trial not in studies:
        raise SourceProblem(f"there is no trial {trial} in it; the STUDYIDs are {', '.join(studies[:20])}")
    return None


def _of_trial(documents: Iterator[SourceDocument], trial: str) -> Iterator[SourceDocument]:
    others: set[str] = set()
    found = False
    for document in documents:
        if document.trial == trial:
            found = True
            yield document
        elif len(others) < _NAMED:
            others.add(document.trial)
    if others and not found:
        raise SourceProblem(f"no document of trial {trial} is in it; there are {', '.join(sorted(others))}")
