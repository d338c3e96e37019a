"""The coded concepts that objects use: the standard's where it has one, else 99SOFTCAM's own."""

from __future__ import annotations

import hashlib

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.coding import Code

from softcam.deploy.dicom.text import shortened

SCHEME = "99SOFTCAM"
"""Private coding schemes begin with 99 (PS3.16, chapter 8)."""

CODING_SCHEME = CodingSchemeIdentificationItem(
    designator=SCHEME,
    name="softcam: class evidence",
    responsible_organization="The softcam developers",
)

ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
CLASS_ACTIVATION = Code("130402", "DCM", "Class activation")
COMMENT = Code("121106", "DCM", "Comment")
DEVICE = Code("121007", "DCM", "Device")
MAXIMUM = Code("56851009", "SCT", "Maximum")
NO = Code("373067005", "SCT", "No")
PROBABILITY = Code("122157", "DCM", "Probability")
PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
SPATIAL = Code("309825002", "SCT", "Spatial and Relational Concept")
VISUAL_EXPLANATION = Code("130401", "DCM", "Visual explanation")
YES = Code("373066001", "SCT", "Yes")

LOGIT_UNIT = Code("{logit}", "UCUM", "logit units")
"""The natural logarithm of odds has no unit; what is counted stands in UCUM's braces."""

NUMBER_UNIT = Code("1", "UCUM", "no units")

EVIDENCE_REGION = Code("evidence-region", SCHEME, "Region of class evidence")
CALLED = Code("called", SCHEME, "Class called by the model")
CALL_THRESHOLD = Code("call-threshold", SCHEME, "Probability from which the class is called")
LOGIT = Code("logit", SCHEME, "Logit of the class, the mean of its evidence map")
REGION_CELLS = Code("region-cells", SCHEME, "Evidence cells in the region")
REGION_PART = Code("region-part", SCHEME, "Part of the logit that the region adds")
REGION_THRESHOLD = Code("region-limit", SCHEME, "Evidence from which a cell is in a region")


def answer_code(class_: str) -> Code:
    """Give the concept of a model's answer about a class.

    It is not the concept of the class: a finding that was looked for and not seen must never be
    read as one that is there.

    Args:
        class_: The class's name.
    """
    return _own("A", class_, "Model answer about: ")


def region_code(class_: str) -> Code:
    """Give the concept of a region of evidence for a class.

    Args:
        class_: The class's name.
    """
    return _own("R", class_, "Region of evidence for: ")


def _own(letter: str, class_: str, meaning: str) -> Code:
    # 16 characters hold no name; a digest stays the same from model to model and run to run.
    digest = hashlib.sha256(class_.encode()).hexdigest()[:14]
    return Code(f"{letter}{digest}", SCHEME, shortened(meaning + class_))
