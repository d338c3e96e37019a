from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import aff2axcodes

from softcam.data.readers import image_size, read_image
from softcam.errors import InputError


def _values(dtype: type, shape: tuple[int, ...] = (5, 7, 3)) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 120, shape).astype(dtype)


def _file(array: np.ndarray, affine: np.ndarray | None = None, kind: type | None = None) -> bytes:
    made = (kind or nibabel.Nifti1Image)(array, np.eye(4) if affine is None else affine)
    return made.to_bytes()


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("packed", [False, True])
def test_an_axial_slice_has_the_patients_right_on_the_left(
    packed: bool, kind: type, tmp_path: Path
) -> None:
    array = _values(np.uint8)  # axes run to the right, the front and the head
    data = _file(array, kind=kind)
    path = tmp_path / ("v.nii.gz" if packed else "v.nii")
    path.write_bytes(gzip.compress(data) if packed else data)
    for index in range(3):
        expected = array[::-1, ::-1, index].T
        np.testing.assert_array_equal(read_image(f"{path}#{index + 1}").array, expected)
    assert image_size(f"{path}#2") == (7, 5)
    with pytest.raises(InputError, match="3 slices; name one"):
        read_image(path)
    with pytest.raises(InputError, match="no slice 4"):
        image_size(f"{path}#4")


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_every_orientation_is_shown_alike(
    axes: tuple[int, ...], signs: tuple[int, ...], tmp_path: Path
) -> None:
    affine = np.zeros((4, 4))
    for i, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, i] = sign
    affine[3, 3] = 1
    array = _values(np.uint8)
    path = tmp_path / "v.nii"
    path.write_bytes(_file(array, affine))
    shown = read_image(f"{path}#1").array
    # By the position of each voxel: up is the head, else the front; left is right, else the front.
    codes = aff2axcodes(affine)
    axial = codes[2] in "SI"
    for i in range(5):
        for j in range(7):
            x, y, z = (affine @ [i, j, 0, 1])[:3]
            down = -y if axial else -z
            along = -y if codes[2] in "RL" else -x
            rows = sorted(
                {(-(affine @ [a, b, 0, 1])[1 if axial else 2]) for a in range(5) for b in range(7)}
            )
            cols = sorted(
                {
                    (-(affine @ [a, b, 0, 1])[1 if codes[2] in "RL" else 0])
                    for a in range(5)
                    for b in range(7)
                }
            )
            assert shown[rows.index(down), cols.index(along)] == array[i, j, 0]
    assert image_size(f"{path}#1") == shown.shape


def test_slope_and_display_range_are_applied() -> None:
    array = _values(np.int16, (5, 7, 1))
    made = nibabel.Nifti1Image(array, np.eye(4))
    made.header.set_slope_inter(2.0, -10.0)
    shown = array[::-1, ::-1, 0].T * 2.0 - 10
    stored = bytearray(made.to_bytes())
    stored[112:120] = np.array([2.0, -10.0], "<f4").tobytes()
    raw = np.frombuffer(bytes(stored[352:]), "<i2").reshape((7, 5))[::-1, ::-1] * 2.0 - 10
    low, high = raw.min(), raw.max()
    expected = np.rint((raw - low) / (high - low) * 65535)
    np.testing.assert_array_equal(read_image(bytes(stored)).array, expected)
    assert shown.shape == raw.shape
    stored[124:132] = np.array([100.0, 0.0], "<f4").tobytes()  # cal_max, cal_min
    expected = np.rint((raw / 100).clip(0, 1) * 65535)
    np.testing.assert_array_equal(read_image(bytes(stored)).array, expected)


def test_what_is_not_finite_is_black() -> None:
    array = _values(np.float32, (5, 7))
    array[0, 0], array[1, 1] = np.nan, np.inf
    shown = read_image(_file(array)).array
    finite = np.where(np.isfinite(array), array, np.nanmin(array)).astype(float)
    low, high = finite.min(), finite.max()
    expected = np.rint((finite - low) / (high - low) * 65535)[::-1, ::-1].T
    np.testing.assert_array_equal(shown, expected)


def test_what_cannot_be_shown_is_refused() -> None:
    with pytest.raises(InputError, match="split it"):
        read_image(_file(_values(np.uint8, (3, 3, 3, 2))))
    with pytest.raises(InputError, match="no black and white"):
        read_image(_file(np.ones((3, 3), np.complex64)))
    with pytest.raises(InputError, match="7 px, more than"):
        read_image(_file(_values(np.uint8, (5, 7))), max_pixels=30)
    with pytest.raises(InputError, match="not whole"):
        read_image(_file(_values(np.uint8, (5, 7)))[:-3])
    with pytest.raises(InputError, match="not a NIfTI volume"):
        read_image(gzip.compress(b"text" * 400))


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_a_slices_pixels_lead_to_the_place_of_their_voxels(
    axes: tuple[int, ...], signs: tuple[int, ...], tmp_path: Path
) -> None:
    """A slightly oblique volume; its affine is in RAS, the patient's system of DICOM in LPS."""
    turn = np.linalg.qr(np.eye(3) + 0.1 * np.array([[0, 1, -1], [-1, 0, 2], [1, -2, 0]]))[0]
    turn = turn * np.sign(np.diag(turn))
    affine = np.eye(4)
    for i, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[:3, i] = turn[:, axis] * sign * (0.5, 0.75, 3.0)[i]
    affine[:3, 3] = (-20.0, 11.0, 300.0)
    array = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    path = tmp_path / "v.nii"
    path.write_bytes(_file(array, affine))
    pixels = read_image(f"{path}#2")
    assert pixels.plane is not None
    sides = (0.5, 0.75) if pixels.size == (5, 7) else (0.75, 0.5)
    assert pixels.pixel_aspect == pytest.approx(sides[0] / sides[1])
    for (row, column), value in np.ndenumerate(pixels.array):
        voxel = np.argwhere(array == value)[0]
        right, front, head = (affine @ [*voxel, 1])[:3]
        found = pixels.plane.to_patient([column + 0.5, row + 0.5])
        np.testing.assert_allclose(found, (-right, -front, head), atol=1e-4)


def test_a_volume_that_no_scanner_placed_has_no_plane() -> None:
    made = nibabel.Nifti1Image(_values(np.uint8, (5, 7, 1)), None)
    assert read_image(made.to_bytes()).plane is None
    sheared = np.eye(4)
    sheared[0, 1] = 0.4
    assert read_image(_file(_values(np.uint8, (5, 7, 1)), sheared)).plane is None


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
def test_a_slice_read_in_stripes_is_the_slice_read_at_once(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _file(_values(kind, (11, 13)))
    whole = read_image(data).array
    monkeypatch.setattr("softcam.data.nifti._STRIPE", 25)  # two of the file's rows
    np.testing.assert_array_equal(read_image(data).array, whole)
    assert len(np.unique(whole)) > 5


def test_a_slice_too_large_for_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softcam.data.nifti._MAX_SLICE", 100)
    with pytest.raises(InputError, match="slices of"):
        read_image(_file(_values(np.int16, (11, 13))))
