"""Checks diagrams and plots by their elements."""

import dataclasses
import itertools
import random
import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace, genotype_hash, load_genotype, published_genotypes
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.testing import ALL_COMBINES, tiny_genotype
from nasnet_tf.training.calibration import Calibration, binned
from nasnet_tf.training.details import ClassificationDetails, Mistake
from nasnet_tf.viz.diagram import LABELS, draw_genotype, figure_to_svg, save_figure
from nasnet_tf.viz.evaluations import plot_confusion
from nasnet_tf.viz.label_plots import plot_average_precision, plot_precision_recall
from nasnet_tf.viz.zoo_plot import OTHERS, plot_zoo

SPACE = SearchSpace(num_blocks=3)
IMAGENET_ROWS = [variant for variant in ZOO.values() if variant.paper.top_1]


def genotypes():
    yield from (load_genotype(name) for name in published_genotypes())
    for blocks, inputs in ((5, 2), (7, 2), (7, 4)):
        for seed in range(3):
            space = SearchSpace(blocks, inputs, combines=ALL_COMBINES, outputs="each_block" if inputs == 4 else "concat_unused")
            yield space.decode(space.sample(random.Random(seed)), name=f"{blocks} blocks, {inputs} inputs, {seed}")


@pytest.mark.parametrize("genotype", list(genotypes()), ids=lambda genotype: genotype.name)
def test_nothing_in_a_diagram_overlaps_or_is_missing(genotype):
    figure = draw_genotype(genotype)
    renderer = FigureCanvasAgg(figure).get_renderer()
    assert [text.get_text() for text in figure.texts] == [genotype.name, genotype_hash(genotype)]
    for axes, cell in zip(figure.axes, (genotype.normal_cell, genotype.reduction_cell), strict=True):
        words = [re.sub("\n", " ", text.get_text()) for text in axes.texts]
        for operation, label in LABELS.items():
            count = sum(side.operation == operation for block in cell.blocks for side in (block.left, block.right))
            assert words.count(label.replace("-", " ")) == count
        names = [text.get_window_extent(renderer) for text in axes.texts]
        boxes = [patch.get_window_extent(renderer) for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
        assert len(names) == len(boxes) + 1  # the cell's name has no box
        for (one, first), (two, second) in itertools.combinations(zip(words, names, strict=True), 2):
            assert not first.overlaps(second), f"{one} covers {two}"
        for first, second in itertools.combinations(boxes, 2):
            assert not first.overlaps(second)
        for word, name in zip(words[1:], names[1:], strict=True):  # each text is within its box, with room for wider fonts
            assert any(
                0.08 * name.width < min(name.x0 - box.x0, box.x1 - name.x1) and box.y0 < name.y0 < name.y1 < box.y1 for box in boxes
            ), word
        for box in boxes:  # no box is cut off
            assert axes.bbox.x0 <= box.x0 <= box.x1 <= axes.bbox.x1
            assert 0 <= box.y0 <= box.y1 <= figure.bbox.y1
        lines = [patch for patch in axes.patches if type(patch) is PathPatch]
        for line in lines:
            # A line runs from the upper edge of a box to the lower edge of another one or of a lane, and behind no box.
            points = line.get_path().transformed(axes.transData).interpolated(1).to_polygons(closed_only=False)[0]
            middle = points[(points[:, 1] > points[0, 1] + 1) & (points[:, 1] < points[-1, 1] - 1)]
            for box in boxes:
                assert not ((box.x0 < middle[:, 0]) & (middle[:, 0] < box.x1) & (box.y0 < middle[:, 1]) & (middle[:, 1] < box.y1)).any()
        # Each line of the genotype ends at a place of its own, and each concatenation has one more line.
        ends = [tuple(patch.get_xy()[0]) for patch in axes.patches if isinstance(patch, Polygon)]
        sizes = [len(output.states) for output in cell.outputs]
        assert len(set(ends)) == len(ends) == 4 * len(cell.blocks) + sum(sizes) + sum(size > 1 for size in sizes)


def test_the_confusion_matrix_shows_numbers_and_fractions():
    figure = plot_confusion(np.array([[5, 0, 1], [0, 0, 0], [2, 0, 7]]), ["cat", "dog", "owl"])
    (axes,) = figure.axes
    assert [(text.get_position(), text.get_text()) for text in axes.texts] == [((0, 0), "5"), ((2, 0), "1"), ((0, 2), "2"), ((2, 2), "7")]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "owl"]
    assert axes.images[0].get_array()[2].tolist() == pytest.approx([2 / 9, 0, 7 / 9])


def test_figures_of_an_evaluation_show_its_details():
    details, picture = _details(["cat", "dog", "a $5 and $6 owl"]), np.zeros([4, 6, 3], np.uint8)
    figures = details.figures()
    assert list(figures) == ["confusion", "reliability", "mistakes"]
    reliability, below = figures["reliability"].axes
    assert [(round(bar.get_x() + bar.get_width() / 2, 3), bar.get_height()) for bar in reliability.patches] == [(0.5, 0.5), (0.967, 0.75)]
    assert [bar.get_height() for bar in below.patches if bar.get_height()] == [2, 4]
    assert f"expected calibration error {details.calibration.error:.4f}" in {text.get_text() for text in reliability.texts}
    shown = figures["mistakes"].axes
    assert [axes.get_title() for axes in shown] == ["dog\ntaken for a $5 and $6 owl\n99.0% sure", "cat\ntaken for dog\n50.0% sure"]
    np.testing.assert_array_equal(shown[0].images[0].get_array(), picture)
    assert all(figure_to_svg(figure).startswith("<svg") for figure in figures.values())
    assert list(dataclasses.replace(details, pictures=None).figures()) == ["confusion", "reliability"]


def test_names_of_classes_are_drawn_as_they_are():
    names = ["$_$", "US$ bill, CA$ bill", "__background__"]
    curve = np.array([0.0, 1.0]), np.array([1.0, 0.5])
    for figure in (plot_precision_recall(dict.fromkeys(names, curve)), plot_average_precision(dict.fromkeys(names, 0.5))):
        drawn = figure_to_svg(figure)
        assert all(name in drawn for name in names)


def test_many_classes_show_their_most_frequent_confusions():
    names = [f"class {number}" for number in range(1000)]
    details = _details(names)
    (axes,) = details.figures()["confusion"].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["class 1 taken for class 2", "class 0 taken for class 1"]
    assert [bar.get_width() for bar in axes.patches] == [4, 1]
    right = dataclasses.replace(details, confusion=np.diag(np.arange(1000)), worst=[])
    assert list(right.figures()) == ["reliability"]


def _details(names):
    confusion = np.zeros([len(names), len(names)], int)
    confusion[0, 1], confusion[1, 2], confusion[0, 0] = 1, 4, 3
    worst = [Mistake(7, names[1], names[2], 0.99), Mistake(2, names[0], names[1], 0.5)]
    bins = binned(np.array([0.5, 0.51, 0.96, 0.97, 0.98, 0.99]), np.array([True, False, True, True, True, False]))
    pictures = {7: ("seven", np.zeros([4, 6, 3], np.uint8)), 2: ("two", np.ones([3, 3, 3], np.uint8))}
    return ClassificationDetails(names, Calibration.of_sums(bins), worst, lambda places: map(pictures.get, places), confusion)


def test_zoo_plot_shows_all_networks():
    networks = [(variant.title, variant.trainable_parameters, variant.mult_adds, variant.paper.top_1) for variant in IMAGENET_ROWS]
    figure = plot_zoo(networks)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    for axes, column in zip(figure.axes, (2, 1), strict=True):
        unit = 1e9 if column == 2 else 1e6
        others, ours = ([tuple(point) for point in collection.get_offsets()] for collection in axes.collections)
        assert ours == [pytest.approx((row[column] / unit, row[3])) for row in networks]
        assert others == [pytest.approx((row[column] / unit, row[3])) for row in OTHERS]
        names = [text for text in axes.texts if text.get_text()]
        assert {text.get_text() for text in names} == {row[0] for row in [*OTHERS, *networks]}
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in names]
        for (one, first), (two, second) in itertools.combinations(boxes, 2):
            assert not first.overlaps(second), f"{one} covers {two}"
        for name, box in boxes:
            assert axes.bbox.x0 <= box.x0 <= box.x1 <= axes.bbox.x1 + 5, name


def test_unknown_file_formats_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"x.bmp: cannot be drawn; expected a name that ends in .svg, .png or .pdf"):
        save_figure(draw_genotype(tiny_genotype()), tmp_path / "x.bmp")


def test_svg_is_deterministic_text(tmp_path):
    one, two = (figure_to_svg(draw_genotype(tiny_genotype())) for _ in range(2))
    assert one == two
    assert all(f">{text}</" in one for text in ("identity", "sep", "3x3", "tiny"))
    save_figure(draw_genotype(tiny_genotype()), tmp_path / "cell.svg")
    save_figure(draw_genotype(tiny_genotype()), tmp_path / "cell.png")
    assert (tmp_path / "cell.svg").read_text().startswith("<?xml")
    assert (tmp_path / "cell.png").read_bytes().startswith(b"\x89PNG")
