"""Opens hostile images and PDFs, and says what is wrong with them. Runs in a worker process.

Pillow and pdfium are the attack surface, so only this module and `thumbnails` call them; the
pipeline reaches both through `sandbox`. pdfium is not thread-safe: one thread per process.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pypdfium2 as pdfium
from PIL import Image
from pypdfium2 import raw as pdfium_c

from reporting_pipeline.media import dicom
from reporting_pipeline.media.file_types import IMAGE_FORMATS

#: Pixels of one image. Below Pillow's own warning (89 million), 320 MB decoded.
PIXEL_LIMIT = 80_000_000
#: Frames of an animation or pages of a TIFF, and pages of a PDF, that are decoded to verify it.
FRAME_LIMIT = 200
PAGE_LIMIT = 200

AGAIN = "Ask the site to upload it again."


class Undecodable(ValueError):
    """The file cannot be shown; the message tells a reader what is wrong and what to do."""


class NotInspected(Exception):
    """The file could not be looked into, and nothing says that it is bad; the message says why."""


@contextmanager
def opened_image(content: bytes, file_type: str) -> Iterator[Image.Image]:
    """The image, lazily: nothing is decoded yet. Every error inside the block becomes Undecodable.

    MemoryError passes, for the worker to report.
    """
    with warnings.catch_warnings():
        # Pillow warns about odd metadata; only the bomb warning matters, and it must stop the decoder.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS[file_type]) as image:
                _refuse_bomb(image)
                yield image
        except (Undecodable, MemoryError):
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise Undecodable(_too_many_pixels()) from None
        except Exception as error:  # OSError, ValueError, TypeError, SyntaxError, … depending on the codec
            raise Undecodable(f"The image is damaged or cut short ({_brief(error)}). {AGAIN}") from error


@contextmanager
def opened_pdf(content: bytes) -> Iterator[pdfium.PdfDocument]:
    """The PDF with at least one page. Every error inside the block becomes Undecodable."""
    try:
        document = pdfium.PdfDocument(content)
    except pdfium.PdfiumError as error:
        raise Undecodable(_why_not_opened(error)) from error
    try:
        if len(document) == 0:
            raise Undecodable(f"The PDF has no pages. {AGAIN}")
        yield document
    except pdfium.PdfiumError as error:
        raise Undecodable(f"The PDF is damaged ({_brief(error)}). {AGAIN}") from error
    finally:
        document.close()


def check_image(content: bytes, file_type: str) -> str:
    """Decode every frame, at most FRAME_LIMIT. Returns a remark or ""; raises Undecodable."""
    with opened_image(content, file_type) as image:
        image.load()
        if file_type == "jpg":  # what follows the first picture of an MPO is the camera's own
            return ""
        for frame in range(1, FRAME_LIMIT):
            try:
                image.seek(frame)
            except EOFError:
                return ""
            _refuse_bomb(image)
            image.load()
        if getattr(image, "n_frames", 1) > FRAME_LIMIT:
            return f"Only the first {FRAME_LIMIT} frames were checked."
    return ""


def check_dicom(content: bytes) -> str:
    """Decode the first picture. Returns a remark or ""; raises NotInspected, as much in DICOM is optional."""
    if not dicom.is_dicom(content):
        raise NotInspected("it has no signature of DICOM, so whether it can be read is not known.")
    try:
        picture = dicom.first_picture(content, PIXEL_LIMIT)
    except dicom.UnreadableDicom as error:
        raise NotInspected(f"it is DICOM, but {error}.") from error
    if picture.private:
        return "No preview: the picture may show who it is of."
    return f"The first of {picture.frames} frames was checked." if picture.frames > 1 else ""


def check_pdf(content: bytes) -> str:
    """Load every page, at most PAGE_LIMIT. Returns a remark or ""; raises Undecodable or NotInspected."""
    with opened_pdf(content) as document:
        if document.get_formtype() == pdfium_c.FORMTYPE_XFA_FULL:
            raise NotInspected(
                "it is a dynamic form (XFA), whose pages other programs cannot show. Ask the site for a "
                "plain PDF of it."
            )
        for number in range(min(len(document), PAGE_LIMIT)):
            try:
                document[number].close()
            except pdfium.PdfiumError as error:
                raise Undecodable(
                    f"The PDF is damaged: page {number + 1} of {len(document)} cannot be read. {AGAIN}"
                ) from error
        return f"Only the first {PAGE_LIMIT} pages were checked." if len(document) > PAGE_LIMIT else ""


def _refuse_bomb(image: Image.Image) -> None:
    if image.width * image.height > PIXEL_LIMIT:
        raise Undecodable(_too_many_pixels(f"{image.width} x {image.height} pixels; "))


def _too_many_pixels(size: str = "") -> str:
    return (
        f"The image has too many pixels ({size}the limit is {PIXEL_LIMIT // 1_000_000} million). "
        "Ask the site for a smaller version."
    )


def _why_not_opened(error: pdfium.PdfiumError) -> str:
    if getattr(error, "err_code", None) == pdfium_c.FPDF_ERR_PASSWORD:
        return "The PDF needs a password. Ask the site for a copy without one."
    if getattr(error, "err_code", None) == pdfium_c.FPDF_ERR_SECURITY:
        return "The PDF is encrypted in a way that cannot be opened. Ask the site for a plain copy."
    return f"The PDF is damaged or cut short. {AGAIN}"


#: What differs from run to run or tells of this machine: objects with their address, paths.
_OF_THE_PROCESS = re.compile(r"\s*<[^<>]*\bat 0x[0-9a-fA-F]+[^<>]*>|\s*'?(?:/[\w.+-]+){2,}/?'?")


def _brief(error: BaseException) -> str:
    """The library's own words, one short printable line; they may quote bytes of the file."""
    words = _OF_THE_PROCESS.sub("", " ".join(str(error).split())) or type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in words)[:120]
