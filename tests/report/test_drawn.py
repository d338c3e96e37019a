from matplotlib.figure import Figure

from softcam.report.drawn import figure_files, plain_axes

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def drawn():
    figure = Figure()
    ax = figure.subplots()
    plain_axes(ax)
    ax.plot([1, 2], label="line")
    ax.legend()
    return figure_files(figure, tuple(STARTS))


def test_the_same_figure_is_the_same_file_in_every_format():
    files = drawn()
    assert {suffix: files[suffix][: len(start)] for suffix, start in STARTS.items()} == STARTS
    assert drawn() == files


def test_only_the_wanted_formats_are_made():
    assert set(figure_files(Figure(), ("pdf",))) == {"pdf"}


def test_axes_keep_their_left_and_lower_line():
    ax = Figure().subplots()
    plain_axes(ax)
    assert {name for name, spine in ax.spines.items() if spine.get_visible()} == {"left", "bottom"}
