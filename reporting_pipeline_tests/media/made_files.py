"""Files as sites send them, good and hostile, made on the spot."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from typing import Any

import pikepdf
from PIL import Image, ImageDraw

from reporting_pipeline.media.sandbox import MediaFile

TEXT_OF_PAGE = b"BT /F1 24 Tf 40 700 Td (Haemoglobin 13.2 g/dL) Tj ET 1 0 0 rg 40 40 200 100 re f"


def declared(content: bytes, name: str) -> MediaFile:
    """A file with the hash and size that are true of it."""
    return MediaFile(content, name, hashlib.sha256(content).hexdigest(), len(content))


def encoded(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def scene(width: int = 800, height: int = 600) -> Image.Image:
    """Blue, with a red field at the upper left and a yellow one at the lower right."""
    image = Image.new("RGB", (width, height), (20, 40, 200))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 4, height // 4), fill=(230, 10, 10))
    draw.rectangle((3 * width // 4, 3 * height // 4, width, height), fill=(240, 230, 20))
    return image


def ramp16(top: int = 65535) -> Image.Image:
    """A 16-bit grey ramp from 0 at the top to `top` at the bottom."""
    grey = Image.linear_gradient("L").convert("I")
    return grey.point(lambda value: value * (top / 255)).convert("I;16")


def turned(image: Image.Image, orientation: int, how: Image.Transpose) -> bytes:
    """A JPEG stored turned, with the EXIF mark that says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image.transpose(how), "JPEG", quality=95, exif=exif)


def bomb_png(width: int, height: int) -> bytes:
    """A tiny PNG that unpacks to `width` x `height` grey pixels."""
    packer = zlib.compressobj(9)
    row = b"\x00" * (width + 1)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

    header = struct.pack("!IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def pdf(pages: int = 1, size: tuple[float, float] = (595, 842), **save: Any) -> bytes:
    document = pikepdf.new()
    font = pikepdf.Dictionary(
        Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
    )
    for _ in range(pages):
        page = document.add_blank_page(page_size=size)
        page.obj.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        page.obj.Contents = document.make_stream(TEXT_OF_PAGE)
    return _saved(document, **save)


def pdf_with_password(password: str) -> bytes:
    return pdf(encryption=pikepdf.Encryption(user=password, owner=password + "-owner"))


def pdf_without_pages() -> bytes:
    return _saved(pikepdf.new())


def pdf_with_picture(side: int) -> bytes:
    """One page that holds a grey picture of `side` x `side` pixels, a few kilobytes packed."""
    document = pikepdf.new()
    page = document.add_blank_page(page_size=(300, 300))
    packer = zlib.compressobj(9)
    row = b"\x80" * (side * 3)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    picture = document.make_stream(b"")
    picture.write(packed, filter=pikepdf.Name.FlateDecode)
    picture.Type, picture.Subtype = pikepdf.Name.XObject, pikepdf.Name.Image
    picture.Width = picture.Height = side
    picture.ColorSpace, picture.BitsPerComponent = pikepdf.Name.DeviceRGB, 8
    page.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im=picture))
    page.obj.Contents = document.make_stream(b"q 300 0 0 300 0 0 cm /Im Do Q")
    return _saved(document)


def pdf_of_nested_forms(levels: int = 12, fan: int = 10) -> bytes:
    """Three kilobytes that draw fan ** levels lines: memory and time without end."""
    document = pikepdf.new()
    page = document.add_blank_page(page_size=(300, 300))
    form = _form(document, b"0 0 m 300 300 l S")
    for _ in range(levels):
        outer = _form(document, b"/F Do " * fan)
        outer.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(F=form))
        form = outer
    page.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(F=form))
    page.obj.Contents = document.make_stream(b"/F Do")
    return _saved(document)


def _form(document: pikepdf.Pdf, content: bytes) -> pikepdf.Stream:
    form = document.make_stream(content)
    form.Type, form.Subtype = pikepdf.Name.XObject, pikepdf.Name.Form
    form.BBox = pikepdf.Array([0, 0, 300, 300])
    return form


def _saved(document: pikepdf.Pdf, **options: Any) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer, **options)
    return buffer.getvalue()
