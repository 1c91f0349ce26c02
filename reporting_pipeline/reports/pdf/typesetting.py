"""Text to glyphs: cleaning, direction, shaping, measuring, wrapping and cutting, all cached.

Latin text takes a short path (a dictionary look-up per character). Everything else is split into
runs by bidirectional level and by the face that has its glyphs, and is shaped by HarfBuzz. A
character that no face has prints a visible box, and text extraction still yields the character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import uharfbuzz as hb
from bidi import algorithm as bidi

from reporting_pipeline.reports.pdf.faces import (
    BASE_CHARACTERS,
    BOLD,
    BOX_FACE,
    BOX_GLYPH,
    REGULAR,
    Face,
    face_of,
)

#: Longest text that is ever shaped; what is longer is cut with an explicit mark by the callers.
LONGEST = 4000
_COMBINING_LIMIT = 3  # more marks on one letter would draw over the lines around it
ELLIPSIS = "…"
#: At the end of a line: the word goes on in the next. It is drawn as a hyphen, and read as a soft one.
SOFT_HYPHEN = "\u00ad"


@dataclass(frozen=True)
class Segment:
    """Glyphs of one face in visual order, as PDF operators in thousandths of the font size."""

    resource: str
    operators: str  # "<0041>Tj" or "[...]TJ", with rises as {n} thousandths resolved by the surface
    faux_bold: bool
    rises: bool


@dataclass(frozen=True)
class Shaped:
    """One line of text ready to draw. `width` is in font sizes (multiply by the size)."""

    segments: tuple[Segment, ...]
    width: float
    glyphs: Mapping[str, Mapping[int, str]]  # resource -> glyph -> text, without the base glyphs
    actual: str  # the text of a left-to-right line whose glyphs alone might not give it back


def clean(text: object) -> str:
    """One line of printable text: NFC, no controls, no direction overrides, few marks a letter."""
    raw = str(text)[: LONGEST * 2]
    if raw.isascii() and raw.isprintable():
        return " ".join(raw.split()) if "  " in raw or raw[:1] == " " or raw[-1:] == " " else raw
    return _clean_slowly(raw)


@lru_cache(maxsize=1_024)
def _clean_slowly(raw: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", raw.encode("utf-8", "replace").decode("utf-8")):
        category = unicodedata.category(character)
        if category in ("Zs", "Zl", "Zp") or character in "\t\r\n\v\f":
            character = " "
        elif category == "Cf":
            if character not in "\u200c\u200d":  # joiners shape letters; the other formats are invisible
                continue
        elif category in ("Cc", "Cs"):
            character = "\ufffd"
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks <= _COMBINING_LIMIT:
            kept.append(character)
    return " ".join("".join(kept).split())


def _simple_tables(face: Face) -> tuple[dict[int, str], dict[str, int]]:
    codes = {ord(text): f"{glyph:04x}" for glyph, text in face.base_glyphs.items()}
    widths = {text: face.advance(glyph) for glyph, text in face.base_glyphs.items()}
    return codes, widths


@lru_cache(maxsize=2)
def _tables(bold: bool) -> tuple[dict[int, str], dict[str, int]]:
    return _simple_tables(BOLD if bold else REGULAR)


_BASE = frozenset(BASE_CHARACTERS)


@lru_cache(maxsize=100_000)
def shape(text: str, bold: bool = False) -> Shaped:
    """The glyphs of one line. Any str is accepted; it is cleaned first."""
    if text[-1:] == SOFT_HYPHEN:
        return _hyphenated(shape(text[:-1], bold), bold)
    text = clean(text[:LONGEST])
    codes, widths = _tables(bold)
    if _BASE.issuperset(text):
        try:
            width = sum([widths[character] for character in text]) / 1000
        except KeyError:  # two characters that share a glyph
            return _shape_fully(text, bold)
        operators = f"<{text.translate(codes)}>Tj" if text else ""
        segment = Segment((BOLD if bold else REGULAR).resource, operators, False, False)
        return Shaped((segment,) if text else (), width, {}, "")
    return _shape_fully(text, bold)


def _hyphenated(line: Shaped, bold: bool) -> Shaped:
    """The line with a hyphen behind it that is no letter of its word: text extraction takes it out again."""
    (hyphen,) = shape("-", bold).segments
    drawn, actual = hyphen.operators, line.actual
    if actual:
        actual += SOFT_HYPHEN
    else:
        drawn = f"/Span <</ActualText <{actual_text(SOFT_HYPHEN)}>>> BDC {drawn} EMC"
    segments = (*line.segments, Segment(hyphen.resource, drawn, False, False))
    return Shaped(segments, line.width + width_of("-", 1, bold), line.glyphs, actual)


def _shape_fully(text: str, bold: bool) -> Shaped:
    glyphs: dict[str, dict[int, str]] = {}
    segments: list[Segment] = []
    total = 0
    runs = _visual_runs(text)
    for run, level in runs:
        pieces = _split_by_face(run, bold)
        for face, piece in reversed(pieces) if level % 2 else pieces:
            segment, width, used = _shape_piece(face, piece, level % 2 == 1, bold)
            segments.append(segment)
            total += width
            extra = {g: t for g, t in used.items() if g not in _home(face, bold).base_glyphs}
            if extra:
                glyphs.setdefault(segment.resource, {}).update(extra)
    turned = any(level % 2 for _, level in runs)
    return Shaped(tuple(segments), total / 1000, glyphs, "" if turned else text)


def _home(face: Face | None, bold: bool) -> Face:
    return face or (BOLD if bold else REGULAR)


def _visual_runs(text: str) -> list[tuple[str, int]]:
    """Runs of one embedding level from left to right on the page; text inside a run stays logical."""
    if not any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text):
        return [(text, 0)]
    storage = bidi.get_empty_storage()
    level = bidi.get_base_level(text)
    storage["base_level"], storage["base_dir"] = level, ("L", "R")[level]
    bidi.get_embedding_levels(text, storage)
    bidi.explicit_embed_and_overrides(storage)
    bidi.resolve_weak_types(storage)
    bidi.resolve_neutral_types(storage, False)
    bidi.resolve_implicit_levels(storage, False)
    runs: list[tuple[str, int]] = []
    for item in storage["chars"]:
        if runs and runs[-1][1] == item["level"]:
            runs[-1] = (runs[-1][0] + item["ch"], item["level"])
        else:
            runs.append((item["ch"], item["level"]))
    return _reorder(runs)


def _reorder(runs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Rule L2 of the bidirectional algorithm, on whole runs."""
    ordered = list(runs)
    for level in range(max(lv for _, lv in runs), 0, -1):
        start = 0
        while start < len(ordered):
            end = start
            while end < len(ordered) and ordered[end][1] >= level:
                end += 1
            if end > start:
                ordered[start:end] = ordered[start:end][::-1]
            start = max(end, start + 1)
    return ordered


def _split_by_face(run: str, bold: bool) -> list[tuple[Face | None, str]]:
    """Pieces of one face each. Marks, joiners and spaces stay with the letter before them."""
    pieces: list[tuple[Face | None, str]] = []
    for character in run:
        face = face_of(character, bold)
        previous = pieces[-1][0] if pieces else None
        follows = unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") or character in " .,-"
        if (
            previous is not None
            and follows
            and (ord(character) in previous.characters or character in "\u200c\u200d")
        ):
            face = previous
        if pieces and face is previous:
            pieces[-1] = (previous, pieces[-1][1] + character)
        else:
            pieces.append((face, character))
    return pieces


def _shape_piece(face: Face | None, piece: str, rtl: bool, bold: bool) -> tuple[Segment, int, dict[int, str]]:
    """Operators, width in thousandths and the glyphs used, with their text."""
    if face is None:  # nobody has these characters: one visible box each
        boxes = f"<{f'{BOX_GLYPH:04x}' * len(piece)}>Tj"
        drawn = f"/Span <</ActualText <{actual_text(piece)}>>> BDC {boxes} EMC"
        width = BOX_FACE.advance(BOX_GLYPH) * len(piece)
        return Segment(BOX_FACE.resource, drawn, False, False), width, {BOX_GLYPH: "□"}
    buffer = hb.Buffer()
    buffer.add_str(piece)
    buffer.guess_segment_properties()
    buffer.direction = "rtl" if rtl else "ltr"
    hb.shape(face.hb_font, buffer)
    faux_bold = bold and face is not BOLD
    operators, width, rises = _positioned(face, piece, buffer, rtl)
    return Segment(face.resource, operators, faux_bold, rises), width, _texts(piece, buffer)


def _positioned(face: Face, piece: str, buffer: hb.Buffer, rtl: bool) -> tuple[str, int, bool]:
    """TJ operators that put each glyph where HarfBuzz wants it.

    Right to left, a letter of several glyphs says its text itself: readers turn a line around letter
    by letter, so the text of a whole line (as left to right) would come out backwards.
    """
    scale = 1000 / face.upem
    clusters = _clusters(piece, buffer)
    parts: list[str] = []
    row: list[str] = []
    width, rise, rises = 0, 0, False

    def flush() -> None:
        if row:
            parts.append(f"[{''.join(row)}]TJ")
            row.clear()

    for glyphs, text in clusters:
        spanned = rtl and (len(glyphs) > 1 or len(text) > 1)
        if spanned:
            flush()
            parts.append(f"/Span <</ActualText <{actual_text(text)}>>> BDC")
        for info, position in glyphs:
            glyph, natural = info.codepoint, face.advance(info.codepoint)
            dx, dy = round(position.x_offset * scale), round(position.y_offset * scale)
            advance = round(position.x_advance * scale)
            if dy != rise:
                flush()
                parts.append(f"{{{dy}}}Ts")
                rise, rises = dy, True
            row.append(f"{-dx} <{glyph:04x}>" if dx else f"<{glyph:04x}>")
            if after := natural + dx - advance:
                row.append(f"{after} ")
            width += advance
        if spanned:
            flush()
            parts.append("EMC")
    flush()
    if rise:
        parts.append("{0}Ts")
    return " ".join(parts), width, rises


def _clusters(piece: str, buffer: hb.Buffer) -> list[tuple[list[tuple[Any, Any]], str]]:
    """The glyphs of each cluster in visual order, with the text they stand for."""
    starts = sorted({info.cluster for info in buffer.glyph_infos})
    ends = dict(zip(starts, [*starts[1:], len(piece)], strict=True))
    found: list[tuple[list[tuple[Any, Any]], str]] = []
    last = None
    for info, position in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        if info.cluster != last:
            last = info.cluster
            found.append(([], piece[last : ends[last]]))
        found[-1][0].append((info, position))
    return found


def actual_text(text: str) -> str:
    """Text as the hexadecimal digits of a PDF text string."""
    return ("\ufeff" + text).encode("utf-16-be", "replace").hex().upper()


def _texts(piece: str, buffer: hb.Buffer) -> dict[int, str]:
    """Glyph -> the text of its cluster; marks of a cluster carry nothing of their own."""
    found: dict[int, str] = {}
    for glyphs, text in _clusters(piece, buffer):
        for place, (info, _) in enumerate(glyphs):
            if not found.get(info.codepoint):
                found[info.codepoint] = "" if place else text
    return found


def width_of(text: str, size: float, bold: bool = False) -> float:
    """The width of one line in points."""
    return shape(text, bold).width * size


@lru_cache(maxsize=50_000)
def fit(text: str, width: float, size: float, bold: bool = False) -> str:
    """`text`, cut with an ellipsis when it is wider than `width` points."""
    text = clean(text[:LONGEST])
    if width_of(text, size, bold) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width_of(text[:middle].rstrip() + ELLIPSIS, size, bold) <= width:
            low = middle
        else:
            high = middle - 1
    return text[: _whole_letters(text, low)].rstrip() + ELLIPSIS


def _whole_letters(text: str, end: int) -> int:
    """`end`, moved back so that no mark or joiner is parted from its letter."""
    while 0 < end < len(text) and unicodedata.category(text[end]) in ("Mn", "Mc", "Me", "Cf"):
        end -= 1
    return end


@lru_cache(maxsize=20_000)
def wrap(
    text: str, width: float, size: float, bold: bool = False, most: int = 1000, hyphens: bool = True
) -> tuple[str, ...]:
    """Lines no wider than `width` points, at most `most`; the last one is cut with an ellipsis.

    `hyphens`: a word that is parted says so by a SOFT_HYPHEN at its line's end.
    """
    text = clean(text[:LONGEST])
    if width_of(text, size, bold) <= width:
        return (text,)
    lines: list[str] = []
    inside: set[int] = set()  # lines that end inside a word
    line = ""
    for word in _breakable(text):
        candidate = line + word
        if width_of(candidate.rstrip(), size, bold) <= width:
            line = candidate
            continue
        if line.strip():
            lines.append(line.rstrip())
        line = word.lstrip()
        with_hyphens = hyphens and _is_word(word)
        while width_of(line.rstrip(), size, bold) > width:
            end, hyphen = _parted(line, width, size, bold, with_hyphens)
            alone = width_of(line[:end], size, bold) > width  # one sign wider than the column
            inside.add(len(lines))
            lines.append(ELLIPSIS if alone else line[:end] + hyphen)
            line = line[end:]
        if len(lines) > most:
            break
    if line.strip():
        lines.append(line.rstrip())
    if len(lines) > most:
        rest = "".join(
            lines[place].rstrip(SOFT_HYPHEN) + ("" if place in inside else " ")
            for place in range(most - 1, len(lines))
        )
        lines = [*lines[: most - 1], fit(rest.rstrip() + ELLIPSIS, width, size, bold)]
    return tuple(lines) or ("",)


@lru_cache(maxsize=4_000)
def wrap_name(text: str, width: float, size: float, bold: bool = False, most: int = 1000) -> tuple[str, ...]:
    """As `wrap`, for names of subjects, sites and the like: one that is too long loses its middle, since such
    names differ at their ends (PROTOCOL-2026-…-1015). None is parted with a sign that is not its own."""
    text = clean(text[:LONGEST])
    lines = wrap(text, width, size, bold, most, False)
    if not lines[-1].endswith(ELLIPSIS) or text.endswith(ELLIPSIS):
        return lines
    low, high = 0, len(text) - 1
    while low < high:
        kept = (low + high + 1) // 2
        if len(wrap(_without_middle(text, kept), width, size, bold, most + 1, False)) <= most:
            low = kept
        else:
            high = kept - 1
    return wrap(_without_middle(text, low), width, size, bold, most, False)


def wrap_label(text: str, width: float, size: float) -> tuple[str, ...]:
    """A category of a chart in two lines: as `wrap`, and where that cuts it as `wrap_name`."""
    lines = wrap(text, width, size, False, 2)
    return wrap_name(text, width, size, False, 2) if lines[-1].endswith(ELLIPSIS) else lines


def _without_middle(text: str, kept: int) -> str:
    """`kept` characters of it, of both ends."""
    start = _whole_letters(text, kept // 2)
    end = len(text) - (kept - kept // 2)
    while end < len(text) and unicodedata.category(text[end]) in ("Mn", "Mc", "Me", "Cf"):
        end += 1
    return text[:start].rstrip() + ELLIPSIS + text[end:].lstrip()


def _breakable(text: str) -> Iterable[str]:
    """Words with the space or slash after them; wide (Chinese, Japanese, Korean) characters one by one."""
    word = ""
    for character in text:
        if unicodedata.east_asian_width(character) in "WF":
            if word:
                yield word
            word = ""
            yield character
            continue
        word += character
        if character in " /":
            yield word
            word = ""
    if word:
        yield word


def _parted(word: str, width: float, size: float, bold: bool, hyphens: bool) -> tuple[int, str]:
    """How many characters of an overlong word go on this line, and the sign behind them."""
    end = _longest_prefix(word, width, size, bold)
    if not hyphens or word[end - 1] in _JOINTS:
        return end, ""
    with_sign = _longest_prefix(word, width - width_of("-", size, bold), size, bold)
    if word[with_sign - 1] in _JOINTS:
        return with_sign, ""
    with_sign = _whole_letters(word, min(with_sign, len(word.rstrip(_AROUND)) - _FEWEST))
    return (with_sign, SOFT_HYPHEN) if with_sign >= _FEWEST else (end, "")


#: Letters of a word that stand on a line of their own at least.
_FEWEST = 2
_AROUND = " /.,;:!?()[]\"'“”„«»…"


@lru_cache(maxsize=4_000)
def _is_word(text: str) -> bool:
    """Letters of a script that is parted with hyphens, and nothing that a hyphen would make another (the code
    of a test, a number of parts, an address, a file's name)."""
    text = text.strip(_AROUND)
    letters = text.replace("-", "").replace("’", "").replace("'", "")
    return (
        letters.isalpha()
        and not ("-" in text and text.isupper())
        and all(unicodedata.name(letter, "").startswith(_HYPHENATED) for letter in set(letters))
    )


_HYPHENATED = ("LATIN ", "GREEK ", "CYRILLIC ", "ARMENIAN ")


def _longest_prefix(word: str, width: float, size: float, bold: bool) -> int:
    """How many characters of an overlong word go on this line; at least one, so that wrapping always ends.

    As many as fit; a number of parts (STUDY-001-004, a file's name, an address) is parted between its parts,
    where that leaves no line nearly empty.
    """
    low, high = 1, len(word)
    while low < high:
        middle = (low + high + 1) // 2
        if width_of(word[:middle], size, bold) <= width:
            low = middle
        else:
            high = middle - 1
    joint = max(word.rfind(sign, 0, low) for sign in _JOINTS) + 1
    return joint if joint > low // 3 else max(1, _whole_letters(word, low))


#: After these an overlong word is parted rather than anywhere.
_JOINTS = "-_.:@"
