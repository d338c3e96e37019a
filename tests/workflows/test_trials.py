from softcam.data.table import read_table
from softcam.workflows.trials import few
from tests.system.conftest import draw_dots


def test_a_few_images_of_each_split_show_every_class(tmp_path):
    table = read_table(draw_dots(tmp_path / "dots"))
    kept = few(table, 4)
    assert kept.splits() == {"train": 4, "val": 4, "test": 4}
    for split in kept.splits():
        assert sorted(kept.subset(split).labels()) == [0, 0, 1, 1]
    names = [record.name for record in table.records]
    places = [names.index(record.name) for record in kept.records]
    assert places == sorted(places)


def test_a_table_that_is_small_already_is_kept(tmp_path):
    table = read_table(draw_dots(tmp_path / "dots"))
    assert few(table, 100).records == table.records
