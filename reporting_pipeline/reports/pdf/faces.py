"""Font faces: which face has a character, how wide it is, and the subset a document embeds.

Glyph ids are those of the original font everywhere (subsets retain them), so drawing operators do
not depend on the document they end up in: a chart or a table drawn once can be embedded anywhere.
A base subset of the two Latin faces is the same in every report and is made once per process.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path

import uharfbuzz as hb

_FOLDER = Path(__file__).parent.parent / "fonts"

#: Characters in the base subset of the Latin faces: ASCII, Latin-1 and the typography of the reports.
BASE_CHARACTERS = (
    "".join(map(chr, range(0x20, 0x7F)))
    + "".join(map(chr, range(0xA0, 0x180)))
    + "\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026\u2212\u20acβμ\ufffd"
)

#: Tried in this order. DejaVu Sans comes with matplotlib and has the mathematical signs (≥, ≤, →).
_FALLBACKS = (
    "NotoSansArabic-Regular",
    "NotoSansHebrew-Regular",
    "NotoSansThai-Regular",
    "NotoSansBengali-Regular",
    "NotoSansTamil-Regular",
    "NotoSansTelugu-Regular",
    "NotoSansKannada-Regular",
    "NotoSansMalayalam-Regular",
    "NotoSansGujarati-Regular",
    "NotoSansGurmukhi-Regular",
    "NotoSansSinhala-Regular",
    "NotoSansGeorgian-Regular",
    "NotoSansArmenian-Regular",
    "NotoSansEthiopic-Regular",
    "NotoSansKhmer-Regular",
    "NotoSansLao-Regular",
    "NotoSansMyanmar-Regular",
    "DroidSansFallback",
)


@dataclass(frozen=True)
class EmbeddedFont:
    """What a PDF needs of one face: everything precompressed, ready to be written."""

    base_name: str  # with the subset tag
    font_file: bytes  # zlib-compressed TrueType
    font_file_length: int
    widths: str  # the /W array
    to_unicode: bytes  # zlib-compressed CMap
    ascent: int
    descent: int
    bounds: str


class Face:
    """One font file. `resource` is its name in every page's resources."""

    def __init__(self, path: Path, resource: str, base: str = "") -> None:
        self.path = path
        self.resource = resource
        self.name = path.stem
        self._base = base

    @cached_property
    def hb_face(self) -> hb.Face:
        return hb.Face(hb.Blob.from_file_path(str(self.path)))

    @cached_property
    def hb_font(self) -> hb.Font:
        return hb.Font(self.hb_face)

    @cached_property
    def characters(self) -> frozenset[int]:
        return frozenset(self.hb_face.unicodes)

    @cached_property
    def upem(self) -> int:
        return int(self.hb_face.upem)

    def glyph(self, character: str) -> int:
        """The glyph id of a character; 0 (the visible box) when the face has none."""
        return int(self.hb_font.get_nominal_glyph(ord(character)) or 0)

    @lru_cache(maxsize=20_000)  # noqa: B019 - faces live as long as the process
    def advance(self, glyph: int) -> int:
        """The width of a glyph in thousandths of the font size, as the PDF's /W array says it."""
        return int(round(self.hb_font.get_glyph_h_advance(glyph) * 1000 / self.upem))  # noqa: RUF046 - of a library without types

    @cached_property
    def base_glyphs(self) -> Mapping[int, str]:
        """Glyphs that every report embeds of this face, with their text."""
        found: dict[int, str] = {}
        for character in self._base:
            if glyph := self.glyph(character):
                found.setdefault(glyph, character)
        return found

    def embedded(self, used: Mapping[int, str]) -> EmbeddedFont:
        """The subset with the base and the `used` glyphs (glyph id -> its text)."""
        extra = frozenset((glyph, text) for glyph, text in used.items() if glyph not in self.base_glyphs)
        return _embed(self, extra)


@lru_cache(maxsize=64)
def _embed(face: Face, extra: frozenset[tuple[int, str]]) -> EmbeddedFont:
    texts = {**face.base_glyphs, **dict(sorted(extra))}
    glyphs = sorted({0, *texts})
    program = _subset(face, glyphs)
    tag = _tag(zlib.crc32(repr(glyphs).encode()))
    extents = face.hb_font.get_font_extents("ltr")
    scale = 1000 / face.upem
    ascent, descent = round(extents.ascender * scale), round(extents.descender * scale)
    return EmbeddedFont(
        base_name=f"{tag}+{face.name}",
        font_file=zlib.compress(program, 6),
        font_file_length=len(program),
        widths="[" + " ".join(f"{glyph}[{face.advance(glyph)}]" for glyph in glyphs) + "]",
        to_unicode=zlib.compress(_cmap(texts), 6),
        ascent=ascent,
        descent=descent,
        bounds=f"[-500 {descent} 2000 {ascent}]",
    )


#: Layout happened already and viewers address glyphs by id, so these tables would only add bytes.
_DEAD_WEIGHT = (b"GSUB", b"GPOS", b"GDEF", b"cmap", b"name", b"post", b"OS/2", b"STAT", b"meta", b"DSIG")


def _subset(face: Face, glyphs: list[int]) -> bytes:
    wanted = hb.SubsetInput()
    wanted.glyph_set.update(glyphs)
    wanted.flags = hb.SubsetFlags.RETAIN_GIDS | hb.SubsetFlags.NO_HINTING | hb.SubsetFlags.NOTDEF_OUTLINE
    wanted.drop_table_tag_set.update(int.from_bytes(tag) for tag in _DEAD_WEIGHT)
    return bytes(hb.subset(face.hb_face, wanted).blob.data)


def _tag(number: int) -> str:
    """Six capitals, as a subset's name must begin."""
    letters = ""
    for _ in range(6):
        number, letter = divmod(number, 26)
        letters += chr(65 + letter)
    return letters


_NOTHING = "\u200b"


def _cmap(texts: Mapping[int, str]) -> bytes:
    """A ToUnicode CMap from glyph ids to text.

    Every glyph has one (ISO 19005-2, 6.2.11.7.2): a glyph whose letter another one tells, a space of no
    width.
    """
    rows = [
        f"<{glyph:04X}> <{(text or _NOTHING).encode('utf-16-be').hex().upper()}>"
        for glyph, text in sorted(texts.items())
    ]
    blocks = [rows[first : first + 100] for first in range(0, len(rows), 100)]
    body = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        "1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n"
        f"{body}\nendcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    ).encode("ascii")


def _of_matplotlib(name: str) -> Path:
    """A font that comes with matplotlib, found without importing it."""
    found = find_spec("matplotlib")
    if found is None or not found.submodule_search_locations:
        raise ImportError("matplotlib is not installed: reports take a font from it")
    return Path(found.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf" / name


REGULAR = Face(_FOLDER / "NotoSans-Regular.ttf", "FR", BASE_CHARACTERS)
BOLD = Face(_FOLDER / "NotoSans-Bold.ttf", "FB", BASE_CHARACTERS)
_DEJAVU = Face(_of_matplotlib("DejaVuSans.ttf"), "FX")
FALLBACKS = (
    *(Face(_FOLDER / f"{name}.ttf", f"F{number}") for number, name in enumerate(_FALLBACKS, 1)),
    _DEJAVU,
)
#: Drawn for a character that no face has: a glyph of its own, for the fonts' ".notdef" tells no text.
BOX_FACE, BOX_GLYPH = _DEJAVU, _DEJAVU.glyph("□")
ALL_FACES = {face.resource: face for face in (REGULAR, BOLD, *FALLBACKS)}


@lru_cache(maxsize=50_000)
def face_of(character: str, bold: bool) -> Face | None:
    """The first face that has the character; None when nobody has it."""
    code = ord(character)
    for face in (BOLD if bold else REGULAR, *FALLBACKS):
        if code in face.characters:
            return face
    return None
