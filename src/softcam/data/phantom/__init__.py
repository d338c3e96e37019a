"""Phantoms: synthetic fundus photographs, OCT B-scans and chest X-rays with exact ground truth."""

from softcam.data.phantom.draw import PhantomSet, draw
from softcam.data.phantom.write import write

__all__ = ["PhantomSet", "draw", "write"]
