import numpy as np
import pytest
from PIL import Image
from torch import nn

from softcam.data.preprocessing import Preprocessing
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM
from softcam.workflows.export.images import at_size, proving_images


def model(**more):
    info = ModelInfo(**more)
    return SoftCAM(nn.Conv2d(3, 4, 3), EvidenceLayer(4, 2), info=info)


def prepared(**more):
    return model(preprocessing=Preprocessing(size=(40, 48), **more).to_dict())


def test_given_images_are_prepared_as_the_model_wants_them(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (60, 30), "red").save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("none")
    found = proving_images(prepared(resize="stretch"), [tmp_path])
    assert found.batch.shape == (2, 3, 40, 48)
    assert found.source == "2 given images"
    assert np.allclose(found.batch[0, 0], (1 - 0.485) / 0.229, atol=1e-5)
    single = proving_images(prepared(), [tmp_path / "a.png"])
    assert len(single.batch) == 2  # the batch is to be free
    np.testing.assert_array_equal(single.batch[0], single.batch[1])


def test_phantoms_are_drawn_where_no_image_is_given():
    found = proving_images(prepared())
    assert found.batch.shape == (8, 3, 40, 48)
    assert found.source == "8 phantoms"
    assert found.batch.std(axis=0).max() > 0.1


def test_a_model_without_preprocessing_is_proved_on_its_probe(tmp_path):
    found = proving_images(model(in_chans=3, input_size=(24, 32)))
    assert found.batch.shape == (2, 3, 24, 32)
    with pytest.raises(InputError, match="does not say how images become its input"):
        proving_images(model(), [tmp_path])


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no PNG"):
        proving_images(prepared(), [tmp_path])


@pytest.mark.parametrize("size", [(5, 7), (4, 3), (12, 40), (1, 1)])
def test_other_sizes_are_cut_or_mirrored(size):
    batch = np.arange(2 * 1 * 5 * 7, dtype=np.float32).reshape(2, 1, 5, 7)
    found = at_size(batch, *size)
    assert found.shape == (2, 1, *size)
    rows = [row if row < 5 else 9 - row for row in (r % 10 for r in range(size[0]))]
    columns = [c if c < 7 else 13 - c for c in (r % 14 for r in range(size[1]))]
    np.testing.assert_array_equal(found, batch[:, :, rows][:, :, :, columns])
