"""`softcam doctor`."""

from __future__ import annotations

from softcam.cli.printing import print_rows


def doctor() -> None:
    """Print what is installed: versions, extras, GPU, decoders.

    Example: softcam doctor
    """
    from softcam.workflows.doctor import examine

    print_rows("softcam doctor", ["Part", "Name", "State"], examine())
