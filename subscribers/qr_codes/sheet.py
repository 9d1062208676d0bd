"""Draws many QR codes on A4 sheets for print, as a PDF."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from subscribers.models import QRScene
from subscribers.qr_codes.images import png
from subscribers.qr_codes.logo import logo_of

__all__ = ["MOST", "sheet"]

# The most codes in one file; they fill 50 pages.
MOST = 600
_COLUMNS, _ROWS = 3, 4
# Millimetres.
_MARGIN = 12
_GAP = 5


def sheet(codes: Sequence[QRScene]) -> bytes:
    """The codes that can be scanned, twelve a page, each with its name under it."""
    # Imported here: this package takes an eighth of the time in which a process starts.
    from fpdf import FPDF

    pdf = FPDF(format="A4", unit="mm")
    pdf.set_auto_page_break(False)
    width = (pdf.w - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) / _COLUMNS
    height = (pdf.h - 2 * _MARGIN - (_ROWS - 1) * _GAP) / _ROWS
    for number, code in enumerate(codes):
        place = number % (_COLUMNS * _ROWS)
        if place == 0:
            pdf.add_page()
        row, column = divmod(place, _COLUMNS)
        x = _MARGIN + column * (width + _GAP)
        y = _MARGIN + row * (height + _GAP)
        # The name is part of the picture, because its font has Chinese characters.
        drawn = png(code.url, code.name, logo_of(code))
        with Image.open(io.BytesIO(drawn)) as picture:
            shown = min(width, height * picture.width / picture.height)
        pdf.image(io.BytesIO(drawn), x=x + (width - shown) / 2, y=y, w=shown)
        pdf.set_draw_color(220)
        pdf.rect(x - _GAP / 2, y - _GAP / 2, width + _GAP, height + _GAP)
    return bytes(pdf.output())
