"""Image files become pixels, after a look at their header: what is no image, damaged or too large is not decoded."""

import io
import pathlib

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from aggpose_jax.errors import UserError

FORMATS = ("JPEG", "PNG")
MOST_PIXELS = 10**8  # 300 MB when decoded
_DECODE = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION


class ImageError(UserError):
    """An image that cannot be read; training goes on without it."""


def read_image(image: str | pathlib.Path | bytes | np.ndarray) -> np.ndarray:
    """Reads an image as its pixels are stored, without turning it by its EXIF orientation: annotations ignore it too.

    Grey, 16-bit, transparent and CMYK images become 8-bit RGB.

    Args:
      image: path or bytes of a JPEG or PNG file, or an RGB array that is only checked.

    Returns:
      uint8 [H, W, 3] RGB.

    Raises:
      ImageError: naming the image, if it is missing, of another format, cut short or of more than MOST_PIXELS.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ImageError(f"an image array is {image.dtype} {image.shape}; give uint8 (height, width, 3) in RGB")
        return image
    name = f"an image of {len(image)} bytes" if isinstance(image, bytes) else str(image)
    try:
        encoded = image if isinstance(image, bytes) else pathlib.Path(image).read_bytes()
    except OSError as error:
        raise ImageError(f"{name} cannot be read ({error.strerror}); check the path") from error
    fault = _fault(encoded)
    pixels = None if fault else cv2.imdecode(np.frombuffer(encoded, np.uint8), _DECODE)
    if pixels is None:
        raise ImageError(f"{name} {fault or 'is damaged'}; replace it, or leave it out")
    return pixels


def _fault(encoded: bytes) -> str | None:
    """What forbids to decode a file, as the header and the end of the file tell."""
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as header:
            kind, (width, height) = header.format, header.size
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        too_large = isinstance(error, Image.DecompressionBombError)
        return f"is larger than {MOST_PIXELS:,} pixels" if too_large else f"is no {' or '.join(FORMATS)} image"
    if width * height > MOST_PIXELS:
        return f"is larger than {MOST_PIXELS:,} pixels"
    # OpenCV fills what is missing with grey and says nothing. The end of a thumbnail in the header does not count.
    start, end = (b"\xff\xda", b"\xff\xd9") if kind == "JPEG" else (b"IDAT", b"IEND")
    return None if encoded.rfind(end) > encoded.rfind(start) else "is cut short"
