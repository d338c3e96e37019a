import numpy as np

from softcam.workflows.scores.maps import (
    METADATA,
    chunk_bytes,
    chunk_name,
    metadata_bytes,
    open_maps,
)


def test_chunks_written_as_files_are_an_array_whose_last_block_is_short(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 2, 3, 4)).astype(np.float32)
    (tmp_path / METADATA).parent.mkdir()
    described = metadata_bytes(5, 2, 2, (3, 4), {"unit": "logit"})
    (tmp_path / METADATA).write_bytes(described)
    for block in range(3):
        content = chunk_bytes(values[2 * block : 2 * block + 2], 2)
        assert content == chunk_bytes(values[2 * block : 2 * block + 2], 2)
        (tmp_path / chunk_name(block)).write_bytes(content)
    array = open_maps(tmp_path)
    assert (array.shape, array.chunks, str(array.dtype)) == ((5, 2, 3, 4), (2, 2, 3, 4), "float32")
    assert array.metadata.zarr_format == 3
    assert array.attrs["unit"] == "logit"
    np.testing.assert_array_equal(array[:], values)


def test_a_block_that_is_missing_or_empty_reads_as_nan(tmp_path):
    (tmp_path / METADATA).parent.mkdir()
    (tmp_path / METADATA).write_bytes(metadata_bytes(4, 2, 1, (1, 1), {}))
    content = chunk_bytes(np.full((2, 1, 1, 1), np.nan, np.float32), 2)
    assert content
    (tmp_path / chunk_name(0)).write_bytes(content)
    assert np.isnan(open_maps(tmp_path)[:]).all()
