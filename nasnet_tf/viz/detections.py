"""Draws detections on pictures (paper figures 10 and 11), and plots precision over recall."""

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
from nasnet_tf.viz.axes import plain, strip_axes

_DPI = 100
_COLORS = colormaps["tab10"].colors
_MISSED = "#111827"
_MAX_PICTURES = 4
_MIN_SCORE = 0.5  # probability from which a detection is drawn


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
        text = plain(name) if score is None else f"{plain(name)} {score:.0%}"
        axes.text(left, max(top, 9 * unit), text, fontsize=7 * unit, color="white", verticalalignment="bottom", bbox=box, clip_on=True)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")


def draw_detections(picture: np.ndarray, found: Sequence[tuple[str, float, Sequence[float]]]) -> Figure:
    """Draws a frame and a label for each object on a picture of the original size. Objects with the same name get the same color.

    Args:
      picture: uint8 [height, width, 3].
      found: list of (name, probability, box (ymin, xmin, ymax, xmax) in pixels), most probable first. A probability of None marks an object
        that was missed, whose frame is dashed.
    """
    height, width = picture.shape[:2]
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    _draw(axes, picture, found)
    return figure


def draw_gallery(pictures: Sequence[tuple[np.ndarray, Sequence]]) -> Figure:
    """Draws pictures with their detections side by side, in up to two columns.

    Args:
      pictures: list of (picture, found), see draw_detections.
    """
    columns = min(2, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(5 * columns, 4 * rows), layout="constrained", dpi=_DPI)
    for number, (picture, found) in enumerate(pictures):
        _draw(figure.add_subplot(rows, columns, number + 1), picture, found)
    return figure


def plot_precision(precision: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Figure:
    """Plots precision over recall, with one plot per entry and one curve per class.

    Args:
      precision: {title: float [101 recalls, classes]}; -1 for a class without objects, which gets no curve.
      class_names: names of the classes.
    """
    figure = Figure(figsize=(5 * len(precision), 3.6), layout="constrained")
    for number, (title, values) in enumerate(precision.items()):
        axes = figure.add_subplot(1, len(precision), number + 1)
        for index, name in enumerate(class_names):
            if (values[:, index] > -1).all():
                axes.plot(np.linspace(0, 1, len(values)), values[:, index], color=_COLORS[index % len(_COLORS)], label=plain(name))
        axes.set(xlabel="recall", ylabel="precision", title=title, xlim=(0, 1), ylim=(0, 1.02))
        strip_axes(axes)
        if len(class_names) <= len(_COLORS):
            axes.legend(frameon=False, fontsize=8)
    return figure


def evaluation_figures(evaluator: DetectionEvaluator, data: DetectionData) -> dict[str, Figure]:
    """Returns the figures of a detector's evaluation: "precision" over recall, the first "pictures", and those with the most "misses"."""
    names = data.class_names
    figures = {"precision": plot_precision(evaluator.precision, names)}
    lost = [
        missed(picture, boxes[scores >= _MIN_SCORE], classes[scores >= _MIN_SCORE]) for picture, (boxes, classes, scores) in evaluator.found
    ]
    shown = [_shown(picture, *found, names) for picture, found in evaluator.found[:_MAX_PICTURES]]
    misses = [_shown(evaluator.found[row][0], *evaluator.found[row][1], names, lost[row]) for row in worst(lost, _MAX_PICTURES)]
    return figures | {name: draw_gallery(rows) for name, rows in (("pictures", shown), ("misses", misses)) if rows}


def _shown(picture: Picture, boxes, classes, scores, class_names, lost=()) -> tuple:
    """Returns the pixels of a picture and the objects to draw on it: its detections, and missed objects labeled as such."""
    found = [(class_names[c], float(s), box) for box, c, s in zip(boxes, classes, scores, strict=True) if s >= _MIN_SCORE]
    found += [(f"missed: {class_names[picture.labels[row]]}", None, picture.boxes[row]) for row in np.flatnonzero(lost)]
    return decode_image(picture.read()).numpy(), found
