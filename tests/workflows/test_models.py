from __future__ import annotations

from pathlib import Path

from softcam.data.preprocessing import Preprocessing
from softcam.training.config import TrainConfig
from softcam.workflows.models import preprocessing_for


def test_every_setting_of_the_input_reaches_the_model(tmp_path: Path) -> None:
    config = TrainConfig(
        table=tmp_path,
        out=tmp_path / "run",
        size=(48, 64),
        resize="crop",
        trim="circle",
        pixel_aspect="ignore",
        channels="grey",
    )
    expected = Preprocessing(
        (48, 64), resize="crop", trim="circle", pixel_aspect="ignore", channels="grey"
    )
    assert preprocessing_for(config) == expected
    assert Preprocessing.from_dict(preprocessing_for(config).to_dict()) == expected


def test_pixels_that_are_not_square_are_minded_by_default(tmp_path: Path) -> None:
    config = TrainConfig(table=tmp_path, out=tmp_path / "run")
    written = preprocessing_for(config).to_dict()
    assert (written["pixel_aspect"], written["trim"]) == ("apply", "none")
