"""Pictures inside a page: packed as WebP, which takes a fraction of a PNG's room."""

from __future__ import annotations

import base64
import io

from PIL import Image, features

_MOST_PIXELS = 16383  # a side of a WebP
_QUALITY = 82  # of photographs and maps
_SHADES = 256  # of a drawing, whose edges stay as sharp as they were


def data_uri(png: bytes, *, photograph: bool = False) -> str:
    """Give a picture as the address that holds it.

    Args:
        png: The picture.
        photograph: Whether it shows photographs and maps, of which what no eye sees may go; a
            drawing keeps its edges and 256 colours.

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
        colours = picture.convert("RGB")  # what we draw is opaque
        buffer = io.BytesIO()
        if photograph:
            colours.save(buffer, "webp", quality=_QUALITY, method=3)
        else:
            # Of many shades at the rims of lines; more of them would double the size.
            few = colours.quantize(_SHADES, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            few.convert("RGB").save(buffer, "webp", lossless=True, quality=50, method=2)
    return buffer.getvalue()
