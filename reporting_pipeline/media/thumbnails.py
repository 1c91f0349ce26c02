"""Small JPEGs of files: an image set upright, or the first page of a PDF. The same bytes each time.

For hostile files this runs in a worker process (`sandbox`).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

import pypdfium2 as pdfium
from PIL import Image, ImageCms
from pypdfium2 import raw as pdfium_c

from reporting_pipeline.media import dicom
from reporting_pipeline.media.decoding import PIXEL_LIMIT, Undecodable, opened_image, opened_pdf
from reporting_pipeline.media.file_types import DECODED_TYPES, IMAGE_FORMATS

MAX_SIDE = 640  # pixels: 8 cm in print at 200 dpi
_QUALITY = 82
_DEEP_MODES: Final = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N", "F"})
_SRGB: Final = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_EXIF_ORIENTATION = 0x0112
_TIFF_PHOTOMETRIC, _MIN_IS_WHITE = 262, 0
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ThumbnailImage:
    """A baseline RGB JPEG without metadata."""

    jpeg: bytes
    width: int  # pixels
    height: int
    pages: int = 1  # of a PDF, a TIFF or a DICOM file


def has_thumbnail(file_type: str) -> bool:
    """Whether a file of this type can be shown small."""
    return file_type in DECODED_TYPES


def thumbnail(content: bytes, file_type: str, max_side: int = MAX_SIDE) -> ThumbnailImage:
    """The file within `max_side` x `max_side` pixels, never enlarged (a PDF page fills it).

    Raises Undecodable with a reason for a reader, ValueError for a type that has no thumbnail.
    """
    if file_type == "pdf":
        return _of_pdf(content, max_side)
    if file_type in IMAGE_FORMATS:
        return _of_image(content, file_type, max_side)
    if file_type == "dcm":
        return _of_dicom(content, max_side)
    raise ValueError(f"no thumbnail of type {file_type!r}")


def _of_image(content: bytes, file_type: str, max_side: int) -> ThumbnailImage:
    with opened_image(content, file_type) as image:
        # The decoder shrinks a JPEG while it reads: 26 ms for 12 megapixels instead of 170.
        image.draft(None, _fitted(image, max_side))
        image.load()
        orientation = image.getexif().get(_EXIF_ORIENTATION)
        small = _shrunk(image, max_side)
        if orientation in _UPRIGHT:
            small = small.transpose(_UPRIGHT[orientation])
        return _as_jpeg(small, pages=getattr(image, "n_frames", 1) if file_type == "tiff" else 1)


def _of_dicom(content: bytes, max_side: int) -> ThumbnailImage:
    try:
        picture = dicom.first_picture(content, PIXEL_LIMIT)
    except dicom.UnreadableDicom as error:
        raise Undecodable(f"The DICOM file cannot be shown: {error}.") from error
    if picture.private:
        raise Undecodable("The picture may show who it is of.")
    size = _fitted(picture.image, max_side)
    small = picture.image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return _as_jpeg(small.convert("RGB"), pages=picture.frames)


def _of_pdf(content: bytes, max_side: int) -> ThumbnailImage:
    with opened_pdf(content) as document:
        document.init_forms()  # without it the fields of a filled form are blank
        page = document[0]
        width, height = page.get_size()
        if not (0 < width < 1e7 and 0 < height < 1e7):
            raise Undecodable("The first page of the PDF has no size that can be shown.")
        _refuse_huge_pictures(page)
        picture = _rendered(page, max_side / max(width, height))
        return _as_jpeg(picture, pages=len(document))


def _refuse_huge_pictures(page: pdfium.PdfPage) -> None:
    """pdfium paints what it cannot hold of a picture black, without an error: better no preview."""
    for picture in page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE]):
        facts = picture.get_metadata()
        if facts.width * facts.height * max(facts.bits_per_pixel, 1) > PIXEL_LIMIT * 32:
            raise Undecodable(
                f"The first page of the PDF holds a picture of {facts.width} x {facts.height} pixels."
            )


def _rendered(page: pdfium.PdfPage, scale: float) -> Image.Image:
    """The page as RGB at `scale` pixels a point, on white."""
    bitmap = page.render(scale=scale, fill_color=(255, 255, 255, 255), rev_byteorder=True)
    picture: Image.Image = bitmap.to_pil().convert("RGB")
    return picture


def _fitted(image: Image.Image, max_side: int) -> tuple[int, int]:
    """Width and height within `max_side`, in proportion, never larger than the image."""
    scale = min(1.0, max_side / max(image.size))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _shrunk(image: Image.Image, max_side: int) -> Image.Image:
    """`image` as RGB within `max_side`, its proportions kept."""
    size = _fitted(image, max_side)
    if image.mode in _DEEP_MODES:
        return _deep_to_grey(image, size).convert("RGB")
    small = _smooth_mode(image).resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return _flattened(small, image.info.get("icc_profile"))


def _smooth_mode(image: Image.Image) -> Image.Image:
    """A mode whose pixels may be averaged: palettes and bitmaps may not."""
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _flattened(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB: transparency over white, colours by the embedded profile where it can be used."""
    if image.mode == "RGBA":
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None  # a broken profile must not cost the picture
        if converted is not None:
            return converted
    return image.convert("RGB")


def _deep_to_grey(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """More than 8 bits a pixel to 8 bits: Pillow's own conversion clips, which makes scans white.

    Integers are scaled by the bits in use, so a 12-bit scan in a 16-bit file is not black; floats
    from the least to the greatest value.
    """
    low, high = (float(value) for value in _extrema(image))
    if image.mode == "F":
        span = high - low
    else:
        low = min(0.0, low)
        span = float(2 ** max(8, int(high - low).bit_length()) - 1)
    if not 0 < span < float("inf"):  # one flat value, or not a number
        low, span = low - 1 if span == 0 else 0.0, 2.0
    small = image.convert("F").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    grey = small.point(lambda value: value * (255 / span) - low * 255 / span).convert("L")
    return grey.point(lambda value: 255 - value) if _min_is_white(image) else grey


def _extrema(image: Image.Image) -> tuple[float, float]:
    extrema = image.getextrema()
    low, high = extrema[0], extrema[1]
    if isinstance(low, tuple) or isinstance(high, tuple):
        raise Undecodable("The image has more channels than can be shown.")
    return low, high


def _min_is_white(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    return tags.get(_TIFF_PHOTOMETRIC) == _MIN_IS_WHITE


def _as_jpeg(image: Image.Image, pages: int = 1) -> ThumbnailImage:
    buffer = io.BytesIO()
    # A picture of its own: what the source carried (profile, comment, EXIF) must not reach the file.
    plain = Image.new("RGB", image.size)
    plain.paste(image)
    plain.save(buffer, "JPEG", quality=_QUALITY, subsampling="4:2:0", optimize=True)
    return ThumbnailImage(buffer.getvalue(), plain.width, plain.height, pages)
