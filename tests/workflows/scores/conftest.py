from __future__ import annotations

import pytest

from softcam.workflows.scores.settings import ScoreSettings
from tests.workflows.scores.small import BlockMeans, draw_table

pytest.importorskip("pyarrow")
pytest.importorskip("zarr")


@pytest.fixture
def predictor():
    return BlockMeans()


@pytest.fixture
def table(tmp_path):
    """Ten images in blocks of four: two whole ones and a rest."""
    return draw_table(tmp_path / "data", 10)


@pytest.fixture
def settings():
    return ScoreSettings(block=4)
