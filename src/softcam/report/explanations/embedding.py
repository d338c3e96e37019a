"""Pictures inside a page: packed as WebP, which takes a fraction of a PNG's room."""

from __future__ import annotations

import base64
import io

from PIL import Image, features

_MOST_PIXELS = 16383  # a side of a WebP
_QUALITY = 82  # of photographs and maps; drawings keep every pixel


def data_uri(png: bytes, *, photograph: bool = False) -> str:
    """Give a picture as the address that holds it.

    Args:
        png: The picture.
        photograph: Whether it shows photographs and maps, of which what no eye sees may go; a
            drawing's pixels all stay.

    Returns:
        A data address of a WebP; of the PNG itself where that is smaller, the picture is too
        large for WebP, or Pillow was built without it.
    """
    packed = _webp(png, photograph=photograph)
    kind, found = ("webp", packed) if packed and len(packed) < len(png) else ("png", png)
    return f"data:image/{kind};base64,{base64.b64encode(found).decode()}"


def _webp(png: bytes, *, photograph: bool) -> bytes:
    with Image.open(io.BytesIO(png)) as picture:
        if max(picture.size) > _MOST_PIXELS or not features.check("webp"):
            return b""
        if picture.mode == "RGBA" and picture.getextrema()[3] == (255, 255):
            picture = picture.convert("RGB")
        buffer = io.BytesIO()
        if photograph:
            picture.save(buffer, "webp", quality=_QUALITY, method=3)
        else:
            picture.save(buffer, "webp", lossless=True, quality=50, method=2)
    return buffer.getvalue()
