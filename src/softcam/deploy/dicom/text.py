"""What objects say in words, cut to what DICOM values hold."""

from __future__ import annotations

NOT_A_DIAGNOSIS = (
    "Not a diagnosis: this shows what moved one model's answer, for research use, and must not be "
    "used to decide about a patient."
)
"""Stands in the report; each series has the short form of it in its description."""


def shortened(text: str, length: int = 64) -> str:
    """Cut a text to what a value holds.

    Args:
        text: Any text; a backslash would divide the value, and becomes a slash.
        length: Bytes in UTF-8 that it may take. A long string (LO) holds 64 characters; readers
            that count bytes shall be content as well.
    """
    plain = " ".join(text.replace("\\", "/").split()) or "unnamed"
    data = plain.encode()
    if len(data) <= length:
        return plain
    return data[: length - 3].decode(errors="ignore").rstrip() + "..."
