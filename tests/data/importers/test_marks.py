from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.data.annotations import Box
from softcam.data.geometry import Geometry
from softcam.data.steps import Resize
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.workflows.import_data import Imported, import_data
from tests.data.importers.replicas import png, put

SIZE = (20, 30)
GEOMETRY = Geometry.of(SIZE, Resize(15, 10))


def _table(home: Path) -> Path:
    """24 images of 30 x 20 px (width x height) with labels, in folders of their own."""
    rng = np.random.default_rng(0)
    rows = ["image,label"]
    for i in range(24):
        put(home / "images" / "x" / f"{i}.png", png(rng.integers(0, 255, SIZE, dtype=np.uint8)))
        rows.append(f"x/{i}.png,{i % 2}")
    (home / "table.csv").write_text("\n".join(rows))
    return home


def _mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def _coco(home: Path, **findings: list[float]) -> None:
    content = {
        "images": [{"id": 1, "file_name": "x/1.png"}],
        "categories": [{"id": name, "name": name} for name in findings],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": name, "segmentation": [points]}
            for i, (name, points) in enumerate(findings.items())
        ],
    }
    (home / "annotations.json").write_text(json.dumps(content))


def _import(home: Path, out: Path, **settings: object) -> Imported:
    return import_data("csv", home, out, size=15, jobs=1, **settings)  # type: ignore[arg-type]


TRIANGLE = [3.0, 3.0, 27.0, 5.0, 9.0, 19.0]


def test_annotations_are_brought_to_the_size_of_the_images(tmp_path: Path) -> None:
    home = _table(tmp_path / "src")
    drawn = np.zeros(SIZE, bool)
    drawn[4:12, 6:21] = True
    _mask(home / "masks" / "scar" / "x" / "1.png", drawn)
    _coco(home, spot=TRIANGLE)
    (home / "labels" / "x").mkdir(parents=True)
    (home / "labels" / "x" / "3.txt").write_text("0 0.5 0.5 0.2 0.4")
    (home / "classes.txt").write_text("disc")
    (home / "boxes.csv").write_text("image,x,y,width,height,finding\nx/1.png,4,2,10,6,vein\n")
    (home / "dataset.yaml").write_text("findings: {disc: distractor, scar: organ}\n")
    done = _import(home, tmp_path / "out")
    assert done.card["masks"] == 2
    assert done.card["boxes"] == 2
    assert not done.left_out
    before, after = (read_table(f, make_splits=False) for f in (home, tmp_path / "out"))
    assert after.spec.distractors() == ("disc",)
    assert after.spec.organs() == ("scar",)
    was, found = before.annotations, after.annotations
    assert was is not None
    assert found is not None
    assert found.findings == was.findings == ("disc", "scar", "spot", "vein")
    assert found.boxes == {
        "x/1.png": (("vein", Box(2, 1, 5, 3)),),
        "x/3.png": (("disc", Box(6, 3, 3, 4)),),
    }
    for name in ("x/1.png", "x/3.png"):
        for finding in found.findings_of(name):
            np.testing.assert_array_equal(
                found.mask(name, [finding], Geometry.of((10, 15))),
                was.mask(name, [finding], GEOMETRY),
            )
    sums = (tmp_path / "out" / "checksums.sha256").read_text()
    assert "masks/scar/x/1.png" in sums
    assert "masks/spot/x/1.png" in sums


def test_what_cannot_be_brought_along_is_left_out_and_says_why(tmp_path: Path) -> None:
    home = _table(tmp_path / "src")
    dot = np.zeros(SIZE, bool)
    dot[5, 5] = True
    _mask(home / "masks" / "dot" / "x" / "1.png", dot)
    _mask(home / "masks" / "none" / "x" / "1.png", np.zeros(SIZE, bool))
    _coco(home, **{"../spot": TRIANGLE, "spot": TRIANGLE})
    (home / "labels").mkdir()
    (home / "labels" / "1.txt").write_text("")
    done = _import(home, tmp_path / "out")
    told = {(left.what, left.reason): left.detail for left in done.left_out}
    assert list(told) == [
        ("labels/", "the annotations cannot be used"),
        ("images/x/1.png: ../spot", "the mask cannot be written"),
        ("images/x/1.png: dot", "the mask cannot be written"),
    ]
    details = list(told.values())
    assert "none fits an image, for instance '1.txt'" in details[0]
    assert "cannot name a folder" in details[1]
    assert "nothing of it is left" in details[2]
    assert all(left.problem for left in done.left_out)
    masks = [p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("out/masks/**/*.*")]
    assert masks == ["masks/spot/x/1.png"]
    with pytest.raises(InputError, match="none fits an image"):
        _import(home, tmp_path / "strict", strict=True)


def test_a_second_import_leaves_no_mask_of_the_first(tmp_path: Path) -> None:
    home = _table(tmp_path / "src")
    _coco(home, spot=TRIANGLE, old=TRIANGLE)
    _import(home, tmp_path / "out")
    assert (tmp_path / "out" / "masks" / "old" / "x" / "1.png").is_file()
    _coco(home, spot=TRIANGLE)
    _import(home, tmp_path / "out")
    assert (tmp_path / "out" / "masks" / "spot" / "x" / "1.png").is_file()
    assert not (tmp_path / "out" / "masks" / "old" / "x" / "1.png").exists()


def test_masks_may_lie_elsewhere(tmp_path: Path) -> None:
    home = _table(tmp_path / "src")
    drawn = np.zeros(SIZE, bool)
    drawn[4:12, 6:20] = True
    _mask(tmp_path / "drawn" / "scar" / "x" / "1.png", drawn)
    _mask(home / "masks" / "old" / "x" / "1.png", drawn)
    done = _import(home, tmp_path / "out", masks=tmp_path / "drawn")
    found = read_table(done.table, make_splits=False).annotations
    assert found is not None
    assert found.findings == ("scar",)
    assert found.mask("x/1.png", ["scar"], Geometry.of((10, 15))).sum() == 4 * 7
    with pytest.raises(InputError, match="is no folder"):
        _import(home, tmp_path / "b", masks=tmp_path / "none")
    with pytest.raises(InputError, match="--masks goes with csv"):
        import_data("folder", home, tmp_path / "b", masks=tmp_path / "drawn")
    with pytest.raises(InputError, match="an import with other settings"):
        _import(home, tmp_path / "out")
