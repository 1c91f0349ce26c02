"""Drawn ECG strips, scan-like images and lab sheets: plausible to look at, invented, and repeatable.

Bytes in nothing but a seed (and a document's real results for a lab sheet), bytes out. No patient
was ever in front of these; every picture says that it is synthetic.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any, Literal
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

Pixels = NDArray[Any]  # float32

# --- ECG -----------------------------------------------------------------------------------------

_DOTS = 4  # pixels a millimetre of paper
_PAPER_SPEED = 25  # mm/s
_GAIN = 10  # mm/mV
_SECONDS = 10
_ROW = 30  # mm a lead
_MARGIN = 5  # mm
_HEADER = 16  # mm

# amplitude in mV, offset from the R peak in s, width in s: P, Q, R, S, T of a normal lead II
_WAVES = (
    (0.14, -0.17, 0.024),
    (-0.10, -0.032, 0.010),
    (1.15, 0.0, 0.011),
    (-0.24, 0.034, 0.012),
    (0.30, 0.26, 0.052),
)
# how tall P, Q, R, S and T stand in each lead
_LEADS: Mapping[str, tuple[float, float, float, float, float]] = {
    "I": (0.8, 0.7, 0.65, 0.5, 0.8),
    "II": (1.0, 1.0, 1.0, 1.0, 1.0),
    "V1": (0.6, 0.0, 0.25, 4.2, -0.4),
}


def ecg_strip(chance: Random, caption: str) -> bytes:
    """A PNG of a ten-second strip of three leads on millimetre paper (25 mm/s, 10 mm/mV)."""
    scale = 2  # drawn twice as large and reduced: smooth lines
    dots = _DOTS * scale
    width = (_SECONDS * _PAPER_SPEED + 2 * _MARGIN) * dots
    height = (_HEADER + len(_LEADS) * _ROW + 2 * _MARGIN) * dots
    image = _paper(width, height, dots).copy()
    draw = ImageDraw.Draw(image)
    rate = chance.randint(54, 104)
    draw.rectangle((0, 0, width, (_HEADER - 1) * dots), fill=(255, 255, 255))
    title, small = ImageFont.load_default(5 * dots), ImageFont.load_default(3.6 * dots)
    draw.text((_MARGIN * dots, 1.5 * dots), caption, font=title, fill=(20, 20, 30))
    facts = f"{rate}/min   25 mm/s   10 mm/mV   0.05 - 150 Hz   SYNTHETIC"
    draw.text((_MARGIN * dots, 9 * dots), facts, font=small, fill=(70, 70, 85))
    beats = _beats(chance, rate)
    for number, (lead, heights) in enumerate(_LEADS.items()):
        middle = (_HEADER + _MARGIN + number * _ROW + _ROW * 0.62) * dots
        trace = _trace(chance, beats, heights)
        xs = np.linspace(_MARGIN * dots, width - _MARGIN * dots, len(trace))
        points = list(zip(xs.tolist(), (middle - trace * _GAIN * dots).tolist(), strict=True))
        draw.line(points, fill=(15, 15, 40), width=round(0.32 * dots), joint="curve")
        draw.text((_MARGIN * dots, middle - 15 * dots), lead, font=title, fill=(15, 15, 40))
    return _png(image.reduce(scale))


@lru_cache(maxsize=1)
def _paper(width: int, height: int, dots: int) -> Image.Image:
    """Empty millimetre paper; the same under every strip."""
    image = Image.new("RGB", (width, height), (255, 250, 248))
    draw = ImageDraw.Draw(image)
    for fine, colour, line in ((1, (250, 218, 214), 1), (5, (240, 170, 165), 2)):
        for x in range(0, width, fine * dots):
            draw.line((x, 0, x, height), fill=colour, width=line)
        for y in range(0, height, fine * dots):
            draw.line((0, y, width, y), fill=colour, width=line)
    return image


def _beats(chance: Random, rate: int) -> list[float]:
    at, found = 0.25 + chance.random() * 0.3, []
    while at < _SECONDS + 0.5:
        found.append(at)
        at += 60 / rate * (1 + chance.gauss(0, 0.025))
    return found


def _trace(chance: Random, beats: list[float], heights: Sequence[float]) -> Pixels:
    """Millivolts at 250 samples a second."""
    times = np.linspace(0, _SECONDS, _SECONDS * 250)
    phase = chance.random() * math.tau
    trace: Pixels = 0.04 * np.sin(times * 1.6 + phase)
    noise = np.array([chance.gauss(0, 0.006) for _ in times])
    for beat in beats:
        for (amplitude, offset, wide), tall in zip(_WAVES, heights, strict=True):
            trace += amplitude * tall * np.exp(-(((times - beat - offset) / wide) ** 2) / 2)
    found: np.ndarray = trace + noise
    return found


# --- scans ---------------------------------------------------------------------------------------

_SIDE = 512  # pixels
#: EXIF orientation 6: the viewer turns the stored picture a quarter clockwise.
_TURNED = 6
_ORIENTATION = 0x0112


def scan(chance: Random, region: Literal["head", "chest"], caption: str, turned: bool = False) -> bytes:
    """A JPEG of an axial slice. `turned`: stored on its side, with the EXIF tag that sets it upright."""
    grey = _head(chance) if region == "head" else _chest(chance)
    half = _SIDE // 2
    grain = np.frombuffer(chance.randbytes(half * half), dtype=np.uint8).astype(np.float32) - 127.5
    grain = grain.reshape(half, half).repeat(2, axis=0).repeat(2, axis=1)
    pixels = np.clip(grey * 255 + grain * 0.05 * (0.25 + grey), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(1.1))
    _annotate(image, caption)
    exif = Image.Exif()
    if turned:
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[_ORIENTATION] = _TURNED
    out = io.BytesIO()
    image.save(out, "JPEG", quality=86, exif=exif)
    return out.getvalue()


def _axes() -> tuple[Pixels, Pixels]:
    """x to the right and y downwards, both from -1 to 1."""
    line = np.linspace(-1, 1, _SIDE, dtype=np.float32)
    x, y = np.meshgrid(line, line)
    return x, y


def _soft_ellipse(
    x: Pixels,
    y: Pixels,
    centre: tuple[float, float],
    radii: tuple[float, float],
    turn: float = 0.0,
    edge: float = 0.03,
) -> Pixels:
    """1 inside, 0 outside, and a soft edge."""
    cosine, sine = math.cos(turn), math.sin(turn)
    dx, dy = x - centre[0], y - centre[1]
    along = (dx * cosine + dy * sine) / radii[0]
    across = (dy * cosine - dx * sine) / radii[1]
    steepness = np.clip((np.hypot(along, across) - 1) / edge * 2, -60, 60)  # exp overflows far outside
    return 1 / (1 + np.exp(steepness))


def _texture(chance: Random, cells: int) -> Pixels:
    """Smooth noise from -1 to 1 with about `cells` blobs a side."""
    rough = Image.new("F", (cells, cells))
    rough.putdata([chance.uniform(-1, 1) for _ in range(cells * cells)])
    return np.asarray(rough.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), dtype=np.float32)


def _head(chance: Random) -> Pixels:
    x, y = _axes()
    wide, long = 0.62 + chance.uniform(-0.03, 0.03), 0.80 + chance.uniform(-0.03, 0.03)
    scalp = _soft_ellipse(x, y, (0, 0), (wide + 0.07, long + 0.06))
    skull = _soft_ellipse(x, y, (0, 0), (wide + 0.035, long + 0.03))
    inside = _soft_ellipse(x, y, (0, 0), (wide - 0.03, long - 0.035))
    brain = _soft_ellipse(x, y, (0, 0), (wide - 0.055, long - 0.06))
    radius = np.hypot(x / wide, y / long)
    angle = np.arctan2(y, x)
    folds = np.sin(angle * 34 + 5 * _texture(chance, 7)) * np.exp(-(((radius - 0.84) / 0.10) ** 2))
    white = _soft_ellipse(x, y, (0, 0), (wide * 0.66, long * 0.68), edge=0.12)
    tissue = 0.46 - 0.07 * white + 0.035 * _texture(chance, 26) + 0.07 * folds
    cleft = np.exp(-((x / 0.010) ** 2)) * (np.abs(y) > 0.30) * 0.20
    atrophy = chance.uniform(0.85, 1.35)  # ventricles widen with age
    fluid = np.zeros_like(x)
    for side in (-1, 1):
        fluid += _soft_ellipse(x, y, (side * 0.105, -0.13), (0.055 * atrophy, 0.20), side * 0.28, 0.10)
        fluid += _soft_ellipse(x, y, (side * 0.16, 0.20), (0.05 * atrophy, 0.16), side * -0.45, 0.10)
    fluid += _soft_ellipse(x, y, (0, 0.06), (0.018 * atrophy, 0.10), edge=0.2)
    tissue = tissue - cleft - np.clip(fluid, 0, 1) * 0.33
    picture = 0.22 * scalp
    picture = picture * (1 - skull) + 0.97 * skull
    picture = picture * (1 - inside) + 0.15 * inside
    clipped: np.ndarray = np.clip(picture * (1 - brain) + tissue * brain, 0, 1)
    return clipped


def _chest(chance: Random) -> Pixels:
    x, y = _axes()
    body = _soft_ellipse(x, y, (0, 0.02), (0.93, 0.66))
    muscle = _soft_ellipse(x, y, (0, 0.02), (0.84, 0.575))
    picture = 0.24 * body
    picture = picture * (1 - muscle) + (0.50 + 0.03 * _texture(chance, 30)) * muscle
    lungs = np.zeros_like(x)
    for side in (-1, 1):
        lung = _soft_ellipse(x, y, (side * 0.43, 0.0), (0.33, 0.46), side * 0.12)
        lungs = np.maximum(lungs, lung)
    heart = _soft_ellipse(x, y, (0.14, -0.10), (0.27, 0.25), 0.5, 0.05)
    vessels = (
        np.clip(_texture(chance, 46) - 0.52, 0, 1) * 0.9 + np.clip(_texture(chance, 24) - 0.62, 0, 1) * 0.9
    )
    picture = picture * (1 - lungs) + (0.07 + 0.02 * _texture(chance, 12) + vessels) * lungs
    if chance.random() < 0.7:
        side = chance.choice((-1, 1))
        centre = (side * chance.uniform(0.38, 0.55), chance.uniform(-0.2, 0.25))
        nodule = _soft_ellipse(x, y, centre, (chance.uniform(0.03, 0.06),) * 2, edge=0.10)
        picture = picture * (1 - nodule) + 0.60 * nodule
    picture = picture * (1 - heart) + (0.56 + 0.02 * _texture(chance, 20)) * heart
    for centre, size in (((-0.06, 0.33), 0.075), ((0.08, 0.10), 0.06)):  # aorta, pulmonary artery
        vessel = _soft_ellipse(x, y, centre, (size, size), edge=0.10)
        picture = picture * (1 - vessel) + 0.66 * vessel
    return _bones(x, y, picture)


def _bones(x: Pixels, y: Pixels, picture: Pixels) -> Pixels:
    vertebra = _soft_ellipse(x, y, (0, 0.42), (0.13, 0.10), edge=0.08)
    canal = _soft_ellipse(x, y, (0, 0.545), (0.05, 0.04), edge=0.15)
    spine = _soft_ellipse(x, y, (0, 0.57), (0.10, 0.075), edge=0.15)
    sternum = _soft_ellipse(x, y, (0, -0.53), (0.12, 0.035), edge=0.15)
    bones = np.maximum.reduce([vertebra, spine, sternum])
    for step in range(9):
        for side in (-1, 1):
            angle = -1.15 + step * 0.29
            at = (side * 0.80 * math.cos(angle), 0.02 + 0.535 * math.sin(angle))
            turn = math.atan2(0.535 * math.cos(angle), -side * 0.80 * math.sin(angle))
            part = _around(at, 0.16)  # a rib is small: the rest of the picture need not be computed
            rib = _soft_ellipse(x[part], y[part], at, (0.085, 0.026), turn, 0.15)
            bones[part] = np.maximum(bones[part], rib)
    picture = picture * (1 - bones) + 0.92 * bones
    clipped: np.ndarray = np.clip(picture * (1 - canal) + 0.40 * canal, 0, 1)
    return clipped


def _around(centre: tuple[float, float], reach: float) -> tuple[slice, slice]:
    """The rows and columns within `reach` of `centre`."""

    def span(middle: float) -> slice:
        first, last = ((middle + side * reach + 1) / 2 * _SIDE for side in (-1, 1))
        return slice(max(0, round(first)), min(_SIDE, round(last)))

    return span(centre[1]), span(centre[0])


def _annotate(image: Image.Image, caption: str) -> None:
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    draw.text((10, 8), caption, font=font, fill=225)
    draw.text((10, _SIDE - 28), "SYNTHETIC", font=font, fill=225)
    draw.text((10, _SIDE // 2 - 10), "R", font=font, fill=225)
    draw.text((_SIDE - 22, _SIDE // 2 - 10), "L", font=font, fill=225)
    draw.line((_SIDE - 130, _SIDE - 18, _SIDE - 20, _SIDE - 18), fill=225, width=2)
    draw.text((_SIDE - 100, _SIDE - 40), "50 mm", font=font, fill=225)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.quantize(32, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        out, "PNG", optimize=False
    )
    return out.getvalue()


# --- lab sheets ----------------------------------------------------------------------------------

_FLAGS = {"HIGH": "H", "LOW": "L", "ABNORMAL": "A"}


def lab_sheet(laboratory: Mapping[str, Any]) -> bytes:
    """A PDF of the results of a `lab` document: standard values, ranges, flags. Latin-1 text only."""
    body = ParagraphStyle("body", fontName="Helvetica", fontSize=9, leading=12)
    title = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=15, leading=20)
    small = ParagraphStyle("small", fontName="Helvetica", fontSize=7, leading=9, textColor=colors.grey)
    facts = [("Trial", laboratory["trial"]), ("Site", laboratory["site"]), ("Subject", laboratory["subject"])]
    facts.append(("Collected", laboratory["collected"].replace("T", " ")))
    heading = "&nbsp;&nbsp;&nbsp; ".join(f"<b>{name}</b> {escape(_latin(value))}" for name, value in facts)
    source = f"Synthetic sheet, set from the results of {laboratory['_id']}. Not a laboratory's own document."
    story = [
        Paragraph("Laboratory report", title),
        Paragraph(heading, body),
        Spacer(1, 5 * mm),
        _results_table(laboratory["data"]["results"]),
        Spacer(1, 5 * mm),
        Paragraph("H above, L below the reference range, A abnormal. All values in standard units.", body),
        Paragraph(source, small),
    ]
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=16 * mm,
        bottomMargin=16 * mm,
        title="Laboratory report",
        author="Synthetic sample",
        invariant=1,  # the same results, the same bytes
    )
    document.build(story)
    return out.getvalue()


def _results_table(results: Sequence[Mapping[str, Any]]) -> Table:
    rows = [["Test", "Result", "Unit", "Reference range", ""]]
    style: list[Any] = [
        ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 8),
        ("FONT", (0, 1), (-1, -1), "Helvetica", 8),
        ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#22384d")),
        ("TEXTCOLOR", (0, 0), (-1, 0), colors.white),
        ("ROWBACKGROUNDS", (0, 1), (-1, -1), [colors.white, colors.HexColor("#f3f6f8")]),
        ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.HexColor("#c9d2da")),
        ("ALIGN", (1, 0), (1, -1), "RIGHT"),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
    for number, result in enumerate(results, start=1):
        flag = _FLAGS.get(result["indicator"], "")
        value = f"{result['value']:.5g}" if result["value"] is not None else result["text_result"]
        low, high = result["low"], result["high"]
        span = f"{low:.5g} to {high:.5g}" if low is not None and high is not None else ""
        rows.append([_latin(text) for text in (result["test"], value, result["unit"], span, flag)])
        if flag:
            style.append(("FONT", (0, number), (-1, number), "Helvetica-Bold", 8))
    return Table(
        rows, colWidths=[66 * mm, 28 * mm, 26 * mm, 38 * mm, 10 * mm], repeatRows=1, style=TableStyle(style)
    )


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")
