"""Units as laboratories spell them, and which spellings mean the same.

Two spellings are one unit when they are the same UCUM expression, or differ by nothing but how powers
of ten are written (10^9/L and 10^3/uL, g/L and mg/mL). Everything else stays apart, however near it
is: IU and U, equivalents and moles, mg/dL and mmol/L; no value is ever converted. Sources: UCUM 2.2
(ucum.org) for atoms and prefixes, the CDISC terminology codelist UNIT (C71620) for the spellings of
laboratories. pint and ucumvert were tried: they take half a second and 50 MB, and hold mEq and mmol for
one unit, which is wrong for every ion with two charges.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f"))
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_SIGNS = str.maketrans({"×": "*", "·": ".", "⋅": ".", "∙": ".", "−": "-", "\u2044": "/", "\u2215": "/"})

#: UCUM atom = what laboratories write for it, in lower case. Case tells nothing apart among these.
_ATOMS = {
    spelling: atom
    for atom, _, spellings in (
        entry.partition("=")
        for entry in [
            "g=g,gm,gram,grams",
            "kg=kg",
            "mg=mg,milligram,milligrams",
            "ug=ug,mcg,microg,microgram,micrograms",
            "umol=mcmol,umol,umole,umoles,micromol,micromole,micromoles",
            "uL=mcl,ul,mm3,mm^3,cumm,cu.mm,cmm",
            "ng=ng,nanogram,nanograms",
            "pg=pg",
            "fg=fg",
            "L=l,liter,litre",
            "dL=dl,100ml,deciliter,decilitre",
            "cL=cl",
            "mL=ml,cc,cm3,cm^3,milliliter,millilitre",
            "nL=nl",
            "pL=pl",
            "fL=fl",
            "mol=mol,mole,moles",
            "mmol=mmol,mmole,mmoles,millimol,millimole,millimoles",
            "nmol=nmol,nmole,nmoles,nanomol,nanomole,nanomoles",
            "pmol=pmol,pmole,pmoles,picomol,picomole,picomoles",
            "fmol=fmol",
            "U=u,unit,units",
            "mU=mu",
            "uU=uu",
            "kU=ku",
            "[IU]=iu,[iu],ui,ie",  # also French, Spanish, Italian, Portuguese; German and Dutch
            "m[IU]=miu,mui,mie",
            "u[IU]=uiu,uui,uie",
            "k[IU]=kiu,kui,kie",
            "eq=eq",
            "meq=meq",
            "ueq=ueq",
            "osm=osm",
            "mosm=mosm",
            "m=m",
            "cm=cm",
            "mm=mm",
            "um=um",
            "nm=nm",
            "[in]=in,inch,inches",
            "[lb]=lb,lbs,pound,pounds",
            "[oz]=oz",
            "m2=m2,m^2,sqm",
            "1.73m2=1.73m2,1.73m^2,1.73.m2",
            "s=s,sec,second,seconds",
            "ms=ms,msec,msecs,millisecond,milliseconds",
            "min=min,minute,minutes",
            "h=h,hr,hour,hours",
            "d=d,day,days,24h,24hr,24hrs",
            "wk=wk,week,weeks",
            "mo=mo,month,months",
            "a=year,years,yr,yrs",
            "kat=kat",
            "ukat=ukat",
            "nkat=nkat",
            "Pa=pa",
            "kPa=kpa",
            "mm[Hg]=mmhg,mm[hg]",
            "Cel=c,°c,degc,cel,celsius,degreesc,degreec,degreescelsius",
            "[degF]=f,°f,degf,[degf],fahrenheit",
            "K=k",
            "%=%,percent,pct",
            "{ratio}=ratio",
            "{fraction}=fraction,fractionof1",
            "1=1,cell,cells,beats,beat,breaths,breath,count,#",
            "[HPF]=hpf,[hpf]",
            "[LPF]=lpf,[lpf]",
        ]
    )
    for spelling in spellings.split(",")
}
#: A metric prefix of an atom of the same quantity, as a power of ten.
_POWER_OF = {"k": 3, "": 0, "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15}
_METRIC = re.compile(r"([kdcmunpf]?)(g|L|mol|U|\[IU\]|kat|osm|eq|Pa)")
_TEN = re.compile(r"(?:x\.?|\*)?(?:10|(?=e[+-]?[0-9]))(?:(?:\*\*|\^|\*|exp|e)([+-]?\d{1,2})|\((\d{1,2})\))")
#: "1000/uL", "100/uL": a round number before a volume.
_ROUND = re.compile(r"1(0{1,9})")
#: Not "billion", which is a thousand or a million millions.
_THOUSANDS = {
    **{"th": 3, "thou": 3, "thousand": 3, "thous": 3, "mill": 6, "million": 6},
    **{"gi": 9, "giga": 9, "ti": 12, "tera": 12},
}
#: A count per volume: "K/uL" are thousands, not kelvins.
_COUNTS = {"K": 3, "k": 3, "M": 6}
#: Whole units whose spelling says something else than its parts do.
_WHOLE = {
    **{"bpm": "beats/min", "gi/l": "10^9/L", "ti/l": "10^12/L", "t/l": "10^12/L", "mmhg": "mm[Hg]"},
    **{"gpt/l": "10^9/L", "tpt/l": "10^12/L"},  # Gigapartikel, Terapartikel
    **{"mg%": "mg/dL", "g%": "g/dL", "ug%": "ug/dL"},
}
#: Molar concentrations, told from lengths by the capital alone: "mM" is no millimetre.
_MOLAR = {"mM": "mmol/L", "uM": "umol/L", "nM": "nmol/L", "pM": "pmol/L", "fM": "fmol/L"}
_PER = re.compile(r"(?:^|(?<=\s))per\s+", re.IGNORECASE)
#: "mmol.L-1", "mmol L^-1": a part to the power of -1 is a denominator.
_INVERSE = re.compile(r"(?:\s+|[.*])([^\W\d_]+)\^?-1(?![\d.])")
#: What is counted, before a power of ten: "cells x10^3/uL".
_COUNTED = re.compile(r"^(?:cells?|count|#)(?=[x*]?10[\^*e(])", re.IGNORECASE)
_CREATININE = re.compile(r"(?:(?<=/g)|(?<=mol))(?:creatinine|creat|crea|cr)$", re.IGNORECASE)
#: Grams or thousand millions a litre: who writes capitals throughout means the one, haematology the other.
_AMBIGUOUS = frozenset({"G/L"})
_INTERNATIONAL = re.compile(r"^([muk]?)(?:i\.u\.?|int\.?units?|internationalunits?)(?=/|$)", re.IGNORECASE)
_BODY_SURFACE = re.compile(r"\{1\.73[_ .]?m\^?2\}", re.IGNORECASE)


def shown_unit(text: str) -> str:
    """The unit as collected, without what nobody can see: zero-width signs, doubled and outer blanks."""
    if text.isascii() and " " not in text:
        return text
    return " ".join(text.translate(_INVISIBLE).split())


#: What is longer is no unit, and is equal to itself alone.
LONGEST_UNIT = 200


@lru_cache(maxsize=4_096)
def unit_key(text: str) -> str:
    """Equal for spellings of one unit, "" for none. Not for readers."""
    folded = _folded(text)
    if not folded:
        return ""
    if folded in _AMBIGUOUS or len(folded) > LONGEST_UNIT:
        return folded
    folded = _MOLAR.get(folded, folded)
    folded = _folded(_WHOLE.get(folded.lower(), folded))
    power = 0
    above: list[str] = []
    below: list[str] = []
    numerator, *denominators = folded.split("/")
    if denominators and numerator in _COUNTS:
        power, numerator = _COUNTS[numerator], ""
    for place, part in enumerate((numerator, *denominators)):
        for factor in filter(None, part.split(".") if "1.73" not in part else [part]):
            ten, atom = _factor(factor)
            power += -ten if place else ten
            if atom != "1":
                (below if place else above).append(atom)
    return f"10^{power} {'.'.join(sorted(above)) or '1'}/{'.'.join(sorted(below))}"


def _folded(text: str) -> str:
    """One way to write what Unicode has several for; powers stay powers (10⁹ is not 109)."""
    if not text.isascii():
        text = _RAISED.sub(lambda raised: f"^{raised[0].translate(_SUPERSCRIPT)}", text)
        text = unicodedata.normalize("NFKC", text.translate(_INVISIBLE).translate(_SIGNS))
        text = text.translate(_SIGNS).replace("µ", "u").replace("μ", "u")  # both micro signs
    text = _BODY_SURFACE.sub("1.73m2", text)  # says of what size, as other annotations do not
    text = _INVERSE.sub(r"/\1", _PER.sub("/", text.strip()))
    text = re.sub(r"\{[^{}]*\}", "", "".join(text.split()))  # UCUM's annotations say nothing of size
    text = _INTERNATIONAL.sub(r"\1IU", text)
    text = _CREATININE.sub("", _COUNTED.sub("", text))
    return text.replace("^+", "^")


def _factor(text: str) -> tuple[int, str]:
    """A part of a unit as a power of ten and an atom; "1" when it is the power alone."""
    lowered = text.lower()
    if ten := _TEN.match(lowered):
        rest = lowered[ten.end() :].lstrip("*")
        power, atom = _factor(rest) if rest else (0, "1")
        return int(ten[1] or ten[2]) + power, atom
    if found := _ROUND.fullmatch(lowered):
        return len(found[1]), "1"
    if lowered in _THOUSANDS:
        return _THOUSANDS[lowered], "1"
    atom = _ATOMS.get(lowered, text)
    metric = _METRIC.fullmatch(atom)
    return (_POWER_OF[metric[1]], metric[2]) if metric else (0, atom)


def same_unit(first: str, second: str) -> bool:
    """Whether two spellings mean one unit."""
    return first == second or unit_key(first) == unit_key(second)
