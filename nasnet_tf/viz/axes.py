"""The shared style of all plots, and limits on the number of drawn points that keep pages of 20,000 trials small."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nasnet_tf.base.files import shown
from nasnet_tf.base.spread import evenly

MAX_MARKS = 500  # more points are drawn as one image, and lines are thinned to this number
GREY, BLUE, AMBER, PURPLE = "#475569", "#2563eb", "#d97706", "#7c3aed"
COLORS = (BLUE, AMBER, "#059669", "#db2777", PURPLE, "#57534e")


def new_figure(xlabel: str, ylabel: str, counts: bool = True):
    """Returns a figure and its axes.

    Args:
      xlabel, ylabel: labels of the axes.
      counts: True for integer ticks on the horizontal axis.
    """
    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    strip_axes(axes, counts)
    return figure, axes


def strip_axes(axes, counts: bool = False) -> None:
    """Applies the shared style to axes; counts=True gives the horizontal axis integer ticks."""
    axes.grid(color="#e4e4e7", linewidth=0.6)
    axes.set_axisbelow(True)
    if counts:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def scatter(axes, x, y, **style) -> None:
    """Draws points, as one image if there are more than MAX_MARKS."""
    axes.scatter(x, y, edgecolors="none", rasterized=len(x) > MAX_MARKS, **style)


def line(axes, x: np.ndarray, y: np.ndarray, **style) -> None:
    """Draws a line through the points whose y is finite, or a dot if there is only one; draws nothing if there are none."""
    known = np.isfinite(y)
    x, y = x[known], y[known]
    kept = evenly(len(x), MAX_MARKS)
    if len(x):
        axes.plot(x[kept], y[kept], marker="." if len(x) == 1 else "", **style)


def level(axes, value: float, label: str) -> None:
    """Draws a dashed horizontal line as a reference value."""
    axes.axhline(value, color="#a1a1aa", linewidth=1.0, linestyle=(0, (4, 3)), label=label, zorder=1)


def legend(axes) -> None:
    """Adds a legend above the plot, where it does not cover data."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)


def plain(name: str) -> str:
    """Returns a user's name as text that is drawn as it is.

    matplotlib would set a formula between two dollar signs, leave out a name in a legend that begins with "_", and fail for bytes of a file
    name that are not UTF-8.
    """
    return (" " * name.startswith("_") + shown(name)).replace("$", r"\$")
