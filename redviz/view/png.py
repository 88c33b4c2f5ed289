"""The figure as PNG: the SVG drawn by a Chrome, through Kaleido. Both are optional; the SVG needs neither."""

from __future__ import annotations

import base64
import importlib.util
import re

from redviz.errors import RedvizError

REMEDY = "install kaleido (pip install kaleido==1.5.0) and Chrome or Chromium, or take the SVG, which needs neither"


def png_possible() -> bool:
    """Whether Kaleido is installed; whether it finds a Chrome shows when it draws."""
    return importlib.util.find_spec("kaleido") is not None


def svg_to_png(svg: str, scale: float = 2.0) -> bytes:
    """An SVG with a width and a height, as PNG.

    Parameters
    ----------
    svg
        Such as :func:`redviz.view.svg.strips_svg` gives.
    scale
        Pixels per SVG unit.

    Raises
    ------
    RedvizError
        Where Kaleido or a Chrome is missing, or Chrome fails.
    """
    if not png_possible():
        raise RedvizError(f"A PNG needs Kaleido, which is not installed; {REMEDY}.")
    import kaleido

    width, height = (round(float(_size(svg, name))) for name in ("width", "height"))
    image = {"source": "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode(), "sizing": "stretch"}
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": 1, "sizex": 1, "sizey": 1}
    hidden = {"visible": False, "range": [0, 1]}
    layout = {
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "xaxis": hidden,
        "yaxis": hidden,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "images": [image | place],
    }
    options = {"format": "png", "width": width, "height": height, "scale": scale}
    try:
        made: bytes = kaleido.calc_fig_sync({"data": [], "layout": layout}, opts=options)
    except Exception as error:  # Kaleido and its browser each have a tree of their own
        raise RedvizError(f"Kaleido could not draw the figure ({type(error).__name__}); {REMEDY}.") from error
    return made


def _size(svg: str, name: str) -> str:
    found = re.search(rf'<svg[^>]*\b{name}="([\d.]+)"', svg)
    if found is None:
        raise RedvizError(f"The SVG states no {name}; give one with a width and a height in units.")
    return found[1]
