"""Plots the named networks next to other networks that were published before (paper figure 5)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from nasnet_tf.viz.axes import strip_axes

# Name, parameters, multiply-adds, top-1 accuracy on ImageNet in percent; paper tables 2 and 3.
OTHERS = [
    ("Inception-v1", 6.6e6, 1.448e9, 69.8),
    ("MobileNet-224", 4.2e6, 569e6, 70.6),
    ("ShuffleNet 2x", 5.0e6, 524e6, 70.9),
    ("Inception-v2", 11.2e6, 1.94e9, 74.8),
    ("Inception-v3", 23.8e6, 5.72e9, 78.8),
    ("Xception", 22.8e6, 8.38e9, 79.0),
    ("Inception-ResNet-v2", 55.8e6, 13.2e9, 80.1),
    ("ResNeXt-101", 83.6e6, 31.5e9, 80.9),
    ("PolyNet", 92e6, 34.7e9, 81.3),
    ("DPN-131", 79.5e6, 32.0e9, 81.5),
    ("SENet", 145.8e6, 42.3e9, 82.7),
]
_GREY, _RED = "#3f3f46", "#dc2626"
_BOTTOM, _TOP = 69, 84
_SIZE = (350.0, 285.0)  # approximate width and height of a plot, in points
_FONT_SIZE = 6.5
# Possible positions of a name relative to its dot, in points, best first.
_PLACES = [(6, 0, "left"), (-6, 0, "right"), *((dx, dy, ha) for dy in (8, -8, 16, -16, 24, -24) for dx, ha in ((4, "left"), (-4, "right")))]


def _label_places(named: Sequence[tuple], line: np.ndarray, scale: np.ndarray, right: float) -> list[tuple[float, float, str]]:
    """Returns a position for each name where it covers as little as possible of the dots, the other names and the line."""
    dots = np.array([(x, y) for x, y, _, _ in named]) * scale
    steps = np.linspace(0, 1, 40)[:, None, None]
    taken = [*dots, *(line[:-1] + steps * (line[1:] - line[:-1])).reshape(-1, 2)]  # points that names should not cover
    places = []
    for (_, _, name, _), dot in zip(named, dots, strict=True):
        width = 0.6 * _FONT_SIZE * len(name)

        def covered(place: tuple[float, float, str], dot=dot, width=width, taken=tuple(taken)) -> int:
            middle = dot + (place[0] + (width / 2 if place[2] == "left" else -width / 2), place[1])
            inside = np.all(np.abs(np.array(taken) - middle) < (width / 2 + 3, 7.5), axis=1).sum()
            return inside + 1000 * (abs(middle[0] - right * scale[0] / 2) > right * scale[0] / 2 - width / 2)

        best = min(_PLACES, key=covered)
        places.append(best)
        side = 1 if best[2] == "left" else -1
        taken += [dot + (best[0] + side * along, best[1]) for along in np.arange(0, width, 3)]
    return places


def plot_zoo(networks: Sequence[tuple[str, float, float, float]]) -> Figure:
    """Plots top-1 accuracy on ImageNet over multiply-adds and over parameters.

    Args:
      networks: list of (name, parameters, multiply-adds, published top-1 accuracy in percent). They are drawn in red, and the other
        networks of the paper's tables in gray.
    """
    figure = Figure(figsize=(11, 5), layout="constrained")
    for place, (column, label) in enumerate(((2, "multiply-adds of one image, billions"), (1, "parameters, millions"))):
        unit = 1e9 if column == 2 else 1e6
        axes = figure.add_subplot(1, 2, place + 1)
        for rows, color, marker, title in ((OTHERS, _GREY, "o", "published before"), (networks, _RED, "s", "NASNet")):
            costs, accuracies = [row[column] / unit for row in rows], [row[3] for row in rows]
            axes.scatter(costs, accuracies, s=22, color=color, marker=marker, zorder=3, label=title)
        line = sorted((row[column] / unit, row[3]) for row in networks)
        axes.plot(*zip(*line, strict=True), color=_RED, linewidth=0.8, linestyle="--", zorder=2)
        named = [(row[column] / unit, row[3], row[0], color) for rows, color in ((OTHERS, _GREY), (networks, _RED)) for row in rows]
        right = 1.06 * max(x for x, _, _, _ in named)
        scale = np.array([_SIZE[0] / right, _SIZE[1] / (_TOP - _BOTTOM)])  # points per unit of the axes
        places = _label_places(named, np.reshape(line, (-1, 2)) * scale, scale, right)
        for (x, y, name, color), (dx, dy, ha) in zip(named, places, strict=True):
            style = {"ha": ha, "va": "center", "textcoords": "offset points", "fontsize": _FONT_SIZE, "color": color}
            axes.annotate(name, (x, y), (dx, dy), **style)
        axes.set(xlabel=label, ylabel="top-1 accuracy on ImageNet, percent", xlim=(0, right), ylim=(_BOTTOM, _TOP))
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        strip_axes(axes)
    return figure
