from __future__ import annotations

import io

import pytest
from PIL import Image

from subscribers.qr_codes.images import _lines, png, svg

pytestmark = pytest.mark.any_database

URL = "http://weixin.qq.com/q/02ExampleCodeExampleCode12"


def opened(picture: bytes) -> Image.Image:
    return Image.open(io.BytesIO(picture))


@pytest.mark.parametrize(
    "name",
    ["地铁海报", "Poster", "很长的名字" * 20, "🎉", "", "镕𠀀囍 \u200d/ x"],
)
def test_a_printed_code_is_read_as_its_url(decoded, name):
    assert decoded(png(URL, name)) == [URL]


@pytest.mark.parametrize("text", [URL, "https://example.com/" + "x" * 500, "http://例子.中国"])
def test_whatever_the_platform_gives_can_be_drawn(decoded, text):
    assert decoded(png(text, "Poster")) == [text]


def test_a_print_is_about_ten_centimetres_wide_at_300_dpi():
    picture = opened(png(URL, "地铁海报"))
    width = picture.width / picture.info["dpi"][0] * 2.54
    assert 9 < width < 11
    assert round(picture.info["dpi"][0]) == 300


def ink_under_the_code(name: str) -> int:
    """How many dark pixels stand below the code."""
    picture = opened(png(URL, name))
    under = picture.crop((0, picture.width, picture.width, picture.height))
    return sum(under.histogram()[:128])


def test_the_name_is_printed_under_the_code():
    # 一 is one stroke, 鬱 has 29: were they drawn as the same empty box, both would weigh as much.
    one, many = ink_under_the_code("一"), ink_under_the_code("鬱")
    assert 0 < one < many / 4
    assert ink_under_the_code("🎉") == 0
    assert opened(png(URL, "")).height == opened(png(URL, "")).width


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("地铁海报", ["地铁海报"]),
        ("双十一🎉 西单/2026", ["双十一 西单/2026"]),
        ("a\u200db\ufe0f", ["ab"]),
        ("   ", []),
        ("Autumn fair at the old town hall market", ["Autumn fair at the old town hall", "market"]),
    ],
)
def test_lines_break_at_spaces_and_leave_out_what_has_no_letter(name, lines):
    assert _lines(name, 1000) == lines


def test_a_long_name_is_broken_within_the_width():
    lines = _lines("海" * 100, 1000)
    assert "".join(lines) == "海" * 100
    assert {len(line) for line in lines[:-1]} == {15}


@pytest.mark.slow
def test_every_character_of_gb2312_has_a_letter():
    rows = (bytes([row, cell]) for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF))
    characters = "".join(pair.decode("gb2312", "ignore") for pair in rows)
    assert len(characters) == 6763
    assert "".join(_lines(characters, 10_000)) == characters


def test_a_picture_for_pages_is_an_element_without_a_size_of_its_own():
    drawn = svg(URL)
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ')
    assert "width" not in drawn.split(">")[0]
    assert "<script" not in svg("<script>alert(1)</script>")
