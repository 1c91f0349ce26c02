"""Which lesion a tumour result is about: TR measures what TU identified, linked by --LNKID.

Source: SDTM Implementation Guide 3.4, 6.3.12 (TR, TU) and RECIST 1.1: TULOC says where a lesion is, TUSTRESC
of TUMIDENT whether it is target, non-target or new. Independent readers number lesions of their own, so one
is (subject, --LNKID, evaluator).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from reporting_pipeline.domain.clinical import codes
from reporting_pipeline.intake.sdtm.columns import Payload, Row, text
from reporting_pipeline.intake.sdtm.supplements import MOST_TOLD
from reporting_pipeline.intake.sdtm.tables import Table
from reporting_pipeline.intake.sdtm.trial import subject_of
from reporting_pipeline.intake.understanding import Understanding, counted

_IDENTIFIES = frozenset({"TUMIDENT", "LESIDENT", ""})
_PLACE = ("TULOC", "TULAT", "TUDIR", "TUPORTOT", "TULOCDTL")  # of the body, as far as it is said
_Lesion = tuple[str, str, str]  # (study, subject, --LNKID)


class Lesions:
    """The lesions that TU identifies; results of TU, TR and RS are named by them while they are read."""

    def __init__(self, tables: Mapping[str, Sequence[Table]]) -> None:
        self._identified: dict[_Lesion, dict[str, set[tuple[str, str]]]] = {}
        for row in (row for table in tables.get("TU", ()) for row in table.rows()):
            if (lesion := _lesion(row, "TU"))[2]:
                by_evaluator = self._identified.setdefault(lesion, {})
                by_evaluator.setdefault(evaluator_of(row, "TU"), set()).add((_type(row), _place(row)))
        self._without: Counter[str] = Counter()  # domain -> results that name no lesion
        self._not_identified: dict[str, str] = {}
        self._contradicting: dict[str, str] = {}

    def name(self, code: str, rows: Sequence[Row], results: Sequence[Payload]) -> None:
        """Fill type and place of each result's lesion; what is not identified, or in two ways, stays open."""
        for row, result in zip(rows, results, strict=True):
            if not (lesion := _lesion(row, code))[2]:
                self._without[code] += code != "RS" and _is_of_one_lesion(result)
                continue
            found = self._identified_by(lesion, evaluator_of(row, code))
            types, places = ({pair[at] for pair in found} - {""} for at in (0, 1))
            named = f"{lesion[2]} of {lesion[1] or 'nobody'}"
            if not found and code == "RS" and self._identified:
                result["lesion"] = ""  # RSLNKID may link anything
            elif not found and self._identified:
                self._not_identified.setdefault(named, code)
            for field, said in (("lesion_type", types), ("location", places)):
                if len(said) > 1:
                    self._contradicting.setdefault(named, " and ".join(sorted(said)))
                elif said:
                    result[field] = next(iter(said))

    def _identified_by(self, lesion: _Lesion, evaluator: str) -> set[tuple[str, str]]:
        """What is said of a lesion by who measures it; by everybody, where one of both is not named."""
        said = self._identified.get(lesion, {})
        if evaluator and "" not in said:
            return said.get(evaluator, set())
        return said.get(evaluator) or set().union(*said.values())

    def tell(self, code: str, understanding: Understanding) -> None:
        """What could not be named; asked after all rows of a domain were read, and then forgotten."""
        if number := self._without.pop(code, 0):
            detail = (
                f"Which lesion is meant is not said of {counted(number, 'result')} of {code} ({code}LNKID)."
            )
            understanding.finding(code, "no_lesion", f"{code}LNKID", detail)
        if self._not_identified:
            detail = f"TU does not identify the lesions {_listed(list(self._not_identified))}."
            understanding.finding(code, "no_lesion", f"{code}LNKID", detail)
        for named, said in list(self._contradicting.items())[:MOST_TOLD]:
            detail = f"The lesion {named} is identified in two ways ({said}); neither is taken."
            understanding.finding(code, "lesion_contradicts", f"{code}LNKID", detail)
        self._not_identified.clear()
        self._contradicting.clear()


def evaluator_of(row: Row, code: str) -> str:
    """ "INDEPENDENT ASSESSOR, READER 1"; "" where nobody is named."""
    return ", ".join(filter(None, (text(row.get(f"{code}{name}")) for name in ("EVAL", "EVALID"))))


def _lesion(row: Row, code: str) -> _Lesion:
    return text(row.get("STUDYID")), subject_of(row), text(row.get(f"{code}LNKID")).strip()


def _type(row: Row) -> str:
    if codes.folded(text(row.get("TUTESTCD"))) not in _IDENTIFIES:
        return ""
    return codes.folded(text(row.get("TUSTRESC")) or text(row.get("TUORRES")))


def _place(row: Row) -> str:
    return ", ".join(filter(None, (text(row.get(name)) for name in _PLACE)))


def _is_of_one_lesion(result: Payload) -> bool:
    """Sums and changes of sums are of all lesions together."""
    code = codes.folded(str(result["test_code"]))
    return not (code.startswith("SUM") or code.endswith(("SD", "SUM")) or result.get("derived"))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_TOLD:,} more" if len(names) > MOST_TOLD else ""
    return ", ".join(names[:MOST_TOLD]) + more
