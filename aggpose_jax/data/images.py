"""Decodes and encodes image files; incomplete, damaged and oversized files are rejected before they are decoded."""

import io
import pathlib
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from aggpose_jax.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff")
MAX_PIXELS = 10**8  # images with more pixels are rejected; this many take 300 MB when decoded
MAX_SIDE = 2**15 - 2  # images with a longer side, in pixels, are rejected: OpenCV cannot warp them
HEADER_BYTES = 2**20  # bytes that are read at once from a file whose header, with the image's size, is still unread

JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG"
JPEG_END, PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"
# Readers of headers with the bytes that end a complete file; Pillow notices by itself that another file is cut short.
FORMATS = (
    (JpegImageFile, JPEG_END), (PngImageFile, PNG_END), (WebPImageFile, b""), (BmpImageFile, b""), (TiffImageFile, b""),
)  # fmt: skip
REDUCED = {  # factor by which an image is reduced while it is decoded: flag of OpenCV
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}


class ImageError(UserError):
    """Raised for an image that cannot be read. The message names it; training continues without it."""


class _Header(NamedTuple):
    """An image's size in pixels, the length of its file's header in bytes, and the bytes that end a complete file.

    The last are empty for a format without such bytes.
    """

    width: int
    height: int
    length: int
    end: bytes


def read_image(image: str | pathlib.Path | bytes | np.ndarray, upright: bool = False) -> np.ndarray:
    """Reads an image as its pixels are stored, ignoring its EXIF orientation by default, as annotations do.

    A TIFF file is always rotated by its orientation, because Pillow reads it so.

    Grey, 16-bit, transparent and CMYK images become 8-bit RGB.

    Args:
      image: path or bytes of a JPEG, PNG, WebP, BMP or TIFF file (its first image), or an RGB array, which is only
        checked.
      upright: rotate it by its EXIF orientation, as viewers do.

    Returns:
      uint8 [H, W, 3] RGB.

    Raises:
      ImageError: the image is missing, of another format, cut short or of more than MAX_PIXELS. The message names it.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ImageError(
                f"an image array is {image.dtype} {image.shape}; give uint8 (height, width, 3) in RGB order"
            )
        return image
    name, encoded = _read_encoded(image)
    return _decode_named(name, encoded, upright)


def read_annotated_image(
    image: str | pathlib.Path | bytes | np.ndarray, size: tuple[int, int] | None
) -> tuple[np.ndarray, bool]:
    """Reads an image as its annotation sees it: as its pixels are stored, or else rotated by its EXIF orientation.

    Args:
      image: as for `read_image`.
      size: (height, width) in pixels that the annotation states. If the stored pixels have another size but have this
        one upright, the image is rotated. None, and any size of an array, is not checked.

    Returns:
      uint8 [H, W, 3] RGB, and whether the image was rotated.

    Raises:
      ImageError: as for `read_image`, or the image does not have the stated size either way.
    """
    if isinstance(image, np.ndarray) or size is None:
        return read_image(image), False
    name, encoded = _read_encoded(image)
    stored = _decode_named(name, encoded)
    if stored.shape[:2] == size:
        return stored, False
    rotated = _decode_named(name, encoded, upright=True)
    if rotated.shape[:2] != size:
        raise ImageError(
            f"{name} is {stored.shape[1]} × {stored.shape[0]} pixels, but its annotation says {size[1]} × {size[0]}; "
            "correct the annotation, or replace the image"
        )
    return rotated, True


def read_preview(image: str | pathlib.Path, side: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Reads a small grey version of an image as its pixels are stored; JPEG files are decoded at a reduced size.

    Args:
      image: path of an image file, as for `read_image`.
      side: height and width of the result in pixels, to which the image is stretched.

    Returns:
      uint8 [side, side], and the size (height, width) of the stored image in pixels.

    Raises:
      ImageError: as for `read_image`.
    """
    name, encoded = _read_encoded(image)
    header = _read_header(io.BytesIO(encoded))
    if header is None or not encoded.startswith((JPEG_START, PNG_START)):
        pixels = _decode_named(name, encoded)
        size, grey = pixels.shape[:2], np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    else:
        size = header.height, header.width
        factor = next((factor for factor in REDUCED if min(size) >= factor * side), 1)
        flags = REDUCED.get(factor, cv2.IMREAD_GRAYSCALE) | cv2.IMREAD_IGNORE_ORIENTATION
        decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
        if decoded is None:
            raise _damaged(name)
        grey = decoded
    return cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), size


def _read_encoded(image: str | pathlib.Path | bytes) -> tuple[str, bytes]:
    """Returns the name of an image in messages and its file, whose header and end have been checked."""
    name = f"an image of {len(image)} bytes" if isinstance(image, bytes) else str(image)
    try:
        with io.BytesIO(image) if isinstance(image, bytes) else open(image, "rb", HEADER_BYTES) as file:
            encoded, fault = _read_file(file)
    except OSError as error:
        raise ImageError(f"{name} cannot be read ({error.strerror}); check the path") from error
    if fault:
        raise ImageError(f"{name} {fault}; replace it, or leave it out")
    return name, encoded


def _decode_named(name: str, encoded: bytes, upright: bool = False) -> np.ndarray:
    """Returns the pixels of a checked image file, as `decode` does; an ImageError names a damaged one."""
    pixels = decode(encoded, upright)
    if pixels is None:
        raise _damaged(name)
    return pixels


def _damaged(name: str) -> ImageError:
    return ImageError(f"{name} is damaged; replace it, or leave it out")


def decode(encoded: bytes, upright: bool = False) -> np.ndarray | None:
    """Returns the pixels of a checked image file, as `read_image` does; None if the file is damaged."""
    if not encoded.startswith((JPEG_START, PNG_START)):
        return _decode_with_pillow(encoded, upright)
    # Images are always decoded at full size. Half the size would suffice where a region is twice as wide as its crop,
    # but in 640×480 images that is one sample in seven. It would save 0.08 of 2.3 ms per sample on average, and change
    # 1 % of the pixels by 29 levels.
    flags = cv2.IMREAD_COLOR_RGB | (0 if upright else cv2.IMREAD_IGNORE_ORIENTATION)
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)


def _decode_with_pillow(encoded: bytes, upright: bool) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(encoded)) as file:
            file.load()
            image = ImageOps.exif_transpose(file) if upright else file
            if image.mode.startswith("I;16") or image.mode == "I":
                grey = np.asarray(image, np.int64) >> 8
                return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, -1)
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, EOFError):
        return None


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """Returns an image uint8 [H, W, 3] RGB as a JPEG file of a quality from 1 to 100."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[
        1
    ].tobytes()


def _read_file(file: BinaryIO) -> tuple[bytes, str]:
    """Returns the bytes of a file and "", or what is wrong with its header or its end as the second element.

    If the header is invalid, the rest of the file is not read.

    Raises:
      OSError: the file system fails.
    """
    header = _read_header(file)
    if header is None:
        file.seek(0)
        is_jpeg = file.read(len(JPEG_START)) == JPEG_START
        return b"", "is cut short or damaged" if is_jpeg else "is not a JPEG, PNG, WebP, BMP or TIFF image"
    if header.width * header.height > MAX_PIXELS:
        return b"", f"is larger than {MAX_PIXELS:,} pixels"
    if max(header.width, header.height) > MAX_SIDE:
        return b"", f"has a side of more than {MAX_SIDE:,} pixels"
    file.seek(0)
    encoded = file.read()
    # OpenCV silently fills missing pixels with grey, so the end marker is checked here. The search starts after the
    # header, because a thumbnail in the header has an end marker of its own.
    return encoded, "" if encoded.find(header.end, header.length) >= 0 else "is cut short"


def _read_header(file: BinaryIO) -> _Header | None:
    """Returns the header of an image file; None if the file has another format or its header is damaged."""
    for plugin, end in FORMATS:
        file.seek(0)
        try:
            # Image.open would also look for the second image of a stereo photograph, and warn about large images.
            return _Header(*plugin(file).size, file.tell(), end)
        except (SyntaxError, ValueError, OSError) as error:  # another format, or the header is damaged or cut short
            if getattr(error, "errno", None) is not None:  # an error of the file system, not of the format
                raise
    return None
