"""Tables of SDTM to documents: one per subject and day of measurements, one per row of the rest.

A document's key, and so its stored id, follows from trial, kind, subject and day or --SEQ: the same
source gives the same ids, and a corrected row changes its document instead of adding one. Rows that
share a key, or have none, are told apart by their content.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby

import polars as pl

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.domain.clinical.blinding import UNBLINDING_DOMAINS
from reporting_pipeline.domain.clinical.subjects import UNKNOWN_SITE
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.intake.documents import SourceDocument
from reporting_pipeline.intake.sdtm.columns import Domain, text
from reporting_pipeline.intake.sdtm.deaths import called_dead, deaths_of_dm_alone
from reporting_pipeline.intake.sdtm.decimals import with_one_reading
from reporting_pipeline.intake.sdtm.domains import ABOUT_THE_TRIAL, DOMAINS, STRUCTURAL, STRUCTURAL_SUFFIXES
from reporting_pipeline.intake.sdtm.left_out import tell_deaths_left_out
from reporting_pipeline.intake.sdtm.lesions import Lesions
from reporting_pipeline.intake.sdtm.other_results import domain_for
from reporting_pipeline.intake.sdtm.planned import PlannedDays
from reporting_pipeline.intake.sdtm.rescreened import tell_rescreened
from reporting_pipeline.intake.sdtm.supplements import MOST_TOLD, Supplements, supplements_of
from reporting_pipeline.intake.sdtm.tables import Row, Table
from reporting_pipeline.intake.sdtm.trial import Sites, subject_of
from reporting_pipeline.intake.sdtm.unblinding import Unblinding
from reporting_pipeline.intake.understanding import Understanding, counted

_DAY_LENGTH = len("2026-11-16")


def by_name(tables: Iterable[Table]) -> dict[str, list[Table]]:
    """Tables by their name; a domain may be split over several files, a file may hold several."""
    found: dict[str, list[Table]] = {}
    for table in (one for some in tables for one in some.by_domain()):
        found.setdefault(table.name, []).append(table)
    return found


def studies_of(tables: Mapping[str, Sequence[Table]]) -> list[str]:
    """Every STUDYID that occurs in a table of a domain, in order."""
    found: set[str] = set()
    for table in (one for some in tables.values() for one in some):
        if "STUDYID" in table.columns:
            found.update(text(study) for study in table.frame["STUDYID"].drop_nulls().unique())
    return sorted(found)


def documents_of(
    tables: Mapping[str, list[Table]], understanding: Understanding, trial: str | None = None
) -> Iterator[SourceDocument]:
    """The documents of a folder's tables, domain by domain; `understanding` is filled meanwhile.

    `trial` names the trial of all rows; without it a row's STUDYID does.
    """
    folder = _Folder(Sites(tables), PlannedDays(tables), Unblinding(tables), Lesions(tables))
    _tell_near_studies(tables, understanding)
    _tell_near_subjects(tables, understanding)
    _tell_subjects_without_dm(tables, understanding)
    tell_rescreened(tables, understanding)
    died_by_dm_alone = deaths_of_dm_alone(tables, understanding)
    _tell_animals(tables, understanding)
    if not tables.get("DM"):
        understanding.note("There is no DM: the subjects' sites are not known, unless a table has SITEID.")
    for name in sorted(tables, key=_reading_order):
        domain = _domain_for(name, tables[name])
        if domain is not None:
            supplements = supplements_of(tables, name)
            reading = _Reading(domain, supplements, folder, trial, understanding)
            for table in tables[name]:
                _tell_same_rows(domain, table, understanding)
                yield from reading.documents(with_one_reading(domain.code, table, understanding))
            if name == "DM":
                yield from map(reading.death_of, died_by_dm_alone)
            reading.tell_more_parts()
            folder.unblinding.tell(domain.code, understanding)
            folder.lesions.tell(domain.code, understanding)
            supplements.tell(understanding)
            _tell_unplaced(domain, tables[name], supplements, understanding)
        else:
            _tell_without_kind(name, tables, understanding)
    folder.unblinding.tell_visits(understanding)
    tell_deaths_left_out(
        tables,
        lambda name, column: (
            (domain := _domain_for(name, tables.get(name, ()))) is not None and _has_place(domain, column)
        ),
        called_dead(tables),
        understanding,
        MOST_TOLD,
    )


def _domain_for(name: str, tables: Sequence[Table]) -> Domain | None:
    return domain_for(name, {column for table in tables for column in table.columns})


@dataclass(frozen=True)
class _Folder:
    """What one table of a folder says about the rows of others."""

    sites: Sites
    planned_days: PlannedDays
    unblinding: Unblinding
    lesions: Lesions


class _Reading:
    """One domain while its documents are made."""

    def __init__(
        self,
        domain: Domain,
        supplements: Supplements,
        folder: _Folder,
        trial: str | None,
        understanding: Understanding,
    ) -> None:
        self._domain = domain
        self._supplements = supplements
        self._folder = folder
        self._trial = trial
        self._understanding = understanding
        self._keys: set[tuple[str, ...]] = set()
        self._without_site: set[tuple[str, str]] = set()
        self._without_study = False
        self._parts: dict[tuple[str, str, str], str] = {}
        self._more_parts = 0

    def documents(self, table: Table) -> Iterator[SourceDocument]:
        self._understanding.rows[f"{table.name} ({table.source})"] += len(table)
        rows = self._supplements.joined(_sorted(self._domain, table.frame).iter_rows(named=True))
        if not self._domain.grouped:
            for row in rows:
                yield self._document([row], self._domain.key_of(row))
            return
        for (_, _, day, _), group in groupby(rows, key=self._group):
            yield self._document(list(group), (day,))

    def _group(self, row: Row) -> tuple[str, str, str, str]:
        day = self._domain.when(row)[:_DAY_LENGTH]
        return text(row.get("STUDYID")), subject_of(row), day, self._site_in_key(row, subject_of(row))

    def _site_in_key(self, row: Row, subject: str) -> str:
        """The row's site, where the subject's number alone does not say who it is."""
        return (
            text(row.get("SITEID"))
            if self._folder.sites.are_several(text(row.get("STUDYID")), subject)
            else ""
        )

    def _document(self, rows: list[Row], key: tuple[str, ...]) -> SourceDocument:
        domain, first = self._domain, rows[0]
        subject = subject_of(first)
        payloads = [domain.payload(row) for row in rows]
        self._folder.unblinding.mark_visits(payloads)
        if domain.grouped:
            self._folder.unblinding.mark(payloads)
        if domain.kind == Kind.TUMOUR_RESPONSE.value:
            self._folder.lesions.name(domain.code, rows, payloads)
        self._tell_repeated(rows, subject)
        data = {"results": payloads} if domain.grouped else payloads[0]
        trial = self._trial or text(first.get("STUDYID")) or self._unknown_trial()
        if site := self._site_in_key(first, subject):
            key = (f"at {site}", *key)
        full = self._unique((trial, subject, *key), data)[1:]
        source_id = "/".join((domain.code, *full))
        self._tell(source_id, subject, payloads)
        self._tell_parts(source_id, trial, subject, first)
        return SourceDocument(
            source_id=source_id,
            trial=trial,
            site=self._site(source_id, subject, first),
            subject=subject,
            kind=domain.kind,
            title=domain.title(payloads[0], text(first.get("VISIT"))) or domain.kind,
            collected=max(domain.when(row) for row in rows) or self._planned(source_id, payloads[0], first),
            data=data,
            key=(domain.code, *full) if domain.second else full,
            from_table=True,
        )

    def death_of(self, row: Row) -> SourceDocument:
        """The death that a row of DM tells, on its own day."""
        subject, day = subject_of(row), text(row.get("DTHDTC"))
        data = {"term": "Death, by the subject's record", "decoded": "DEATH", "category": "SUBJECT RECORD"}
        trial = self._trial or text(row.get("STUDYID")) or self._unknown_trial()
        at = (f"at {site}",) if (site := self._site_in_key(row, subject)) else ()
        _, *key = self._unique((trial, subject, *at, "death"), data)
        source_id = "/".join((self._domain.code, *key))
        return SourceDocument(
            source_id=source_id,
            trial=trial,
            site=self._site(source_id, subject, row),
            subject=subject,
            kind=Kind.DISPOSITION.value,
            title="Death",
            collected=day,
            data={**data, "start": day},
            key=(self._domain.code, *key),
            from_table=True,
        )

    def _planned(self, source_id: str, payload: Mapping[str, object], row: Row) -> str:
        """The planned day of a visit that is said to be missed: it has no other. "" where nobody says it."""
        if self._domain.kind != Kind.VISIT.value or payload.get("occurred") is not False:
            return ""
        if day := self._folder.planned_days.of(row):
            detail = f"The visit was missed and has no date; it counts on the day it was planned for, {day}."
            self._understanding.finding(source_id, "planned_day", "SVSTDTC", detail)
        return day

    def _unique(self, key: tuple[str, ...], data: Mapping[str, object]) -> tuple[str, ...]:
        """`key`, with a mark of the content when it names nothing or was given before."""
        if key in self._keys and any(key[2:]):
            self._tell_twin(key)
        if key in self._keys and not self._domain.key and key[1]:
            detail = f"{self._domain.code} has another row of {key[1]}; both are kept, as one person."
            self._understanding.finding(
                "/".join((self._domain.code, *key[1:])), "duplicate_key", "USUBJID", detail
            )
        if (len(key) > len(("trial", "subject")) and not any(key[2:])) or key in self._keys:
            content = sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:12]
            marked, times = (*key, content), 1
            while marked in self._keys:
                times += 1
                marked = (*key, content, str(times))
            key = marked
        self._keys.add(key)
        return key

    def _tell_repeated(self, rows: list[Row], subject: str) -> None:
        """Rows of measurements that have one --SEQ: both stand in the document, and count."""
        if not self._domain.grouped or len(rows) < 2:
            return
        seen: set[tuple[str, ...]] = set()
        for key in map(self._domain.key_of, rows):
            if key in seen and any(key):
                self._tell_twin(("", subject, *key), repeated=True)
            seen.add(key)

    def _tell_twin(self, key: tuple[str, ...], *, repeated: bool = False) -> None:
        named = " and ".join(map(self._domain.name, self._domain.key))
        if named and (repeated or not self._domain.grouped):
            detail = f"Another row of {key[1] or 'nobody'} has this {named}; both are kept and counted."
            self._understanding.finding(
                "/".join((self._domain.code, *key[1:])), "duplicate_key", named, detail
            )

    def _tell_parts(self, source_id: str, trial: str, subject: str, row: Row) -> None:
        """Rows of one event, as some collect each change of severity: each counts, and is told."""
        identifier = text(row.get("AESPID"))
        if not identifier or self._domain.code != "AE":
            return
        first = self._parts.setdefault((trial, subject, identifier), source_id)
        if first == source_id:
            return
        self._more_parts += 1
        if self._more_parts <= MOST_TOLD:
            detail = f"AESPID {identifier} of {subject or 'nobody'} is that of {first}, too; both count."
            self._understanding.finding(source_id, "shared_event", "AESPID", detail)

    def tell_more_parts(self) -> None:
        """How many more were found than are told one by one. To be asked after all rows were read."""
        if (more := self._more_parts - MOST_TOLD) > 0:
            self._understanding.finding(self._domain.code, "shared_event", "AESPID", f"And {more:,} more.")

    def _unknown_trial(self) -> str:
        if not self._without_study:
            self._without_study = True
            detail = f"Rows of {self._domain.code} name no study, as others do; they are a trial 'unknown'."
            self._understanding.finding(self._domain.code, "missing_field", "STUDYID", detail)
        return "unknown"

    def _site(self, source_id: str, subject: str, row: Row) -> str:
        site = text(row.get("SITEID")) or self._folder.sites.of(text(row.get("STUDYID")), subject)
        if site:
            return site
        if (text(row.get("STUDYID")), subject) not in self._without_site:
            self._without_site.add((text(row.get("STUDYID")), subject))
            several = self._folder.sites.are_several(text(row.get("STUDYID")), subject)
            why = "stands at several sites in DM" if several else "is not known"
            self._understanding.finding(
                source_id, "no_site", "SITEID", f"The site of subject {subject or '(none)'} {why}."
            )
        return UNKNOWN_SITE

    def _tell(self, source_id: str, subject: str, payloads: list[dict[str, object]]) -> None:
        if not subject:
            self._understanding.finding(source_id, "no_subject", "USUBJID", "The row names no subject.")
        for position, payload in enumerate(payloads):
            where = f"results[{position}]." if self._domain.grouped else ""
            for name in _NUMBERS & payload.keys():
                if isinstance(payload[name], str) and not (name == "grade" and _is_grade(payload[name])):
                    detail = f"{payload[name]!r} is no number; it was kept as text."
                    self._understanding.finding(source_id, "not_a_number", where + name, detail)


def _is_grade(value: object) -> bool:
    return codes.read_grade(value) is not None


_NUMBERS = frozenset({"value", "visit_number", "grade", "age", "dose"})


def _sorted(domain: Domain, frame: pl.DataFrame) -> pl.DataFrame:
    """By study, subject, day where rows are grouped, and --SEQ or the domain's key; else as they stand."""
    who = ("STUDYID", "USUBJID") if "USUBJID" in frame.columns else ("STUDYID", "SUBJID")
    keys: list[pl.Expr] = [pl.col(name) for name in who if name in frame.columns]
    if domain.grouped and (when := domain.name(domain.collected[0])) in frame.columns:
        day = pl.col(when).cast(pl.String).str.slice(0, _DAY_LENGTH).fill_null("")
        keys += [day, *(pl.col(name) for name in ("SITEID",) if name in frame.columns)]
    keys += [
        pl.col(name).cast(pl.Float64, strict=False)
        for name in map(domain.name, domain.key)
        if name in frame.columns
    ]
    return frame.sort(keys, maintain_order=True, nulls_last=True) if keys else frame


def _reading_order(name: str) -> tuple[int, str]:
    """In the order in which `DOMAINS` has them, which is the reader's."""
    known = list(DOMAINS)
    return (known.index(name) if name in DOMAINS else len(known), name)


# --- what has no place ---------------------------------------------------------------------------


def _tell_unplaced(
    domain: Domain, tables: Sequence[Table], supplements: Supplements, understanding: Understanding
) -> None:
    for table in tables:
        for name in table.columns:
            values = len(table) - table.frame[name].null_count()
            if values and not _has_place(domain, name):
                understanding.unplaced[f"{domain.code}.{name}"] += values
    for name, values in supplements.names.items():
        if not _has_place(domain, name):
            understanding.unplaced[f"SUPP{domain.code}.{name}"] += values


def _tell_same_rows(domain: Domain, table: Table, understanding: Understanding) -> None:
    """Rows that differ in --SEQ alone may be one result or event that was sent twice."""
    sequence = domain.name("--SEQ")
    if sequence not in table.columns or len(table) < 2:
        return
    said = table.frame.drop(sequence)
    if more := table.frame.n_unique() - said.n_unique():  # what shares its --SEQ, too, is told as that
        first = table.frame.row(said.is_duplicated().arg_true()[0], named=True)
        detail = (
            f"Rows of {domain.code} repeat another one in everything but {sequence}: {more:,}, first of "
            f"{subject_of(first) or 'nobody'}; all are kept and counted."
        )
        understanding.finding(table.source, "same_rows", sequence, detail)


def _tell_near_studies(tables: Mapping[str, Sequence[Table]], understanding: Understanding) -> None:
    spelled: dict[str, list[str]] = {}
    for study in studies_of(tables):
        spelled.setdefault("".join(filter(str.isalnum, study)).upper(), []).append(study)
    for alike in (one for one in spelled.values() if len(one) > 1):
        detail = f"{' and '.join(alike)} are read as different trials; give --trial if they are one."
        understanding.finding("STUDYID", "near_studies", "STUDYID", detail)


def _tell_animals(tables: Mapping[str, Sequence[Table]], understanding: Understanding) -> None:
    """SEND has the tables of SDTM, of animals: nothing of a report's words fits them."""
    kept = {
        codes.folded(text(name))
        for table in tables.get("DM", ())
        if "SPECIES" in table.columns
        for name in table.frame["SPECIES"].drop_nulls().unique()
    } - {"", "HUMAN", "HOMO SAPIENS"}
    if kept:
        detail = (
            f"DM names the species {', '.join(sorted(kept))}: these are animals (SEND), and what the report "
            "calls subjects, deaths and discontinuations is theirs."
        )
        understanding.finding("DM", "animals", "SPECIES", detail)


def _tell_near_subjects(tables: Mapping[str, Sequence[Table]], understanding: Understanding) -> None:
    """Subject numbers that differ in capitals, blanks or leading zeros alone: two persons, as they stand."""
    spelled: dict[str, set[str]] = {}
    for table in (one for name, some in tables.items() if _domain_for(name, some) for one in some):
        column = next((name for name in ("USUBJID", "SUBJID") if name in table.columns), None)
        for subject in map(text, table.frame[column].drop_nulls().unique() if column else ()):
            plain = _LEADING_ZEROS.sub("", "".join(subject.split()).upper())
            spelled.setdefault(plain, set()).add(subject)
    for alike in (sorted(one) for one in spelled.values() if len(one) > 1):
        detail = f"{' and '.join(alike)} are read as different persons."
        understanding.finding("USUBJID", "near_subjects", "USUBJID", detail)
    subjects = sorted(one for some in spelled.values() for one in some)
    if changed := [one for one in subjects if _OF_A_SPREADSHEET.fullmatch(one)]:
        more = f" and {len(changed) - MOST_TOLD:,} more" if len(changed) > MOST_TOLD else ""
        detail = (
            f"Subject numbers look as if a spreadsheet had changed them: {', '.join(changed[:MOST_TOLD])}"
            f"{more}. Several persons may have become one; export them as text."
        )
        understanding.finding("USUBJID", "changed_subjects", "USUBJID", detail)


#: What becomes of "123456789012", of "100000" written as 1E5, and of "1-2": 1.23457E+11, 1.00E+05, 02-Jan.
_OF_A_SPREADSHEET = re.compile(
    r"\d(?:[.,]\d+)?E\+?\d+|\d{1,2}-(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)(?:-\d{2})?|"
    r"(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)-\d{2}",
    re.IGNORECASE,
)


def _tell_subjects_without_dm(tables: Mapping[str, Sequence[Table]], understanding: Understanding) -> None:
    """Persons whom a table names and DM does not have: they count, and nothing else is known of them."""
    known = {subject_of(row) for table in tables.get("DM", ()) for row in table.rows()}
    if not known:
        return
    for name in sorted(tables):
        if name == "DM" or not _domain_for(name, tables[name]):
            continue
        named = {subject_of(row) for table in tables[name] for row in _subjects_in(table)}
        if strangers := sorted(named - known - {""}):
            listed = ", ".join(strangers[:MOST_TOLD])
            more = f" and {len(strangers) - MOST_TOLD:,} more" if len(strangers) > MOST_TOLD else ""
            detail = (
                f"{name} names subjects that DM does not have: {listed}{more}. They are counted as persons."
            )
            understanding.finding(name, "not_in_dm", "USUBJID", detail)


def _subjects_in(table: Table) -> Iterator[Row]:
    names = [name for name in ("USUBJID", "SUBJID") if name in table.columns]
    return table.frame.select(names).unique().iter_rows(named=True) if names else iter(())


_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")


def _has_place(domain: Domain, name: str) -> bool:
    return name in domain.used or name in STRUCTURAL or name.removeprefix(domain.code) in STRUCTURAL_SUFFIXES


def _tell_without_kind(
    name: str, tables: Mapping[str, Sequence[Table]], understanding: Understanding
) -> None:
    supplement = name.startswith("SUPP")
    if name in ABOUT_THE_TRIAL or (supplement and name.removeprefix("SUPP") in tables):
        for table in tables[name]:
            understanding.rows[f"{table.name} ({table.source})"] += len(table)
        return
    for table in tables[name]:
        understanding.rows[f"{table.name} ({table.source})"] += len(table)
        what = f"{table.name or 'A table without a name'} ({counted(len(table), 'row')})"
        if name.removeprefix("SUPP") in UNBLINDING_DOMAINS:
            detail = f"{what} tells who gets the treatment; it was left out, and no report shows it."
            understanding.finding(table.source, "unblinding", table.name, detail)
        else:
            detail = f"{what} has no kind of document; it was left out."
            understanding.finding(table.source, "no_kind", table.name, detail)
