"""`softcam doctor`."""

from __future__ import annotations

from softcam.cli.printing import print_rows
from softcam.workflows.doctor import examine


def doctor() -> None:
    """Print what is installed: versions, extras, GPU, decoders.

    Example: softcam doctor
    """
    print_rows("softcam doctor", ["Part", "Name", "State"], examine())
