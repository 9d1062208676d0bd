from __future__ import annotations

import pytest

from events.numbers import number_in, numbers_in

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("0012", 12), ("9" * 18, 10**18 - 1)]
    + [
        (text, None)
        for text in (None, "", "-1", " 1", "1.0", "²", "١", "ten", "9" * 19, "9" * 5000)
    ],
)
def test_a_number_is_digits_alone_and_fits_a_column(text, number):
    assert number_in(text) == number


def test_other_texts_of_a_list_are_left_out():
    assert numbers_in(["3", "", "x", "1", "9" * 19]) == [3, 1]
