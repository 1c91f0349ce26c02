"""Which domain of SDTM becomes which kind of document, and which column which field of its payload.

`--` in a column's name stands for the domain's two letters, as in the SDTM Implementation Guide 3.4.
A column that no field reads is told as "without a place", with the number of its values. Adding a
domain is adding a `Domain` here; nothing else knows their names. Domains of the findings class that are
not here are read as other results (`other_results`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.domain.clinical.dates import iso
from reporting_pipeline.domain.clinical.numbers import plain
from reporting_pipeline.domain.documents import Kind

Row = Mapping[str, Any]
Payload = dict[str, Any]

#: Values that mean "nothing" in a column of numbers.
_NO_NUMBER = frozenset({"", ".", "NA", "NAN", "NULL"})


def text(value: Any) -> str:
    """A cell as text; "" when it is empty. Whole numbers are written without a point."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def number(value: Any) -> float | str | None:
    """A cell as a number; a text that is none stays text, so that it is told and not lost."""
    if value is None or isinstance(value, float):
        return value
    written = str(value).strip()
    if written.upper() in _NO_NUMBER:
        return None
    read = plain(written)  # "88,4" as well
    return written if read is None else read


def flag(value: Any) -> bool | str | None:
    """Y and N as true and false; empty is not known; any other word stays as it came."""
    written = text(value).strip()
    return {"Y": True, "N": False, "": None}.get(written.upper(), written)


def grade(value: Any) -> float | str | None:
    """A toxicity grade: "3", "GRADE 3" and 3 are one."""
    written = text(value).strip()
    return number(written.upper().removeprefix("GRADE").strip()) if written else None


@dataclass(frozen=True)
class DomainColumn:
    """One field of a payload: the first of `names` that has a value, read by `read`."""

    field: str
    names: tuple[str, ...]  # "--TESTCD", "VISIT"
    read: Callable[[Any], Any] = text


def column(field_name: str, *names: str, read: Callable[[Any], Any] = text) -> DomainColumn:
    return DomainColumn(field_name, names, read)


@dataclass(frozen=True)
class Domain:
    """One domain: its kind, its columns, when it was collected, and how one document is told from others.

    `grouped`: one document holds the results of one subject and day. `finish` sees the payload and the
    row after the columns were read. `also` names columns that `finish` or the reader use.
    """

    code: str
    kind: str  # of Kind
    columns: tuple[DomainColumn, ...]
    collected: tuple[str, ...]  # the first that has a value says when the row was collected
    title: Callable[[Payload, str], str]  # of the payload, and the visit of the row
    grouped: bool = False
    key: tuple[str, ...] = ("--SEQ",)
    finish: Callable[[Payload, Row], None] = lambda payload, row: None
    also: tuple[str, ...] = ()
    second: bool = False  # another domain has this kind, too: the letters are part of a document's key

    def name(self, column_name: str) -> str:
        return column_name.replace("--", self.code)

    @cached_property
    def used(self) -> frozenset[str]:
        """Every column that has a place."""
        names = [name for one in self.columns for name in one.names]
        return frozenset(self.name(name) for name in (*names, *self.collected, *self.key, *self.also))

    def payload(self, row: Row) -> Payload:
        """The payload's fields of one row; of a grouped domain, one result."""
        made = {field: read(_first(names, row)) for field, names, read in self._readers}
        self.finish(made, row)
        return made

    def when(self, row: Row) -> str:
        """When the row was collected, ISO 8601 as it stands; "" when it does not say."""
        return iso(text(_first(self._when, row)))

    def key_of(self, row: Row) -> tuple[str, ...]:
        """What tells the row from the others of its subject; "" where the row does not say."""
        return tuple(_key_part(name, row.get(self.name(name))) for name in self.key)

    @cached_property
    def _readers(self) -> list[tuple[str, tuple[str, ...], Callable[[Any], Any]]]:
        return [(one.field, tuple(map(self.name, one.names)), one.read) for one in self.columns]

    @cached_property
    def _when(self) -> tuple[str, ...]:
        return tuple(map(self.name, self.collected))


def _key_part(name: str, value: Any) -> str:
    """1, 1.0 and "1.0" are one number in every format; visits are numbered in fractions."""
    numbered = number(value)
    if not isinstance(numbered, float):
        return text(value)
    return str(numbered) if name == "VISITNUM" else text(numbered)


def _first(names: tuple[str, ...], row: Row) -> Any:
    for name in names:
        value = row.get(name)
        if value is not None and value != "":
            return value
    return None


def sentence(written: str) -> str:
    """The source shouts; a title is read by people."""
    return written[:1].upper() + written[1:].lower() if written.upper() == written else written


def _at_visit(what: str) -> Callable[[Payload, str], str]:
    return lambda payload, visit: f"{what}, {sentence(visit)}" if visit else what


def _titled(*fields: str) -> Callable[[Payload, str], str]:
    def title(payload: Payload, visit: str) -> str:
        return sentence(next((str(payload[name]) for name in fields if payload.get(name)), ""))

    return title


# --- measurements --------------------------------------------------------------------------------

_RESULT = (
    column("test_code", "--TESTCD"),
    column("test", "--TEST"),
    column("category", "--CAT"),
    column("specimen", "--SPEC"),
    column("method", "--METHOD"),
    column("position", "--POS"),
    column("laterality", "--LAT"),
    column("visit", "VISIT"),
    column("visit_number", "VISITNUM", read=number),
    column("collected", "--DTC"),
    column("original_result", "--ORRES"),
    column("original_unit", "--ORRESU"),
    column("original_low", "--ORNRLO", read=number),
    column("original_high", "--ORNRHI", read=number),
    column("value", "--STRESN", read=number),
    column("unit", "--STRESU"),
    column("low", "--STNRLO", read=number),
    column("high", "--STNRHI", read=number),
    column("reference_text", "--STNRC"),
    column("derived", "--DRVFL", read=flag),
    column("baseline", "--BLFL", "--LOBXFL", read=flag),
    column("indicator", "--NRIND"),
    column("grade", "--TOXGR", read=grade),
    column("clinically_significant", "--CLSIG", read=flag),
    column("status", "--STAT"),
    column("reason_not_done", "--REASND"),
)
_BELOW_LIMIT = frozenset({"BLQ", "BLOQ", "LLOQ", "LLQ", "BQL"})


def _without_empty(payload: Payload, *names: str) -> None:
    """Leave out fields that came later than the first imports: an empty one makes no row another."""
    for name in names:
        if payload[name] in (None, ""):
            del payload[name]


def _result(code: str) -> Callable[[Payload, Row], None]:
    """A result that is no number is one in words; one under the limit of quantification is censored."""

    def finish(result: Payload, row: Row) -> None:
        _without_empty(result, "reference_text", "derived", "baseline")
        result["text_result"] = ""
        if isinstance(result["value"], float):
            return
        standard = text(row.get(f"{code}STRESC"))
        result["text_result"] = standard or result["original_result"] or result["status"]
        lowest = number(row.get(f"{code}LLOQ"))
        written = result["text_result"].upper().replace("<", "").strip()
        if isinstance(lowest, float) and written in _BELOW_LIMIT:
            result["comparator"], result["value"] = "<", lowest

    return finish


def measurements(
    code: str,
    kind: str,
    title: str,
    second: bool = False,
    more: tuple[DomainColumn, ...] = (),
    finish: Callable[[Payload, Row], None] = lambda result, row: None,
    also: tuple[str, ...] = (),
) -> Domain:
    """A domain of results; `more`, `finish` and `also` are what it has beside those of all measurements."""
    as_result = _result(code)

    def finish_both(result: Payload, row: Row) -> None:
        as_result(result, row)
        finish(result, row)

    return Domain(
        code=code,
        kind=kind,
        columns=(*_RESULT, *more),
        collected=("--DTC",),
        title=_at_visit(title),
        grouped=True,
        finish=finish_both,
        also=("--STRESC", "--LLOQ", *also),
        second=second,
    )


# --- events, interventions, subjects ---------------------------------------------------------------

_CRITERIA = {
    "AESDTH": "death",
    "AESLIFE": "life_threatening",
    "AESHOSP": "hospitalisation",
    "AESDISAB": "disability",
    "AESCONG": "congenital_anomaly",
    "AESMIE": "other_medically_important",
}


def _adverse_event(event: Payload, row: Row) -> None:
    """The criteria that are met; an answer that is neither yes nor no stands with its column, to be told."""
    met: list[str] = []
    for name, criterion in _CRITERIA.items():
        answer = codes.read_flag(row.get(name))
        if answer == codes.YES:
            met.append(criterion)
        elif answer is None:
            met.append(f"{name}: {text(row.get(name))}")
    denied = codes.read_flag(row.get("AESDTH")) == codes.NO
    if denied and codes.is_fatal_outcome(text(row.get("AEOUT"))):
        event["seriousness_criteria"] = {**dict.fromkeys(met, "Y"), "death": "N"}
    else:
        event["seriousness_criteria"] = met
    _occurrence(event, row, "AE")
    if "occurred" not in event and codes.folded(text(row.get("AESTAT"))) == "NOT DONE":
        event["occurred"] = "NOT DONE"  # nobody knows: it is kept, and told


def _occurrence(record: Payload, row: Row, code: str) -> None:
    """--OCCUR, where the row has it: whether what it names happened at all."""
    if (occurred := flag(row.get(f"{code}OCCUR"))) is not None:
        record["occurred"] = occurred


def _eligibility(record: Payload, row: Row) -> None:
    """IE is to hold what was not met alone; where it holds all, an inclusion that is met is no deviation."""
    answer = codes.read_flag(text(row.get("IESTRESC")) or text(row.get("IEORRES")))
    category = codes.folded(record["category"])
    if (category, answer) in {("INCLUSION", codes.YES), ("EXCLUSION", codes.NO)}:
        record["occurred"] = False


def _death_details(event: Payload, row: Row) -> None:
    """DD has rows of the dead alone: each that says something says that the subject died."""
    answer = text(row.get("DDSTRESC")) or event["term"]
    asked = codes.folded(text(row.get("DDTEST")) or text(row.get("DDTESTCD")))
    denied = codes.read_flag(answer) != codes.YES and _ASKS_WHETHER_DEAD.fullmatch(asked) is not None
    event["decoded"] = "DEATH" if (answer or text(row.get("DDSTAT"))) and not denied else ""
    event["category"] = "DEATH DETAILS"
    event["term"] = _named_answer(row, "DD", event["term"] or answer)


_ASKS_WHETHER_DEAD = re.compile(
    r"(?:(?:SUBJECT|PATIENT|PARTICIPANT) )?(?:DEATH|DIED|DEAD|DECEASED|DTHFL|DEATHIND|DTHIND)"
    r"(?: (?:FLAG|INDICATOR|STATUS|OCCURRED))?\??"
)


def _clinical_event(event: Payload, row: Row) -> None:
    """CE: an event that is no adverse event. What ended fatally says so in words, so that it counts."""
    outcome, occurred = text(row.get("CEOUT")), codes.read_flag(row.get("CEOCCUR"))
    event["category"] = "CLINICAL EVENT"
    fatal = codes.is_fatal_outcome(outcome)
    if fatal and not codes.says_subject_died(f"outcome: {outcome}"):
        outcome += " (fatal)"  # in another language's word
    if occurred == codes.NO:
        beside = f", outcome: {outcome}" if fatal else ""
        event["term"] = event["decoded"] = f"Did not occur: {event['term'] or event['decoded']}{beside}"
    elif (
        occurred != codes.YES
        and not fatal
        and any(text(row.get(n)) for n in ("CEOCCUR", "CESTAT", "CEPRESP"))
    ):
        event["term"] = event["decoded"] = f"Unknown whether: {event['term'] or event['decoded']}"
    elif outcome:
        event["term"] = f"{event['term'] or event['decoded']}, outcome: {outcome}"
    serious = "serious" if codes.read_flag(row.get("CESER")) == codes.YES else ""
    beside = ", ".join(filter(None, (text(row.get("CESEV")).lower(), serious)))
    if beside and occurred != codes.NO:
        event["term"] = f"{event['term'] or event['decoded']} ({beside})"


def _subject_status(event: Payload, row: Row) -> None:
    event["category"] = "SUBJECT STATUS"
    event["term"] = _named_answer(row, "SS", event["decoded"] or text(row.get("SSSTAT")))


def _named_answer(row: Row, code: str, answer: str) -> str:
    """ "Primary Cause of Death: SEPSIS"; "" without an answer."""
    question = text(row.get(f"{code}TEST")) or text(row.get(f"{code}TESTCD"))
    return f"{question}: {answer}" if question and answer else answer


def _visit(visit: Payload, row: Row) -> None:
    """Unplanned when the source says so: SVPRESP, a description of an unplanned visit, or its name."""
    prespecified = flag(row.get("SVPRESP"))
    if isinstance(prespecified, bool):
        visit["planned"] = prespecified
    else:
        named = codes.is_unplanned_visit(visit["visit"])
        visit["planned"] = not text(row.get("SVUPDES")) and not named
    if visit["occurred"] is None:
        del visit["occurred"]


def _open_ended(code: str) -> Callable[[Payload, Row], None]:
    def finish(record: Payload, row: Row) -> None:
        _occurrence(record, row, code)
        ends = {text(row.get(f"{code}{name}")).upper() for name in ("ENRTPT", "ENRF")}
        record["ongoing"] = True if ends & {"ONGOING", "AFTER", "DURING/AFTER"} else None

    return finish


_INTERVENTION = (
    column("dose", "--DOSE", read=number),
    column("dose_text", "--DOSTXT"),
    column("dose_unit", "--DOSU"),
    column("frequency", "--DOSFRQ"),
    column("route", "--ROUTE"),
    column("start", "--STDTC"),
    column("end", "--ENDTC"),
)


def _exposure(code: str, second: bool = False) -> Domain:
    return Domain(
        code=code,
        kind="exposure",
        columns=(
            column("treatment", "--TRT"),
            column("category", "--CAT"),
            column("dose_form", "--DOSFRM"),
            column("visit", "VISIT"),
            *_INTERVENTION,
        ),
        collected=("--ENDTC", "--STDTC"),
        title=_at_visit("Treatment given"),
        finish=lambda record, row: _occurrence(record, row, code),
        also=("--OCCUR",),
        second=second,
    )


_ALL = (
    measurements("LB", "lab", "Laboratory results"),
    measurements("VS", "vitals", "Vital signs"),
    measurements("EG", "ecg", "ECG results"),
    measurements("QS", "questionnaire", "Questionnaire"),
    measurements("FT", "questionnaire", "Functional test", second=True),
    measurements("RS", "tumour_response", "Disease response"),
    measurements("TR", "tumour_response", "Tumour results", second=True),
    measurements("TU", "tumour_response", "Tumour identification", second=True),
    Domain(
        code="AE",
        kind="adverse_event",
        columns=(
            column("term", "AETERM", "AEMODIFY", "AEDECOD"),
            column("preferred_term", "AEDECOD"),
            column("system_organ_class", "AEBODSYS", "AESOC"),
            column("severity", "AESEV"),
            column("grade", "AETOXGR", read=grade),
            column("serious", "AESER", read=flag),
            column("related", "AEREL"),
            column("outcome", "AEOUT"),
            column("action_taken", "AEACN"),
            column("visit", "VISIT"),
            column("start", "AESTDTC"),
            column("end", "AEENDTC"),
        ),
        collected=("AEDTC", "AESTDTC"),
        title=_titled("term"),
        finish=_adverse_event,
        also=(*_CRITERIA, "AEOCCUR", "AESTAT", "AEPRESP"),
    ),
    Domain(
        code="SV",
        kind="visit",
        columns=(
            column("visit", "VISIT", "SVUPDES", "VISITNUM"),
            column("visit_number", "VISITNUM", read=number),
            column("occurred", "SVOCCUR", read=flag),
            column("reason_not_done", "SVREASOC"),
            column("start", "SVSTDTC"),
            column("end", "SVENDTC"),
        ),
        collected=("SVSTDTC", "SVENDTC"),
        title=_titled("visit"),
        key=("VISITNUM",),
        finish=_visit,
        also=("SVPRESP", "SVUPDES", "VISITDY"),
    ),
    Domain(
        code="DS",
        kind="disposition",
        columns=(
            column("term", "DSTERM"),
            column("decoded", "DSDECOD", "DSTERM"),
            column("category", "DSCAT"),
            column("subcategory", "DSSCAT"),
            column("visit", "VISIT"),
            column("start", "DSSTDTC"),
        ),
        collected=("DSDTC", "DSSTDTC"),
        title=_titled("term", "decoded"),
        finish=lambda event, row: _without_empty(event, "subcategory"),
    ),
    Domain(
        code="DD",
        kind="disposition",
        columns=(column("term", "DDORRES", "DDSTRESC"), column("visit", "VISIT")),
        collected=("DDDTC",),
        title=_titled("term", "decoded"),
        finish=_death_details,
        also=("DDTEST", "DDTESTCD", "DDSTRESC", "DDORRES", "DDSTAT"),
        second=True,
    ),
    Domain(
        code="CE",
        kind="disposition",
        columns=(
            column("term", "CETERM", "CEDECOD"),
            column("decoded", "CEDECOD", "CETERM"),
            column("visit", "VISIT"),
            column("start", "CESTDTC"),
        ),
        collected=("CEDTC", "CESTDTC"),
        title=_titled("term", "decoded"),
        finish=_clinical_event,
        also=("CEOUT", "CEOCCUR", "CESTAT", "CEPRESP", "CESER", "CESEV"),
        second=True,
    ),
    Domain(
        code="SS",
        kind="disposition",
        columns=(column("decoded", "SSSTRESC", "SSORRES"), column("visit", "VISIT")),
        collected=("SSDTC",),
        title=_titled("term", "decoded"),
        finish=_subject_status,
        also=("SSTEST", "SSTESTCD", "SSORRES", "SSSTAT"),
        second=True,
    ),
    Domain(
        code="DM",
        kind="subject",
        columns=(
            column("age", "AGE", read=number),
            column("age_unit", "AGEU"),
            column("sex", "SEX"),
            column("race", "RACE"),
            column("ethnicity", "ETHNIC"),
            column("country", "COUNTRY"),
            column("arm", "ARM"),
            column("arm_code", "ARMCD"),
            column("actual_arm", "ACTARM"),
            column("actual_arm_code", "ACTARMCD"),
            column("consented", "RFICDTC"),
            column("enrolled", "RFSTDTC"),
            column("ended", "RFPENDTC", "RFENDTC"),
            column("died", "DTHFL", read=flag),
            column("death", "DTHDTC"),
        ),
        collected=("DMDTC", "RFICDTC", "RFSTDTC"),
        title=lambda payload, visit: "Subject",
        key=(),
        also=("SUBJID", "SITEID"),
    ),
    _exposure("EX"),
    _exposure("EC", second=True),
    Domain(
        code="CM",
        kind="medication",
        columns=(
            column("term", "CMTRT"),
            column("decoded", "CMDECOD"),
            column("category", "CMCAT", "CMCLAS"),
            column("indication", "CMINDC"),
            *_INTERVENTION,
        ),
        collected=("CMDTC", "CMSTDTC", "CMENDTC"),
        title=_titled("term"),
        finish=_open_ended("CM"),
        also=("CMENRTPT", "CMENRF", "CMOCCUR"),
    ),
    Domain(
        code="MH",
        kind="history",
        columns=(
            column("term", "MHTERM"),
            column("preferred_term", "MHDECOD"),
            column("system_organ_class", "MHBODSYS"),
            column("category", "MHCAT"),
            column("occurred", "MHOCCUR", read=flag),
            column("start", "MHSTDTC"),
            column("end", "MHENDTC"),
        ),
        collected=("MHDTC", "MHSTDTC"),
        title=_titled("term"),
        finish=_open_ended("MH"),
        also=("MHENRTPT", "MHENRF"),
    ),
    Domain(
        code="DV",
        kind="deviation",
        columns=(
            column("term", "DVTERM"),
            column("decoded", "DVDECOD"),
            column("category", "DVCAT"),
            column("visit", "VISIT"),
            column("start", "DVSTDTC"),
            column("end", "DVENDTC"),
        ),
        collected=("DVDTC", "DVSTDTC"),
        title=_titled("term"),
    ),
    Domain(  # a criterion that is not met is a deviation of eligibility
        code="IE",
        kind="deviation",
        columns=(
            column("term", "IETEST"),
            column("decoded", "IETESTCD"),
            column("category", "IECAT"),
            column("visit", "VISIT"),
            column("start", "IEDTC"),
        ),
        collected=("IEDTC",),
        title=_titled("term"),
        finish=_eligibility,
        also=("IEORRES", "IESTRESC"),
        second=True,
    ),
)
_KINDS = frozenset(kind.value for kind in Kind)

#: By the two letters of the domain.
DOMAINS: Mapping[str, Domain] = {one.code: one for one in _ALL if one.kind in _KINDS}

#: Columns that say which row it is, how it was derived or timed, and hold nothing a report could show.
STRUCTURAL = frozenset({"STUDYID", "DOMAIN", "USUBJID", "SUBJID", "SITEID", "VISIT", "VISITNUM"})
STRUCTURAL_SUFFIXES = ("SEQ",)
#: Tables that say something about the trial, its subjects or other tables, read or not.
ABOUT_THE_TRIAL = frozenset({"TS"})
#: Tables of SDTM without DOMAIN that relate records to each other.
RELATIONS = frozenset({"RELREC", "RELSUB", "RELSPEC", "POOLDEF"})
