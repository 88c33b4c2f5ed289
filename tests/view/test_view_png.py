"""PNG: the figure as pixels, in its own size; and one sentence where it cannot be drawn."""

import struct
import sys

import pytest

from redviz import settings
from redviz.data.results.archive import load_analysis
from redviz.errors import RedvizError
from redviz.view import png
from redviz.view.svg import strips_svg


@pytest.mark.browser
def test_the_strips_as_png(chromium, needed):
    needed("kaleido")
    svg = strips_svg(load_analysis(settings.project_file("sample_data/opening.npz")))
    made = png.svg_to_png(svg, scale=1.0)
    assert made.startswith(b"\x89PNG")
    assert struct.unpack(">II", made[16:24]) == (720, round(float(png._size(svg, "height"))))
    assert len(made) > 10_000  # drawn, not blank


def test_what_is_missing_is_one_sentence(monkeypatch):
    with pytest.raises(RedvizError, match="states no width"):
        png.svg_to_png("<svg></svg>") if png.png_possible() else png._size("<svg></svg>", "width")
    monkeypatch.setitem(sys.modules, "kaleido", None)
    monkeypatch.setattr(png, "png_possible", lambda: False)
    with pytest.raises(RedvizError, match="pip install kaleido"):
        png.svg_to_png('<svg width="1" height="1"></svg>')
