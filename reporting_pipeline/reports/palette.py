"""Colours and hatches of every report.

The hues are those of Okabe and Ito (Color Universal Design), told apart with any colour vision.
On a grey printer lightness and hatch carry the difference, so no two neighbours share both.
"""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]


def rgb(code: str) -> Colour:
    """ "#0072B2" as three numbers from 0 to 1."""
    red, green, blue = (int(code[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


INK = rgb("#1B2733")
MUTED = rgb("#5B6875")
FAINT = rgb("#C9D1D9")
HAIR = rgb("#E3E8ED")
PAPER = rgb("#FFFFFF")
TINT = rgb("#F2F6F9")
ACCENT = rgb("#00527F")
ALARM = rgb("#A33B00")


@dataclass(frozen=True)
class Fill:
    """How an area is told apart: a colour and a hatch ("" for none) in matplotlib's letters."""

    colour: str
    hatch: str = ""

    @property
    def hatch_ink(self) -> str:
        """Dark lines on a light colour, light lines on a dark one."""
        red, green, blue = rgb(self.colour)
        return "#5B4A3A" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.45 else "#FFFFFF"


KINDS = {
    "lab": Fill("#00527F"),
    "vitals": Fill("#A6D8F5", "////"),
    "adverse_event": Fill("#EE7F3B"),
    "visit": Fill("#A3DECB", "...."),
    "disposition": Fill("#8A4F7D", "\\\\\\\\"),
    "subject": Fill("#56B4E9"),
    "exposure": Fill("#7A7A7A", "////"),
    "questionnaire": Fill("#C7E9B4"),
    "tumour_response": Fill("#4D004B", "...."),
    "other_result": Fill("#FDBF6F", "||||"),
    "deviation": Fill("#A33B00", "xxxx"),
    "medication": Fill("#CBC9E2", "\\\\\\\\"),
    "history": Fill("#54278F"),
    "ecg": Fill("#F7E3B0"),
    "imaging": Fill("#333333", "xxxx"),
    "lab_sheet": Fill("#F0E442", "||||"),
    "note": Fill("#D9D9D9", "----"),
}
OTHER_KIND = Fill("#BBBBBB", "xxxx")

SEVERITY = {
    "MILD": Fill("#F9D9C2"),
    "MODERATE": Fill("#E8935A", "////"),
    "SEVERE": Fill("#8C3300"),
    "LIFE THREATENING": Fill("#5E1F00", "xxxx"),
    "FATAL": Fill("#1B2733"),
    "NOT STATED": Fill("#E6E6E6", "...."),
}
BELOW, ABOVE = Fill("#0072B2"), Fill("#F2B48C", "////")
ABNORMAL = Fill("#D9D9D9", "....")
PLANNED, UNPLANNED = Fill("#00785A"), Fill("#F5D58A", "////")
MISSED, NOT_SAID = Fill("#A33B00", "xxxx"), Fill("#E6E6E6", "....")
