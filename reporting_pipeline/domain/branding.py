"""How an organisation's reports look: a colour, a logo, words at the foot of each page.

The colour is that of the title and of the line above it, on the ground of the title band; it is held against
WCAG 2.2 (1.4.3) there. Colours that mean something (alarm, kinds, severity) are the product's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reporting_pipeline.domain.thumbnails import Thumbnail

#: What a file of a logo may be at most, in bytes, before it is made small.
MOST_LOGO_BYTES = 200_000
#: The ground that the colour stands on.
GROUND = "#f2f6f9"
LEAST_CONTRAST = 4.5
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class Branding:
    """What is an organisation's own; "" and None: the product's."""

    colour: str = ""  # "#rrggbb"
    footer: str = ""
    logo: Thumbnail | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Branding:
        """From an organisation's record, or from what a report was made with. What is odd counts as none."""
        colour, footer, logo = (record.get(name) for name in ("report_colour", "report_footer", "logo"))
        return cls(
            colour if isinstance(colour, str) and _COLOUR.fullmatch(colour) else "",
            footer if isinstance(footer, str) else "",
            Thumbnail(logo["sha256"], logo["key"], logo["width"], logo["height"])
            if isinstance(logo, Mapping) and {"sha256", "key", "width", "height"} <= set(logo)
            else None,
        )

    def said(self) -> dict[str, Any]:
        """As `of` reads it."""
        logo = self.logo
        return {
            "report_colour": self.colour,
            "report_footer": self.footer,
            "logo": logo
            and {"sha256": logo.sha256, "key": logo.key, "width": logo.width, "height": logo.height},
        }


#: The look of who has nothing of its own.
UNBRANDED = Branding()


def checked_colour(text: str) -> str:
    """The colour in small letters, "" for none. Raises ValueError for one that cannot be read on GROUND."""
    if not text:
        return ""
    if not _COLOUR.fullmatch(text):
        raise ValueError("write a colour as #rrggbb, such as #00527f")
    found = contrast(text, GROUND)
    if found < LEAST_CONTRAST:
        raise ValueError(
            f"{text.lower()} has a contrast of {found:.1f} to 1 against the ground of a title ({GROUND}); "
            f"WCAG 2.2 asks for {LEAST_CONTRAST}: take a darker one"
        )
    return text.lower()


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours as WCAG 2.2 defines it, from 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
