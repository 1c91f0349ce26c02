"""A thumbnail shows what the file shows: upright, in its colours, neither white nor black."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageCms

from reporting_pipeline.media.decoding import Undecodable
from reporting_pipeline.media.thumbnails import ThumbnailImage, has_thumbnail, thumbnail
from reporting_pipeline_tests.media.made_files import (
    encoded,
    pdf,
    pdf_with_password,
    pdf_with_picture,
    ramp16,
    scene,
    turned,
)

BLUE, RED, YELLOW = (20, 40, 200), (230, 10, 10), (240, 230, 20)
Colour = tuple[int, int, int]


def opened(small: ThumbnailImage) -> Image.Image:
    image = Image.open(io.BytesIO(small.jpeg))
    image.load()
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (small.width, small.height))
    return image


def colour_at(image: Image.Image, x: float, y: float) -> Colour:
    """The colour at a place given in parts of the width and height."""
    pixel = image.getpixel((int(x * (image.width - 1)), int(y * (image.height - 1))))
    assert isinstance(pixel, tuple)
    return pixel[0], pixel[1], pixel[2]


def near(found: Colour, wanted: Colour, within: int = 30) -> bool:
    return all(abs(a - b) <= within for a, b in zip(found, wanted, strict=True))


def assert_shows_the_scene(small: ThumbnailImage, within: int = 30) -> None:
    image = opened(small)
    assert image.width > image.height
    for place, wanted in (((0.1, 0.1), RED), ((0.9, 0.9), YELLOW), ((0.5, 0.5), BLUE), ((0.9, 0.1), BLUE)):
        assert near(colour_at(image, *place), wanted, within), (place, colour_at(image, *place))


@pytest.mark.parametrize(
    ("file_type", "image_format", "options"),
    [
        ("jpg", "JPEG", {"quality": 95}),
        ("jpg", "JPEG", {"quality": 95, "progressive": True}),
        ("png", "PNG", {}),
        ("tiff", "TIFF", {"compression": "tiff_lzw"}),
        ("bmp", "BMP", {}),
        ("webp", "WEBP", {}),
    ],
)
def test_an_image_keeps_its_colours_and_proportions(
    file_type: str, image_format: str, options: dict[str, object]
) -> None:
    small = thumbnail(encoded(scene(), image_format, **options), file_type, max_side=200)
    assert (small.width, small.height, small.pages) == (200, 150, 1)
    assert_shows_the_scene(small)


@pytest.mark.parametrize(
    ("orientation", "how"),
    [
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (5, Image.Transpose.TRANSPOSE),
        (6, Image.Transpose.ROTATE_90),
        (7, Image.Transpose.TRANSVERSE),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_a_picture_taken_sideways_stands_upright(orientation: int, how: Image.Transpose) -> None:
    assert_shows_the_scene(thumbnail(turned(scene(), orientation, how), "jpg", max_side=200))


def test_a_turned_tiff_is_set_upright_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(scene().transpose(Image.Transpose.ROTATE_90), "TIFF", exif=exif)
    assert_shows_the_scene(thumbnail(content, "tiff", max_side=200))


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("top", [65535, 4095], ids=["16 bits used", "12 bits used"])
def test_a_16_bit_scan_is_neither_white_nor_black(image_format: str, top: int) -> None:
    image = opened(thumbnail(encoded(ramp16(top), image_format), image_format.lower(), max_side=100))
    assert near(colour_at(image, 0.5, 0.0), (0, 0, 0), 12)
    assert near(colour_at(image, 0.5, 0.5), (127, 127, 127), 12)
    assert near(colour_at(image, 0.5, 1.0), (255, 255, 255), 12)


def test_a_16_bit_scan_stored_as_a_negative_is_shown_as_meant() -> None:
    content = encoded(ramp16(), "TIFF", tiffinfo={262: 0})
    image = opened(thumbnail(content, "tiff", max_side=100))
    assert near(colour_at(image, 0.5, 0.0), (255, 255, 255), 12)
    assert near(colour_at(image, 0.5, 1.0), (0, 0, 0), 12)


@pytest.mark.parametrize("value", [0.0, 3.5, float("nan"), float("inf")])
def test_a_float_image_of_one_value_still_has_a_thumbnail(value: float) -> None:
    assert opened(thumbnail(encoded(Image.new("F", (40, 30), value), "TIFF"), "tiff")).size == (40, 30)


def test_a_cmyk_photo_is_not_inverted() -> None:
    content = encoded(scene().convert("CMYK"), "JPEG", quality=95)
    assert_shows_the_scene(thumbnail(content, "jpg", max_side=200))


def test_colours_follow_the_embedded_profile_and_a_broken_one_is_ignored() -> None:
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ"))
    plain = thumbnail(encoded(scene(), "JPEG", quality=95), "jpg", max_side=100)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with_srgb = thumbnail(encoded(scene(), "JPEG", quality=95, icc_profile=srgb), "jpg", max_side=100)
    broken = thumbnail(encoded(scene(), "JPEG", quality=95, icc_profile=b"rubbish"), "jpg", max_side=100)
    xyz = encoded(scene(), "JPEG", quality=95, icc_profile=swapped.tobytes())
    assert broken == plain
    assert_shows_the_scene(with_srgb)
    assert_shows_the_scene(thumbnail(xyz, "jpg", max_side=100))  # no profile of an RGB picture


def test_transparency_lies_on_white_paper() -> None:
    clear = scene().convert("RGBA")
    clear.putalpha(Image.new("L", clear.size, 0))
    assert near(colour_at(opened(thumbnail(encoded(clear, "PNG"), "png")), 0.5, 0.5), (255, 255, 255), 3)


def test_a_palette_with_a_transparent_colour_keeps_the_others() -> None:
    palette = scene().quantize(8)
    transparent = palette.getpixel((5, 5))
    content = encoded(palette, "PNG", transparency=transparent)
    image = opened(thumbnail(content, "png", max_side=200))
    assert near(colour_at(image, 0.1, 0.1), (255, 255, 255), 5)
    assert near(colour_at(image, 0.5, 0.5), BLUE)


def test_an_animation_shows_its_first_frame() -> None:
    other = Image.new("RGB", (800, 600), "black").quantize(4)
    content = encoded(scene().quantize(16), "GIF", save_all=True, append_images=[other])
    assert_shows_the_scene(thumbnail(content, "gif", max_side=200))


def test_a_black_and_white_fax_is_smoothed_to_grey() -> None:
    stripes = Image.new("1", (800, 600), 1)
    stripes.paste(0, (0, 0, 800, 300))
    image = opened(thumbnail(encoded(stripes, "TIFF", compression="group4"), "tiff", max_side=100))
    assert near(colour_at(image, 0.5, 0.1), (0, 0, 0))
    assert near(colour_at(image, 0.5, 0.9), (255, 255, 255))


def test_a_small_image_is_not_enlarged_and_a_thin_one_keeps_a_pixel() -> None:
    assert opened(thumbnail(encoded(scene(30, 20), "PNG"), "png")).size == (30, 20)
    assert opened(thumbnail(encoded(scene(4000, 2), "PNG"), "png", max_side=100)).size == (100, 1)


def test_a_thumbnail_is_the_same_bytes_each_time_and_carries_nothing_of_the_source() -> None:
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe, born 1950"
    content = encoded(scene(), "JPEG", exif=exif, comment=b"Jane Doe")
    first = thumbnail(content, "jpg")
    assert first == thumbnail(content, "jpg")
    assert b"Jane Doe" in content
    assert b"Jane Doe" not in first.jpeg
    assert not {"exif", "icc_profile", "comment"} & opened(first).info.keys()


def test_a_large_photo_is_shrunk_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    load = Image.Image.resize

    def resize(self: Image.Image, *args: object, **options: object) -> Image.Image:
        sizes.append(self.size)
        return load(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", resize)
    thumbnail(encoded(scene(4000, 3000), "JPEG"), "jpg", max_side=400)
    assert sizes[0] == (500, 375)


def test_a_pdf_shows_its_first_page_on_white_and_counts_the_others() -> None:
    small = thumbnail(pdf(pages=3), "pdf", max_side=400)
    image = opened(small)
    assert (small.height, small.pages) == (400, 3)
    assert abs(small.width - 400 * 595 / 842) <= 1
    assert near(colour_at(image, 0.2, 0.9), (255, 0, 0))
    assert near(colour_at(image, 0.8, 0.4), (255, 255, 255), 3)
    assert thumbnail(pdf(pages=3), "pdf", max_side=400) == small


def test_a_page_of_any_size_fits_the_thumbnail() -> None:
    for size in ((14400, 14400), (14400, 3), (3, 3)):
        small = thumbnail(pdf(size=size), "pdf", max_side=300)
        assert max(small.width, small.height) <= 301
        assert min(small.width, small.height) >= 1


def test_a_pdf_with_a_picture_beyond_the_limit_has_no_preview_rather_than_a_black_one() -> None:
    with pytest.raises(Undecodable, match="11000 x 11000"):
        thumbnail(pdf_with_picture(11_000), "pdf")
    image = opened(thumbnail(pdf_with_picture(200), "pdf"))
    assert near(colour_at(image, 0.5, 0.99), (128, 128, 128), 3)


def test_what_cannot_be_shown_raises_a_reason() -> None:
    with pytest.raises(Undecodable, match="password"):
        thumbnail(pdf_with_password("secret"), "pdf")
    with pytest.raises(Undecodable, match="damaged"):
        thumbnail(encoded(scene(), "JPEG")[:2000], "jpg")
    with pytest.raises(ValueError, match="no thumbnail"):
        thumbnail(b"text", "txt")
    assert [has_thumbnail(file_type) for file_type in ("jpg", "pdf", "txt", "svg", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]
