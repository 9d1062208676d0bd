"""Draws QR codes: SVG for pages and print shops, PNG with a name under the code.

The font is Noto Sans SC (SIL Open Font License 1.1). It comes with a package, so Chinese is drawn
even on a machine without fonts. It has all Chinese characters of GBK; characters that it lacks,
such as emoji, are left out.
"""

from __future__ import annotations

import base64
import functools
import io
import unicodedata

import segno
from PIL import Image, ImageDraw, ImageFont
from pylopdf_fonts_zh_cn import sans_path

__all__ = ["png", "svg"]

# Pixels; about 10 cm at the resolution that is written into the file.
_WIDTH = 1200
_RESOLUTION = (300, 300)
# Modules of white around the code, as the standard (ISO/IEC 18004) requires.
_QUIET_ZONE = 4
_LETTERS = 64
_LINE = 84
_MARGIN = 40
# The logo's side as a share of the code's side; that is 5 % of the area.
_LOGO_SHARE = 0.22
# A code point for which no font has a letter.
_NONCHARACTER = "\U0010ffff"


def svg(text: str, logo: bytes | None = None) -> str:
    """A QR code of this text as an SVG element, black on white, that fills the available width.

    It can be part of HTML or a file. `logo` is a picture for its middle.
    """
    code = _code(text, logo)
    drawn = io.BytesIO()
    code.save(
        drawn, kind="svg", border=_QUIET_ZONE, light="#fff", omitsize=True, xmldecl=False, nl=False
    )
    plain = drawn.getvalue().decode()
    if logo is None:
        return plain
    side = code.symbol_size(border=_QUIET_ZONE)[0]
    size = (side - 2 * _QUIET_ZONE) * _LOGO_SHARE
    place = (side - size) / 2
    content = io.BytesIO()
    _fitted(logo, 400).save(content, "PNG")
    encoded = base64.b64encode(content.getvalue()).decode()
    picture = (
        f'<image x="{place:.2f}" y="{place:.2f}" width="{size:.2f}" height="{size:.2f}" '
        f'href="data:image/png;base64,{encoded}"/>'
    )
    return plain.replace("</svg>", f"{picture}</svg>")


def png(text: str, name: str, logo: bytes | None = None) -> bytes:
    """A QR code of this text as a PNG for print, with the name under it in one or more lines.

    `logo` is a picture for its middle.
    """
    matrix = [bytes(255 * (1 - module) for module in row) for row in _code(text, logo).matrix]
    size = len(matrix)
    scale = round(_WIDTH / (size + 2 * _QUIET_ZONE))
    border = _QUIET_ZONE * scale
    side = size * scale + 2 * border
    lines = _lines(name, side - 2 * _MARGIN)
    picture = Image.new("L", (side, side + (len(lines) * _LINE + _MARGIN if lines else 0)), 255)
    modules = Image.frombytes("L", (size, size), b"".join(matrix))
    picture.paste(
        modules.resize((size * scale, size * scale), Image.Resampling.NEAREST), (border, border)
    )
    if logo is not None:
        drawn_logo = _fitted(logo, round(size * scale * _LOGO_SHARE))
        picture = picture.convert("RGB")
        corner = (side - drawn_logo.width) // 2
        picture.paste(drawn_logo, (corner, corner))
    draw = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        place = (side / 2, side + (number + 0.5) * _LINE)
        draw.text(place, line, fill="black", font=_font(), anchor="mm")
    drawn = io.BytesIO()
    picture.save(drawn, "PNG", dpi=_RESOLUTION)
    return drawn.getvalue()


def _code(text: str, logo: bytes | None = None) -> segno.QRCode:
    # Level M survives damage to 15 % of the code, H to 30 %; the logo covers 5 %. segno takes a
    # better level if the code stays the same size.
    return segno.make(text, micro=False, error="m" if logo is None else "h")


def _fitted(logo: bytes, size: int) -> Image.Image:
    """The picture in a white square of this size in pixels, with a white edge."""
    square = Image.new("RGB", (size, size), "white")
    with Image.open(io.BytesIO(logo), formats=("JPEG", "PNG", "GIF")) as opened:
        shown = opened.convert("RGBA")
    edge = max(1, round(size * 0.06))
    shown.thumbnail((size - 2 * edge, size - 2 * edge), Image.Resampling.LANCZOS)
    place = ((size - shown.width) // 2, (size - shown.height) // 2)
    square.paste(shown, place, shown)
    return square


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(sans_path(), _LETTERS, layout_engine=ImageFont.Layout.BASIC)


@functools.lru_cache(maxsize=10_000)
def _has_letter(character: str) -> bool:
    if unicodedata.category(character) in {"Cf", "Cs", "Co", "Cn", "Cc"}:
        return False
    return bytes(_font().getmask(character)) != bytes(_font().getmask(_NONCHARACTER))


def _lines(text: str, width: float) -> list[str]:
    """The text in lines of this width in pixels, broken at spaces if it has any."""
    shown = "".join(
        character
        for character in unicodedata.normalize("NFC", text)
        if character == " " or _has_letter(character)
    )
    lines = []
    rest = " ".join(shown.split())
    while rest:
        end = _fitting(rest, width)
        if end < len(rest) and " " in rest[1 : end + 1]:
            end = rest.rindex(" ", 1, end + 1)
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return lines


def _fitting(text: str, width: float) -> int:
    """How many characters of a text fit into a width; at least one."""
    used = 0.0
    for number, character in enumerate(text):
        used += _font().getlength(character)
        if used > width:
            return max(1, number)
    return len(text)
