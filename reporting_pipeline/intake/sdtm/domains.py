"""Which domain of SDTM becomes which kind of document, and which column which field of its payload.

A column that no field reads is told as "without a place", with the number of its values. Adding a
domain is adding a `Domain` here; nothing else knows their names. Domains of the findings class that are
not here are read as other results (`other_results`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from reporting_pipeline.domain.clinical import codes, criteria
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.intake.sdtm.columns import (
    NAMED_CRITERIA,
    Domain,
    Payload,
    Row,
    at_visit,
    column,
    flag,
    grade,
    measurements,
    number,
    text,
    titled,
    without_empty,
)

# --- events, interventions, subjects ---------------------------------------------------------------

#: Columns of AE, and the criterion of seriousness that each asks for.
CRITERIA: Mapping[str, str] = {variable: name for name, (variable, *_) in criteria.CRITERIA.items()}


def _adverse_event(event: Payload, row: Row) -> None:
    """The criteria that are met; an answer that is neither yes nor no stands with its column, to be told."""
    met: list[str] = []
    for name, criterion in CRITERIA.items():
        answer = codes.read_flag(row.get(name))
        if answer == codes.YES:
            met.append(criterion)
        elif answer is None:
            met.append(f"{name}: {text(row.get(name))}")
    met += filter(None, map(str.strip, re.split("[;,|]", text(row.get(NAMED_CRITERIA)))))
    denied = codes.read_flag(row.get("AESDTH")) == codes.NO
    if denied and codes.is_fatal_outcome(text(row.get("AEOUT"))):
        event["seriousness_criteria"] = {**dict.fromkeys(met, "Y"), "death": "N"}
    else:
        event["seriousness_criteria"] = met
    _occurrence(event, row, "AE")
    event["ongoing"] = _goes_on(row, "AE")
    without_empty(event, "treatment_emergent", "ongoing", "location", "laterality")
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


def _other_event(event: Payload, row: Row, code: str, category: str) -> None:
    """An event that is no adverse event. What ended fatally says so in words, so that it counts."""
    outcome, occurred = text(row.get(f"{code}OUT")), codes.read_flag(row.get(f"{code}OCCUR"))
    event["category"] = category
    fatal = codes.is_fatal_outcome(outcome)
    if fatal and not codes.says_subject_died(f"outcome: {outcome}"):
        outcome += " (fatal)"  # in another language's word
    if occurred == codes.NO:
        beside = f", outcome: {outcome}" if fatal else ""
        event["term"] = event["decoded"] = f"Did not occur: {event['term'] or event['decoded']}{beside}"
    elif (
        occurred != codes.YES
        and not fatal
        and any(text(row.get(code + name)) for name in ("OCCUR", "STAT", "PRESP"))
    ):
        event["term"] = event["decoded"] = f"Unknown whether: {event['term'] or event['decoded']}"
    elif outcome:
        event["term"] = f"{event['term'] or event['decoded']}, outcome: {outcome}"
    serious = "serious" if codes.read_flag(row.get(f"{code}SER")) == codes.YES else ""
    beside = ", ".join(filter(None, (text(row.get(f"{code}SEV")).lower(), serious)))
    if beside and occurred != codes.NO:
        event["term"] = f"{event['term'] or event['decoded']} ({beside})"


def _subject_status(event: Payload, row: Row) -> None:
    """The day of a status is its own: of a death it says when somebody knew, not when it was."""
    event["category"] = "SUBJECT STATUS"
    event["term"] = _named_answer(row, "SS", event["decoded"] or text(row.get("SSSTAT")))
    when = text(row.get("SSDTC"))
    if when and not codes.is_death(event["decoded"], event["term"]):
        event["start"] = when


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
        record["ongoing"] = _goes_on(row, code)

    return finish


def _goes_on(row: Row, code: str) -> bool | None:
    """Whether --ENRTPT or --ENRF say that it went on; None where they do not."""
    ends = {text(row.get(f"{code}{name}")).upper() for name in ("ENRTPT", "ENRF")}
    return True if ends & {"ONGOING", "AFTER", "DURING/AFTER"} else None


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
        title=at_visit("Treatment given"),
        finish=lambda record, row: _occurrence(record, row, code),
        also=("--OCCUR",),
        second=second,
    )


def events(code: str, category: str) -> Domain:
    """A domain of events that has no kind of its own: dispositions of no counted category."""
    return Domain(
        code=code,
        kind="disposition",
        columns=(
            column("term", "--TERM", "--DECOD"),
            column("decoded", "--DECOD", "--TERM"),
            column("visit", "VISIT"),
            column("start", "--STDTC"),
        ),
        collected=("--DTC", "--STDTC"),
        title=titled("term", "decoded"),
        finish=lambda event, row: _other_event(event, row, code, category),
        also=tuple(f"--{name}" for name in ("OUT", "OCCUR", "STAT", "PRESP", "SER", "SEV")),
        second=True,
    )


def _tumours(code: str, title: str, second: bool = False) -> Domain:
    """TU, TR and RS; type and place of a lesion are those of TU (`lesions`)."""

    def finish(result: Payload, row: Row) -> None:
        judged_by = (result["evaluator"], text(row.get(f"{code}EVALID")))
        result["evaluator"] = ", ".join(filter(None, judged_by))

    return measurements(
        code,
        "tumour_response",
        title,
        second,
        more=(
            column("lesion", "--LNKID"),
            column("lesion_type", "--GRPID"),
            column("location", "--LOC"),
            column("evaluator", "--EVAL"),
        ),
        finish=finish,
        also=("--EVALID", "--DIR", "--PORTOT", "--LOCDTL"),
    )


_ALL = (
    measurements("LB", "lab", "Laboratory results"),
    measurements("VS", "vitals", "Vital signs"),
    measurements("EG", "ecg", "ECG results"),
    measurements("QS", "questionnaire", "Questionnaire"),
    measurements("FT", "questionnaire", "Functional test", second=True),
    _tumours("RS", "Disease response"),
    _tumours("TR", "Tumour results", second=True),
    _tumours("TU", "Tumour identification", second=True),
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
            column("treatment_emergent", "AETRTEM", read=flag),
            column("related", "AEREL"),
            column("location", "AELOC"),
            column("laterality", "AELAT"),
            column("outcome", "AEOUT"),
            column("action_taken", "AEACN"),
            column("visit", "VISIT"),
            column("start", "AESTDTC"),
            column("end", "AEENDTC"),
        ),
        collected=("AEDTC", "AESTDTC"),
        title=titled("term"),
        finish=_adverse_event,
        also=(*CRITERIA, NAMED_CRITERIA, "AEOCCUR", "AESTAT", "AEPRESP", "AEENRTPT", "AEENRF"),
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
        title=titled("visit"),
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
        title=titled("term", "decoded"),
        finish=lambda event, row: without_empty(event, "subcategory"),
    ),
    Domain(
        code="DD",
        kind="disposition",
        columns=(column("term", "DDORRES", "DDSTRESC"), column("visit", "VISIT")),
        collected=("DDDTC",),
        title=titled("term", "decoded"),
        finish=_death_details,
        also=("DDTEST", "DDTESTCD", "DDSTRESC", "DDORRES", "DDSTAT"),
        second=True,
    ),
    events("CE", "CLINICAL EVENT"),
    events("DE", "DEVICE EVENT"),
    events("HO", "HEALTHCARE ENCOUNTER"),
    Domain(
        code="SS",
        kind="disposition",
        columns=(column("decoded", "SSSTRESC", "SSORRES"), column("visit", "VISIT")),
        collected=("SSDTC",),
        title=titled("term", "decoded"),
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
            column("first_treatment", "RFXSTDTC"),
            column("last_treatment", "RFXENDTC"),
            column("died", "DTHFL", read=flag),
            column("death", "DTHDTC"),
        ),
        collected=("DMDTC", "RFICDTC", "RFSTDTC"),
        title=lambda payload, visit: "Subject",
        key=(),
        finish=lambda record, row: without_empty(record, "first_treatment", "last_treatment"),
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
        title=titled("term"),
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
        title=titled("term"),
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
        title=titled("term"),
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
        title=titled("term"),
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
