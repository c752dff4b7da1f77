"""Picture of the rooms for the contributor guide: the order from ``pyproject.toml``, the imports from the code."""

import ast
import pathlib
import tomllib
from io import StringIO
from textwrap import fill

import grimp
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = "skdiffence"
# Written into the drawing, and replaced by the color of the page's text, so that both themes can be read.
INK, TINT = "#123456", "#1f77b4"
WIDTH, HEIGHT = 2.05, 1.0  # of a box, in inches
BETWEEN, BELOW = 0.25, 0.35  # boxes, and layers


def layers():
    """Return the rooms of each layer, the highest first, as import-linter holds them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    contract = next(each for each in settings["contracts"] if each["type"] == "layers")
    return [[room.strip(" ()") for room in layer.split("|")] for layer in contract["layers"]]


def sentence(room):
    """Return the first sentence of a room's docstring."""
    path = ROOT / PACKAGE / room
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).partition("\n")[0].replace("``", "")


def imports(rooms):
    """Return (importer, imported) for rooms, without what already follows from the others."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    names = [f"{PACKAGE}.{room}" for room in rooms]
    for name in names:
        graph.squash_module(name)
        graph.remove_import(importer=name, imported=PACKAGE)  # its version alone
    edges = []
    for name in names:
        found = graph.find_modules_directly_imported_by(name) & set(names) - {name}
        implied = {other for other in found for each in found - {other} if graph.chain_exists(each, other)}
        edges += [(name, other) for other in found - implied]
    return sorted(tuple(name.removeprefix(f"{PACKAGE}.") for name in edge) for edge in edges)


def places(order):
    """Return the center of each room's box."""
    return {
        room: ((column - (len(layer) - 1) / 2) * (WIDTH + BETWEEN), -row * (HEIGHT + BELOW))
        for row, layer in enumerate(order)
        for column, room in enumerate(layer)
    }


def route(order, at, importer, imported):
    """Return the corners of an arrow, which crosses the layers between in the nearest gaps between boxes."""
    (x, y), (to_x, to_y) = at[importer], at[imported]
    shift = np.clip((to_x - x) / 4, -WIDTH / 3, WIDTH / 3)
    corners = [(x + shift, y - HEIGHT / 2)]
    for layer in order:
        level = at[layer[0]][1]
        if to_y < level < y:
            edge = WIDTH / 2 + BETWEEN / 2
            gaps = {at[room][0] + side for room in layer for side in (-edge, edge)}
            straight = x + (to_x - x) * (y - level) / (y - to_y)
            gap = min(sorted(gaps), key=lambda gap: abs(gap - straight))
            corners += [(gap, level + HEIGHT / 2), (gap, level - HEIGHT / 2)]
    last = np.clip((corners[-1][0] - to_x) / 4, -WIDTH / 3, WIDTH / 3)
    return [*corners, (to_x + last, to_y + HEIGHT / 2)]


def draw():
    """Return the picture as SVG that can stand in a page of HTML."""
    order = layers()
    at = places(order)
    width, height = max(map(len, order)) * (WIDTH + BETWEEN) + BETWEEN, len(order) * (HEIGHT + BELOW)
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(-width / 2, width / 2), ylim=((HEIGHT + BELOW) / 2 - height, (HEIGHT + BELOW) / 2))
    ax.axis("off")
    for room, (x, y) in at.items():
        corner = x - WIDTH / 2, y - HEIGHT / 2
        rounded = "round,pad=0,rounding_size=0.08"
        ax.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, rounded, facecolor=f"{TINT}22", edgecolor=INK))
        ax.text(x, y + 0.34, room, ha="center", va="center", weight="bold", size=10, color=INK)
        ax.text(x, y - 0.1, fill(sentence(room), 32), ha="center", va="center", size=8, color=INK)
    for edge in imports(at):
        path, head = Path(route(order, at, *edge)), "-|>,head_width=3,head_length=6"
        ax.add_patch(FancyArrowPatch(path=path, arrowstyle=head, facecolor=INK, edgecolor=INK))
    return inline(figure)


def inline(figure):
    """Return a figure as an SVG element in the color of the text around it."""
    text = StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": PACKAGE, "font.family": "sans-serif"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    label = "The rooms in the order of their imports, with an arrow from each room to those that it imports"
    # In a box of its own, so that a narrow screen scrolls and does not shrink the letters.
    style = "min-width: 32rem; max-width: 100%; height: auto"
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" style="{style}" ', 1)
    return f'<div style="overflow-x: auto">{svg}</div>'


if __name__ == "__main__":
    print(draw())
