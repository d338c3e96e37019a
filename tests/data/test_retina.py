from __future__ import annotations

import numpy as np
import pytest

from softcam.data.retina import find_field
from softcam.errors import InputError
from tests.data.importers.replicas import retina

SHAPES = {
    "whole": (300, 240, (150.0, 120.0), 100.0),
    "cut above and below": (300, 200, (150.0, 100.0), 130.0),
    "cut on all sides": (240, 200, (120.0, 100.0), 128.0),
    "off the centre": (400, 240, (180.0, 110.0), 90.0),
    "cut on the left": (300, 240, (80.0, 120.0), 100.0),
    "large, so that it is reduced": (1600, 1200, (801.0, 597.0), 580.0),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_circle_is_found_to_a_percent(shape):
    width, height, centre, radius = SHAPES[shape]
    field = find_field(retina(width, height, centre, radius))
    assert field.circle
    tolerance = max(1.0, 0.012 * radius)
    assert abs(field.x - centre[0]) <= tolerance
    assert abs(field.y - centre[1]) <= tolerance
    assert abs(field.radius - radius) <= tolerance
    x, y, side = field.square()
    assert abs(side - 2 * radius) <= 2 * tolerance
    assert abs(x - (centre[0] - radius)) <= 2 * tolerance
    assert abs(y - (centre[1] - radius)) <= 2 * tolerance


def test_a_notch_and_a_label_do_not_move_the_circle():
    array = retina(300, 240, (150.0, 120.0), 100.0)
    array[100:130, 245:262] = (190, 100, 50)  # the tab that tells the side, at the rim
    array[5:15, 5:60] = 255  # a name, apart from the disc
    field = find_field(array)
    assert field.circle
    assert (
        abs(field.x - 150) <= 1.5 and abs(field.y - 120) <= 1.5 and abs(field.radius - 100) <= 1.5
    )


def test_a_dark_photograph_is_found_too():
    array = (retina(300, 240, (150.0, 120.0), 100.0) * 0.25).astype(np.uint8)
    field = find_field(array)
    assert field.circle and abs(field.radius - 100) <= 3


def test_grey_and_sixteen_bits_will_do():
    array = retina(300, 240, (150.0, 120.0), 100.0).max(axis=2)
    assert find_field(array).circle
    field = find_field(array.astype(np.uint16) * 257)
    assert field.circle and abs(field.radius - 100) <= 1.5


def test_what_is_cropped_inside_the_circle_already_is_kept_whole():
    array = retina(300, 240, (150.0, 120.0), 400.0)
    field = find_field(array)
    assert not field.circle
    assert field.square() == (0, -30, 300)  # the longer side, black above and below


def test_a_rectangle_gets_the_square_around_it_and_no_circle():
    array = np.zeros((200, 300, 3), np.uint8)
    array[60:140, 50:250] = 150
    field = find_field(array)
    assert not field.circle
    assert field.square() == (50, 0, 200)


@pytest.mark.parametrize("level", [0, 3])
def test_black_is_refused(level):
    with pytest.raises(InputError, match="no retina"):
        find_field(np.full((90, 120, 3), level, np.uint8))


def test_specks_are_refused():
    array = np.zeros((90, 120), np.uint8)
    array[::7, ::7] = 255
    array[:, ::13] = 200
    with pytest.raises(InputError, match="no retina"):
        find_field(array)
