"""Pictures with named boxes (paper figures 10 and 11), and precision over recall."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nasnet_tf.data.decoding import decode_image
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.data.objects import Picture
from nasnet_tf.detection.evaluation import DetectionEvaluator
from nasnet_tf.detection.misses import missed, worst
from nasnet_tf.viz.axes import strip_axes

_DPI = 100
_COLORS = colormaps["tab10"].colors
_MISSED = "#111827"
_MAX_PICTURES = 4
_MIN_SCORE = 0.5  # probability of a detection that is drawn


def _draw(axes, picture, found) -> None:
    height, width = picture.shape[:2]
    axes.imshow(picture, extent=(0, width, height, 0))
    names = sorted({name for name, _, _ in found})
    unit = max(0.6, min(width, height) / 600)
    for name, score, (top, left, bottom, right) in reversed(found):
        color = _MISSED if score is None else _COLORS[names.index(name) % len(_COLORS)]
        style = "dashed" if score is None else "solid"
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=color, linewidth=2 * unit, linestyle=style))
        box = {"facecolor": color, "edgecolor": "none", "pad": 1.0 * unit, "alpha": 0.8}
        text = name if score is None else f"{name} {score:.0%}"
        axes.text(left, max(top, 9 * unit), text, fontsize=7 * unit, color="white", verticalalignment="bottom", bbox=box, clip_on=True)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")


def draw_detections(picture: np.ndarray, found: Sequence[tuple[str, float, Sequence[float]]]) -> Figure:
    """The picture in its own size with a frame and a label for each thing; of equal names equal colours.

    Args:
      picture: uint8 [height, width, 3].
      found: (name, probability, box (ymin, xmin, ymax, xmax) in pixels), the most probable first; probability None for what was missed,
        which is dashed.
    """
    height, width = picture.shape[:2]
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    _draw(axes, picture, found)
    return figure


def draw_gallery(pictures: Sequence[tuple[np.ndarray, Sequence]]) -> Figure:
    """Pictures side by side, each with what draw_detections draws on it."""
    columns = min(2, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(5 * columns, 4 * rows), layout="constrained", dpi=_DPI)
    for number, (picture, found) in enumerate(pictures):
        _draw(figure.add_subplot(rows, columns, number + 1), picture, found)
    return figure


def plot_precision(precision: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Figure:
    """Precision over recall, one curve a class: each of float [101 recalls, classes], side by side; -1 where a class has no objects."""
    figure = Figure(figsize=(5 * len(precision), 3.6), layout="constrained")
    for number, (title, values) in enumerate(precision.items()):
        axes = figure.add_subplot(1, len(precision), number + 1)
        for index, name in enumerate(class_names):
            if (values[:, index] > -1).all():
                axes.plot(np.linspace(0, 1, len(values)), values[:, index], color=_COLORS[index % len(_COLORS)], label=name)
        axes.set(xlabel="recall", ylabel="precision", title=title, xlim=(0, 1), ylim=(0, 1.02))
        strip_axes(axes)
        if len(class_names) <= len(_COLORS):
            axes.legend(frameon=False, fontsize=8)
    return figure


def evaluation_figures(evaluator: DetectionEvaluator, data: DetectionData) -> dict[str, Figure]:
    """What `evaluate` draws of a detector: precision over recall, the first pictures, and those with the most missed objects."""
    names = data.class_names
    figures = {"precision": plot_precision(evaluator.precision, names)}
    lost = [
        missed(picture, boxes[scores >= _MIN_SCORE], classes[scores >= _MIN_SCORE]) for picture, (boxes, classes, scores) in evaluator.found
    ]
    shown = [_shown(picture, *found, names) for picture, found in evaluator.found[:_MAX_PICTURES]]
    misses = [_shown(evaluator.found[row][0], *evaluator.found[row][1], names, lost[row]) for row in worst(lost, _MAX_PICTURES)]
    return figures | {name: draw_gallery(rows) for name, rows in (("pictures", shown), ("misses", misses)) if rows}


def _shown(picture: Picture, boxes, classes, scores, class_names, lost=()) -> tuple:
    """A picture's pixels and what to draw on it: detections and, named as such, missed objects."""
    found = [(class_names[c], float(s), box) for box, c, s in zip(boxes, classes, scores, strict=True) if s >= _MIN_SCORE]
    found += [(f"missed: {class_names[picture.labels[row]]}", None, picture.boxes[row]) for row in np.flatnonzero(lost)]
    return decode_image(picture.read()).numpy(), found
