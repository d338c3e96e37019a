from __future__ import annotations

import numpy as np
import pytest

from softcam.data.importers.convert import Job, convert
from softcam.data.importers.plan import Shape
from softcam.data.importers.sources import Source, read_sources, sources_text
from softcam.data.readers import read_image
from softcam.errors import InputError
from tests.data.importers.replicas import png, put, retina


def example(**changes) -> Source:
    values = {
        "image": "a.png",
        "width": 10,
        "height": 10,
        "sha256": "x",
        "source": "a, b.jpeg",
        "source_width": 30,
        "source_height": 16,
        "source_sha256": "y",
        "crop_x": 5,
        "crop_y": -2,
        "crop_width": 20,
        "crop_height": 20,
    }
    return Source(**{**values, **changes})


def test_sources_come_back_from_their_file(tmp_path):
    sources = [example(), example(image="b.png", note="odd, that")]
    (tmp_path / "sources.csv").write_text(sources_text(sources), encoding="utf-8")
    found = read_sources(tmp_path / "sources.csv")
    assert list(found.values()) == sources


@pytest.mark.parametrize("text", ["image,width\na,1\n", sources_text([example(width="ten")])])
def test_another_file_is_refused(text, tmp_path):
    (tmp_path / "sources.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"sources\.csv"):
        read_sources(tmp_path / "sources.csv")


def test_a_point_goes_where_the_columns_say():
    source = example()
    points = np.array([[0.0, 0.0], [10.0, 10.0], [3.5, 6.25]])
    by_hand = points * (20 / 10) + (5, -2)
    np.testing.assert_allclose(source.geometry().to_file(points), by_hand)


@pytest.mark.parametrize("radius", [38.0, 50.0])
def test_a_dot_in_the_image_maps_back_to_its_pixel_in_the_original(tmp_path, radius):
    """The whole way: draw a dot, import the photograph, find the dot, map it back."""
    array = retina(120, 90, (60.0, 45.0), radius)
    array[30:33, 70:73] = 255
    put(tmp_path / "src" / "eye.png", png(array))
    done = convert(Job(tmp_path / "src", tmp_path / "out", "eye.png", "eye", Shape("retina", 256)))
    assert isinstance(done, Source)
    written = read_image(tmp_path / "out" / done.image).array.astype(float).min(axis=2)
    y, x = np.nonzero(written > 200)
    centre = np.array([x.mean() + 0.5, y.mean() + 0.5])
    np.testing.assert_allclose(done.geometry().to_file(centre), (71.5, 31.5), atol=0.2)
