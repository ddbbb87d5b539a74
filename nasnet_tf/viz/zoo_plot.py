"""The named networks among the other published ones of their time (paper figure 5)."""

from collections.abc import Sequence

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
_LINE = 0.42  # percent of accuracy that a line of text is high


def plot_zoo(networks: Sequence[tuple[str, float, float, float]]) -> Figure:
    """Top-1 accuracy against multiply-adds and against parameters.

    Args:
      networks: (name, parameters, multiply-adds, published top-1 accuracy in percent), drawn red among the others of the paper's tables.
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
        named = [(row[3], row[column] / unit, row[0], color) for rows, color in ((OTHERS, _GREY), (networks, _RED)) for row in rows]
        widest = max(x for _, x, _, _ in named)
        placed = []
        for y, x, name, color in sorted(named):
            # A name stands beside its point, on the side where there is room, and above the names that are in its way.
            is_right = x > widest / 2
            height = max([y] + [other + _LINE for other, near in placed if abs(near - x) < 0.3 * widest and other > y - _LINE])
            placed.append((height, x))
            place = {"ha": "right" if is_right else "left", "va": "center", "textcoords": "offset points", "fontsize": 6.5, "color": color}
            axes.annotate(name, (x, height), (-6 if is_right else 6, 0), **place)
        axes.set(xlabel=label, ylabel="top-1 accuracy on ImageNet, percent", ylim=(69, 84))
        axes.set_xlim(left=0)
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        strip_axes(axes)
    return figure
