"""Reading intact, incomplete and invalid images, and encoding JPEG files."""

import io
import os
import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from aggpose_jax.data import images


def test_read_image_returns_rgb_from_a_path_bytes_or_an_array(tmp_path):
    rgb = np.zeros((8, 9, 3), np.uint8)
    rgb[..., 0] = 200
    path = tmp_path / "red.png"
    cv2.imwrite(str(path), rgb[..., ::-1])
    for image in (path, str(path), path.read_bytes(), rgb):
        np.testing.assert_array_equal(images.read_image(image), rgb)


def sideways() -> bytes:
    """Returns a JPEG file of 9 × 4 stored pixels that viewers rotate by 90°."""
    wide = cv2.imencode(".jpg", np.zeros((4, 9, 3), np.uint8))[1].tobytes()
    # An EXIF block with one entry, orientation 6: viewers rotate the image by 90°.
    tiff = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0" + b"\0\0\0\0"
    exif = b"\xff\xe1" + (len(tiff) + 8).to_bytes(2, "big") + b"Exif\0\0" + tiff
    return wide[:2] + exif + wide[2:]


def test_read_image_ignores_the_exif_orientation():
    rotated = sideways()
    assert cv2.imdecode(np.frombuffer(rotated, np.uint8), cv2.IMREAD_COLOR).shape == (9, 4, 3)
    assert images.read_image(rotated).shape == (4, 9, 3)


def photograph(kind: str, mode: str = "RGB", size=(24, 16), **options) -> bytes:
    """Returns an image file of smooth colours in a format and mode of Pillow."""
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    pixels = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, quality=95, **options)
    return buffer.getvalue()


def with_thumbnail(jpeg: bytes) -> bytes:
    """Returns a JPEG file whose header contains a thumbnail, a JPEG file with an end marker of its own."""
    thumbnail = b"Exif\0\0" + photograph("JPEG", size=(8, 8))
    return jpeg[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + jpeg[2:]


def header_of_png(width: int, height: int) -> bytes:
    """Returns a PNG file whose header states a size but which contains only one row of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    row = chunk(b"IDAT", zlib.compress(bytes(1 + 3 * width)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + row + chunk(b"IEND", b"")


def with_fill_and_stray_bytes(jpeg: bytes) -> bytes:
    """Returns a JPEG file with bytes between two segments that decoders skip: fill bytes, and stray bytes."""
    length = int.from_bytes(jpeg[4:6], "big")
    return jpeg[: 4 + length] + b"\0\xff\0rubbish\xff\xff" + jpeg[4 + length :]


def stereo() -> bytes:
    """Returns a file of two JPEG images, as phones write them."""
    left, right = (Image.open(io.BytesIO(photograph("JPEG"))) for _ in range(2))
    buffer = io.BytesIO()
    left.save(buffer, "MPO", save_all=True, append_images=[right], quality=95)
    return buffer.getvalue()


COMPLETE = {
    "jpeg": photograph("JPEG"),
    "progressive": photograph("JPEG", progressive=True),
    "stereo": stereo(),
    "fill": with_fill_and_stray_bytes(photograph("JPEG")),
    "png": photograph("PNG"),
    "thumbnail": with_thumbnail(photograph("JPEG")),
    "padded": photograph("JPEG") + bytes(100),
    "trailer": photograph("JPEG") + b"\xff\xda" + bytes(100),  # Phones append videos, which may contain any bytes.
}


@pytest.mark.parametrize("kind", COMPLETE)
def test_complete_files_are_read(kind):
    x, y = np.meshgrid(np.linspace(0, 255, 24), np.linspace(0, 255, 16))
    pixels = images.read_image(COMPLETE[kind]).astype(int)
    assert np.abs(pixels - np.stack([x, y, 255 - x], axis=-1)).mean() < 4


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read"),
        (b"", "is not a JPEG, PNG, "),
        (b"no image", "is not a JPEG, PNG, "),
        (b"SIMPLE  =                    T" + bytes(2850), "is not a JPEG, PNG, "),  # FITS, a format of astronomy
        (photograph("GIF"), "is not a JPEG, PNG, "),
        (COMPLETE["jpeg"][:-100], "is cut short"),
        (COMPLETE["thumbnail"][:-100], "is cut short"),
        (COMPLETE["progressive"][:-100], "is cut short"),
        (COMPLETE["jpeg"][:300], "is cut short"),
        (COMPLETE["jpeg"][:20], "is cut short"),
        (COMPLETE["stereo"][:-900], "is cut short"),
        (COMPLETE["png"][:20], "is not a JPEG, PNG, "),
        (COMPLETE["png"][:-30], "is cut short"),
        (header_of_png(30_000, 30_000), "is larger than 100,000,000 pixels"),
        (header_of_png(12_000, 9_000), "is larger than 100,000,000 pixels"),
        (header_of_png(40_000, 100), "has a side of more than 32,766 pixels"),
    ],
)
def test_the_error_of_an_unreadable_image_names_it(tmp_path, content, fault):
    path = tmp_path / "broken.jpg"
    if content is not None:
        path.write_bytes(content)
        with pytest.raises(images.ImageError, match=f"{len(content)} bytes {fault}"):
            images.read_image(content)
    with pytest.raises(images.ImageError, match=rf"broken\.jpg {fault}"):
        images.read_image(path)


def test_huge_images_are_rejected_before_memory_is_allocated():
    content = header_of_png(30_000, 3_400)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(images.ImageError):
        images.read_image(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB; decoded, the image takes 306,000


@pytest.mark.parametrize("start", [header_of_png(30_000, 30_000), b"no image"])
def test_only_the_header_of_a_huge_file_is_read(tmp_path, start):
    path = tmp_path / "huge.png"
    path.write_bytes(start)
    os.truncate(path, 2**31)  # a sparse file, which takes no disk space
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(images.ImageError, match=r"huge\.png is"):
        images.read_image(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def test_images_with_a_long_header_are_read(tmp_path):
    path = tmp_path / "long.jpg"
    comment = b"\xff\xfe\xff\xff" + bytes(65533)
    path.write_bytes(COMPLETE["jpeg"][:2] + 20 * comment + COMPLETE["jpeg"][2:])
    np.testing.assert_array_equal(images.read_image(path), images.read_image(COMPLETE["jpeg"]))


def test_errors_of_the_file_system_are_reported():
    with pytest.raises(images.ImageError, match=r"/proc/self/mem .*Input/output error"):
        images.read_image("/proc/self/mem")  # Address 0 is not mapped, so reading the first bytes fails.


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "LA"), ("PNG", "P"), ("JPEG", "CMYK")])
def test_other_modes_are_converted_to_rgb(kind, mode):
    encoded = photograph(kind, mode)
    expected = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")).astype(int)
    assert np.abs(images.read_image(encoded) - expected).mean() < 3


def test_sixteen_bits_per_channel_are_converted_to_eight():
    levels = np.linspace(0, 65535, 200).astype(np.uint16).reshape(10, 20)
    encoded = cv2.imencode(".png", levels)[1].tobytes()
    expected = np.repeat((levels // 256)[..., None], 3, axis=-1).astype(int)
    assert np.abs(images.read_image(encoded) - expected).max() <= 1


def test_arrays_of_another_type_than_rgb_images_are_rejected():
    with pytest.raises(images.ImageError, match=r"float64.*\(8, 8, 3\)"):
        images.read_image(np.zeros((8, 8, 3)))


def test_encoded_images_can_be_read_and_are_smaller_at_lower_quality():
    x, y = np.meshgrid(np.linspace(0, 255, 64), np.linspace(0, 255, 48))
    image = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    high, low = images.encode_jpeg(image, 95), images.encode_jpeg(image, 20)
    assert np.abs(images.read_image(high).astype(int) - image).mean() < 2
    assert len(low) < len(high)


def test_the_size_of_the_annotations_decides_whether_an_image_is_rotated():
    rotated = sideways()
    for size, expected in ((4, 9), False), ((9, 4), True), (None, False):
        image, turned = images.read_annotated_image(rotated, size)
        np.testing.assert_array_equal(image, images.read_image(rotated, upright=expected))
        assert turned is expected
    with pytest.raises(images.ImageError, match=r"is 9 × 4 pixels, but its annotation says 5 × 4"):
        images.read_annotated_image(rotated, (4, 5))
    upright = cv2.imencode(".png", np.zeros((4, 9, 3), np.uint8))[1].tobytes()
    with pytest.raises(images.ImageError, match=r"9 × 4 .* 4 × 9"):
        images.read_annotated_image(upright, (9, 4))


@pytest.mark.parametrize(
    ("kind", "mode"), [("WEBP", "RGB"), ("BMP", "RGB"), ("BMP", "L"), ("TIFF", "RGB"), ("TIFF", "CMYK")]
)
def test_other_common_formats_are_read_and_their_damage_is_noticed(kind, mode):
    content = photograph(kind, mode)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int)
    assert np.abs(images.read_image(content).astype(int) - expected).max() <= 1
    with pytest.raises(images.ImageError, match=r"not a|damaged|cut short"):
        images.read_image(content[: len(content) * 2 // 3])


def test_a_tiff_of_16_bits_keeps_its_brightest_bits():
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, 255, 256, 65535]], np.uint16)).save(buffer, "TIFF")
    assert images.read_image(buffer.getvalue())[0, :, 0].tolist() == [0, 0, 1, 255]


def test_a_tiff_is_always_upright():
    image = Image.fromarray(np.zeros((4, 9, 3), np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", tiffinfo={274: 6})
    for upright in (False, True):
        assert images.read_image(buffer.getvalue(), upright).shape == (9, 4, 3)


@pytest.mark.parametrize(("suffix", "tolerance"), [(".jpg", 3), (".png", 1), (".bmp", 0), (".webp", 5)])
@pytest.mark.parametrize("size", [(480, 640), (70, 200), (16, 9)])
def test_a_preview_is_the_image_in_grey_stretched_to_a_square(tmp_path, suffix, tolerance, size):
    y, x = np.mgrid[: size[0], : size[1]]
    pixels = np.stack([255 * x / size[1], 255 * y / size[0], 0 * x + 90], -1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    preview, found = images.read_preview(tmp_path / f"a{suffix}", 32)
    assert found == size
    stored = images.read_image(tmp_path / f"a{suffix}")
    expected = cv2.resize(cv2.cvtColor(stored, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(preview.astype(int) - expected).mean() <= tolerance


def test_a_preview_ignores_the_orientation_and_reports_damage(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(sideways())
    preview, size = images.read_preview(path, 4)
    assert size == (4, 9)
    assert preview.shape == (4, 4)
    for content in (sideways()[:-40], b"text", b""):
        path.write_bytes(content)
        with pytest.raises(images.ImageError, match=r"a\.jpg"):
            images.read_preview(path, 4)
