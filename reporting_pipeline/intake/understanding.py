"""What a source was understood to hold: told to whoever brought it, so that nothing is lost in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reporting_pipeline.domain.clinical.findings import SourceFinding
from reporting_pipeline.intake.documents import SourceDocument

Record = dict[str, Any]


def counted(number: int, noun: str) -> str:
    """ "1 row", "2,301 rows"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


#: What each code of a `SourceFinding` means. Codes are stable.
SOURCE_FINDING_CODES: Mapping[str, str] = {
    "unreadable_file": "The file cannot be read; nothing of it was taken in.",
    "not_read": "The file may hold data and was not read; the detail says what to do.",
    "unreadable_line": "The line is no document; it was left out.",
    "unknown_field": "The document has no such field; it was left out.",
    "wrong_type": "A field holds a value of another kind than it asks for.",
    "missing_field": "A field that a document cannot do without is missing.",
    "assumed_id": "The document has no id; it got one that follows from its content.",
    "assumed_arrival": "The document does not say when it arrived; its collection date stands for it.",
    "no_arrival": "The document says neither when it arrived nor when it was collected; it is in no period.",
    "assumed_timezone": "An instant without an offset; it was read in the report's timezone.",
    "refused": "The document cannot be taken in; the field says why.",
    "duplicate_id": "Two documents have one id; the later version stands, else the later one in the source.",
    "withheld": "The document was read by somebody who must not see all of it; what is withheld is missing.",
    "duplicate_key": "Two rows of a table have one key, as --SEQ; both are kept and counted.",
    "no_site": "The subject's site is not known; the document stands at the site 'unknown'.",
    "no_kind": "The table is of a domain that no kind of document holds; its rows were left out.",
    "unblinding": "It tells who gets the treatment: tables are left out, results are in no blinded report.",
    "no_place": "The column has no place in a document; its values were left out.",
    "no_subject": "The row names no subject.",
    "not_a_number": "The value is no number; it was kept as text.",
    "unmatched_supplement": "A supplemental qualifier names no row of its domain.",
    "supplement_contradicts": "A supplemental qualifier says something else than its row, or than another.",
    "near_subjects": "Subject numbers differ in case, blanks or leading zeros alone; they are two persons.",
    "changed_subjects": "Subject numbers that a spreadsheet has changed; several persons may be one.",
    "death_in_dm_alone": "DM alone tells of a death, in a record of another day; it counts on its own.",
    "death_left_out": "A comment, column or table that is left out names a death; it is in no count.",
    "decimal_sign": "Numbers with two readings, as 250.000, were read by the decimal sign of the others.",
    "ambiguous_number": "Numbers with two readings stand beside both decimal signs; they were kept as text.",
    "rescreened": "A person has another subject number, too, as who is screened again; they count as two.",
    "same_rows": "Rows of a table say the same in everything but --SEQ; all are kept and counted.",
    "no_lesion": "Which lesion a tumour result is about is not said, or TU does not identify it.",
    "lesion_contradicts": "A lesion is identified in two ways; neither type or place is taken.",
    "shared_event": "Rows of a subject have one AESPID, and may be parts of one event; each counts.",
    "near_studies": "Two STUDYIDs differ in nothing but case, blanks or signs; they are different trials.",
    "unreadable_row": "A row of the table cannot be read; it was left out, the others were read.",
    "short_row": "A row has fewer cells than the header; what is missing was read as empty.",
    "comment": "Comments stand before the header of a table; they were left out.",
    "title": "Lines stand above the header of a table, as a title; they were left out.",
    "duplicate_column": "A table has two columns of one name; where they differ both were left out.",
    "duplicate_field": "An object names one field twice; the later value was read.",
    "record_count": "The file has another number of rows than it says; some may be missing.",
    "encoding": "The file is not UTF-8 and does not say what it is; what cannot be told stands as \ufffd.",
    "other_format": "The same table stands in another format, too; only one of them was read.",
    "same_table": "The same rows stand in another file, too; only one of them was read.",
    "assumed_domain": "A table names no domain; its columns or its name say which it is.",
    "withdrawn": "The document says that it was withdrawn, or corrected by a later version; it was left out.",
    "animals": "The tables are of animals (SEND); reports are made for trials with people.",
    "not_sdtm": "The file is no table of SDTM; it was left out.",
}


@dataclass
class Understanding:
    """Counts and findings of one reading, filled while the documents are read."""

    rows: Counter[str] = field(default_factory=Counter)  # file or table -> rows or lines read
    documents: Counter[tuple[str, str]] = field(default_factory=Counter)  # (trial, kind) -> documents
    unplaced: Counter[str] = field(default_factory=Counter)  # column or field -> values left out
    units: dict[str, Counter[str]] = field(default_factory=dict)  # test code -> standard unit -> results
    codes: dict[str, Counter[str]] = field(default_factory=dict)  # coded field -> value -> times
    findings: list[SourceFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # sentences about the whole

    def finding(self, document: str, code: str, name: str, detail: str) -> None:
        self.findings.append(SourceFinding(document, code, name, detail))

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def saw(self, record: Record) -> None:
        """Count one document: its kind, units and codes."""
        self.documents[record["trial"], str(record["kind"])] += 1
        data = record.get("data")
        if not isinstance(data, dict):
            return
        self._saw_codes(data, ("severity", "serious", "outcome", "grade"))
        results = data.get("results")
        for result in results if isinstance(results, list) else ():
            if isinstance(result, dict):
                self._saw_codes(result, ("indicator", "status"))
                if result.get("value") is not None:
                    code, unit = str(result.get("test_code")), str(result.get("unit") or "")
                    self.units.setdefault(code, Counter())[unit] += 1

    def _saw_codes(self, source: Record, names: tuple[str, ...]) -> None:
        for name in names:
            if name in source:
                self.codes.setdefault(name, Counter())[_shown(source[name])] += 1

    def trials(self) -> list[str]:
        return sorted({trial for trial, _ in self.documents})

    def kinds(self) -> Iterator[tuple[str, int]]:
        """(kind, documents) over all trials, most first."""
        counts: Counter[str] = Counter()
        for (_, kind), count in self.documents.items():
            counts[kind] += count
        yield from counts.most_common()


def tell_older(document: SourceDocument, understanding: Understanding) -> None:
    """That a later version of the document stood before it in the source."""
    detail = f"Version {document.version} stands behind a later one, which counts."
    understanding.finding(document.source_id, "duplicate_id", "version", detail)


def _shown(value: object) -> str:
    if value is None or value == "":
        return "(not given)"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)[:60]
