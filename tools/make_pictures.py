"""Draws the pictures in docs/pictures.

They show the search space, a network's cells, drop path rates, results of searches and of trainings of a detector, and costs of networks.
"""

import argparse
import itertools
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import image
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from nasnet_tf.genotype import SearchSpace, load_genotype
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.nas.trials.journal import read_trials
from nasnet_tf.viz.axes import AMBER, BLUE, legend, line, new_figure, scatter, strip_axes
from nasnet_tf.viz.detections import draw_gallery
from nasnet_tf.viz.diagram import LABELS, draw_genotype, save_figure
from nasnet_tf.viz.report.plots import plot_comparison
from nasnet_tf.viz.zoo_plot import plot_zoo

_REPOSITORY = pathlib.Path(__file__).parents[1]
_SEARCHES = _REPOSITORY / "testdata" / "cifar10_search"  # real searches, see testdata/README.md
_DETECTOR = _REPOSITORY / "testdata" / "bccd"  # real trainings, see testdata/README.md
_COLUMNS = ("first hidden state", "second hidden state", "operation on the first", "operation on the second", "how to combine")


def draw_space(space: SearchSpace) -> Figure:
    """Draws the five decisions of a block in their order, with the options of each (paper figure 7)."""
    figure = Figure(figsize=(10, 4.3))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 10), ylim=(-0.15, 4.15))
    axes.axis("off")
    states = ["$h_i$", *(f"$h_{{i-{place}}}$" for place in range(1, space.num_input_states)), "blocks before it"]
    operations = list(LABELS.values())
    choices = [states, states, operations, operations, ["add", "concat"]]
    for place, (title, options) in enumerate(zip(_COLUMNS, choices, strict=True)):
        x = 1 + 2 * place
        style = "round,pad=0,rounding_size=0.08"
        axes.add_patch(FancyBboxPatch((x - 0.85, 3.3), 1.7, 0.6, boxstyle=style, facecolor="#bfdbfe", edgecolor="#52525b"))
        axes.text(
            x, 3.6, f"{place + 1}. {title}".replace(" on ", "\non ").replace(" state", "\nstate"), ha="center", va="center", fontsize=8.5
        )
        for row, option in enumerate(options):
            axes.text(x, 2.98 - 0.205 * row, option, ha="center", va="center", fontsize=8.5)
        if place:
            axes.add_patch(FancyArrowPatch((x - 1.15, 3.6), (x - 0.85, 3.6), arrowstyle="-|>", mutation_scale=10, shrinkA=0, shrinkB=0))
    repeats = f"{space.num_blocks} blocks in each of 2 cells: {len(space.sizes)} decisions"
    axes.text(5, 0.05, repeats, ha="center", va="center", fontsize=9.5, fontstyle="italic")
    return figure


def plot_drop_path(config: NetworkConfig) -> Figure:
    """Plots how the probability of dropping a path grows with depth and over training (paper section 3, ScheduledDropPath)."""
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    depths = range(1, config.num_cells + 1)
    for progress, color in ((0.25, "#bfdbfe"), (0.5, "#60a5fa"), (0.75, "#2563eb"), (1.0, "#1e3a8a")):
        rates = [config.drop_path_rate * depth / config.num_cells * progress for depth in depths]
        axes.plot(depths, rates, marker=".", color=color, label=f"after {progress:.0%} of training")
    axes.set(xlabel="cell, from the image on", ylabel="probability of dropping a path", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    strip_axes(axes, counts=True)
    return figure


def plot_precisions(trainings: Mapping[str, Sequence[dict]]) -> Figure:
    """Plots the average precision of detectors on held-out images over steps; `trainings` is {name: rows of metrics.jsonl}."""
    figure, axes = new_figure("step", "held-out average precision")
    for style, (name, rows) in zip(itertools.cycle(("-", "--", ":")), trainings.items(), strict=False):
        for key, label, color in (("average_precision_50", "AP50", AMBER), ("mean_average_precision", "mAP", BLUE)):
            points = [(row["step"], row[key]) for row in rows]
            line(axes, *np.array(points, float).T, color=color, linestyle=style, label=f"{label}, {name}")
            scatter(axes, *zip(*points, strict=True), color=color, s=12)
    axes.set(ylim=(0, 1))
    legend(axes)
    return figure


def draw_found(folder: pathlib.Path) -> Figure:
    """Draws images with the objects that `nasnet detect` found, from detections.json."""
    rows = json.loads((folder / "detections.json").read_text())
    found = [[(each["class"], each["probability"], each["box"]) for each in row["found"]] for row in rows]
    return draw_gallery([(image.imread(folder / pathlib.Path(row["file"]).name), each) for row, each in zip(rows, found, strict=True)])


def make_pictures(folder: pathlib.Path) -> None:
    """Writes all pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    searches = [(path.parent.name, read_trials(path.parent)) for path in sorted(_SEARCHES.glob("*/journal.jsonl"))]
    networks = [(row.title, row.trainable_parameters, row.mult_adds, row.paper.top_1) for row in ZOO.values() if row.paper.top_1]
    pictures = {
        "search_space": draw_space(SearchSpace()),
        "nasnet_a": draw_genotype(load_genotype("nasnet_a")),
        "scheduled_drop_path": plot_drop_path(
            NetworkConfig(cells_per_stack=6, filters=32, stem="cifar", stem_multiplier=3.0, drop_path_rate=0.4)
        ),
        "rewards_cifar10_search": plot_comparison(searches),
        "accuracy_against_cost": plot_zoo(networks),
    }
    trainings = {
        path.stem.replace("_", " "): [json.loads(row) for row in path.read_text().splitlines()]
        for path in sorted(_DETECTOR.glob("*.jsonl"))
    }
    pictures["precision_bccd"] = plot_precisions(trainings)
    for name, figure in pictures.items():
        save_figure(figure, folder / f"{name}.svg")
        print(folder / f"{name}.svg")
    draw_found(_DETECTOR).savefig(folder / "detections_bccd.jpg", dpi=80)  # JPEG, because it shows photographs
    print(folder / "detections_bccd.jpg")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, default=_REPOSITORY / "docs" / "pictures")
    make_pictures(parser.parse_args().folder)
