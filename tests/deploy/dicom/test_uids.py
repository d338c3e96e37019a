from __future__ import annotations

import hashlib

from pydicom.uid import UID

from softcam.deploy.dicom.uids import Uids, device_uid


def test_a_purpose_has_one_identifier_and_another_has_another():
    uids = Uids()
    assert uids("a") == uids("a") != uids("b")
    assert uids("a") != Uids()("a")


def test_a_seed_repeats_them_for_the_same_case_only():
    assert Uids(1, ("x",))("a") == Uids(1, ("x",))("a")
    others = [Uids(2, ("x",))("a"), Uids(1, ("y",))("a"), Uids(1, ("x",))("b")]
    assert len({Uids(1, ("x",))("a"), *others}) == 4


def test_they_are_valid():
    sha256 = hashlib.sha256(b"model").hexdigest()
    found = [Uids()("a"), Uids(1)("a"), device_uid(sha256)]
    assert all(UID(value).is_valid and value.startswith("2.25.") for value in found)
    assert device_uid(sha256) == device_uid(sha256) != device_uid("0" * 64)
