"""A genotype as a diagram in the manner of the paper's figures 4, 8 and 9.

Inputs stand at the bottom, a block is two operations under their combine, and blocks stand above all that they read, so that every line
goes upward.
"""

import io
import pathlib

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from nasnet_tf.errors import InputError
from nasnet_tf.genotype import Cell, Combine, Genotype, Operation

LABELS = {
    Operation.IDENTITY: "identity",
    Operation.CONV_1X3_3X1: "1x3-3x1",
    Operation.CONV_1X7_7X1: "1x7-7x1",
    Operation.DILATED_CONV_3X3: "dil 3x3",
    Operation.AVG_POOL_3X3: "avg 3x3",
    Operation.MAX_POOL_3X3: "max 3x3",
    Operation.MAX_POOL_5X5: "max 5x5",
    Operation.MAX_POOL_7X7: "max 7x7",
    Operation.CONV_1X1: "conv 1x1",
    Operation.CONV_3X3: "conv 3x3",
    Operation.SEP_CONV_3X3: "sep 3x3",
    Operation.SEP_CONV_5X5: "sep 5x5",
    Operation.SEP_CONV_7X7: "sep 7x7",
}
_COMBINES = {
    Combine.ADD: "add",
    Combine.CONCAT: "concat",
    Combine.LAYER_NORM_ADD: "layer-norm add",
    Combine.INSTANCE_NORM_ADD: "instance-norm add",
}
_INPUT, _OPERATION, _COMBINE, _OUTPUT = "#e4e4e7", "#fde68a", "#bbf7d0", "#bfdbfe"
_BLOCK_WIDTH, _LEVEL_HEIGHT = 3.0, 2.4  # in units of about a third of an inch
_UNIT_INCHES = 0.36


def draw_genotype(genotype: Genotype) -> Figure:
    """Normal and reduction cell side by side."""
    cells = [("normal cell", genotype.normal_cell), ("reduction cell", genotype.reduction_cell)]
    layouts = [_Layout(cell, genotype.num_input_states) for _, cell in cells]
    width, height = sum(layout.width for layout in layouts) + 1.0, max(layout.height for layout in layouts) + 1.2
    figure = Figure(figsize=(width * _UNIT_INCHES, height * _UNIT_INCHES))
    left = 0.0
    for (name, cell), layout in zip(cells, layouts, strict=True):
        axes = figure.add_axes((left / width, 0, layout.width / width, 1))
        axes.set(xlim=(0, layout.width), ylim=(-0.6, height - 0.6))
        axes.axis("off")
        axes.text(layout.width / 2, height - 0.7, name, ha="center", va="top", fontsize=11, fontweight="bold")
        _draw_cell(axes, cell, genotype.num_input_states, layout)
        left += layout.width + 1.0
    return figure


class _Layout:
    """Where things stand: the level of a state is the longest path to it from the inputs."""

    def __init__(self, cell: Cell, num_inputs: int):
        levels = [0] * num_inputs
        for block in cell.blocks:
            levels.append(1 + max(levels[block.left.input], levels[block.right.input]))
        rows: dict[int, list[int]] = {}
        for state in range(num_inputs, len(levels)):
            rows.setdefault(levels[state], []).append(state)
        widest = max([len(row) for row in rows.values()] + [num_inputs * 0.8])
        self.width = widest * _BLOCK_WIDTH + 0.6
        self.height = (max(levels) + 1) * _LEVEL_HEIGHT + 0.4
        # state -> (x of its middle, y of its lower edge)
        self.places = {state: (self.width * (state + 1) / (num_inputs + 1), 0.0) for state in range(num_inputs)}
        for level, row in rows.items():
            # Blocks of a row shift sideways from level to level, or a chain of single blocks would hide its own lines.
            shift = 0.0 if len(row) == widest else 0.35 * (-1) ** level
            for place, state in enumerate(row):
                x = self.width / 2 + (place - (len(row) - 1) / 2) * max(_BLOCK_WIDTH, (self.width - 1) / (len(row) + 1))
                self.places[state] = (min(max(x + shift, 1.6), self.width - 1.6), level * _LEVEL_HEIGHT - 0.9)


def _draw_cell(axes, cell: Cell, num_inputs: int, layout: _Layout) -> None:
    tops = {}
    for state in range(num_inputs):
        x, y = layout.places[state]
        _box(axes, x, y, 1.1, 0.6, "$h_i$" if state == 0 else f"$h_{{i-{state}}}$", _INPUT)
        tops[state] = (x, y + 0.6)
    for index, block in enumerate(cell.blocks):
        state = num_inputs + index
        x, y = layout.places[state]
        for side, branch in ((-0.72, block.left), (0.72, block.right)):
            _box(axes, x + side, y, 1.3, 0.55, LABELS[branch.operation], _OPERATION)
            _line(axes, tops[branch.input], (x + side, y))
            _line(axes, (x + side, y + 0.55), (x + side / 3, y + 1.0))
        _box(axes, x, y + 1.0, 1.3 if len(_COMBINES[block.combine]) < 8 else 2.4, 0.5, _COMBINES[block.combine], _COMBINE)
        tops[state] = (x, y + 1.5)
    top = layout.height - 0.75
    spacing = (layout.width - 0.4) / len(cell.outputs)
    for index, output in enumerate(cell.outputs):
        single = len(cell.outputs) == 1
        label = "concat" if len(output.states) > 1 else "output"
        x, width = 0.2 + spacing * (index + 0.5), min(spacing - 0.2, 6.0)
        _box(axes, x, top, width, 0.55, f"{label} → $h_{{i+1}}$" if single else f"→ $h_{index}$", _OUTPUT)
        for place, state in enumerate(output.states):
            end = x + width * 0.8 * ((place + 0.5) / len(output.states) - 0.5)
            _line(axes, tops[state], (end, top), color="#93c5fd")


def _box(axes, x: float, y: float, width: float, height: float, text: str, color: str) -> None:
    style = "round,pad=0,rounding_size=0.12"
    axes.add_patch(
        FancyBboxPatch((x - width / 2, y), width, height, boxstyle=style, facecolor=color, edgecolor="#52525b", lw=0.7, zorder=3)
    )
    axes.text(x, y + height / 2, text, ha="center", va="center", fontsize=7.5, zorder=4)


def _line(axes, start: tuple[float, float], end: tuple[float, float], color: str = "#71717a") -> None:
    arrow = {"arrowstyle": "-|>", "color": color, "lw": 0.8, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    axes.annotate("", xy=end, xytext=start, arrowprops=arrow, zorder=1)


def figure_to_svg(figure: Figure) -> str:
    """The figure as an SVG element, the same text for the same figure; text stays text."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "nasnet_tf", "svg.fonttype": "none"}):
        # The resolution is that of parts that are drawn as images. No metadata: it would name web addresses.
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", dpi=150, metadata=no_metadata, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def save_figure(figure: Figure, path: pathlib.Path) -> None:
    """Writes an .svg, .png or .pdf."""
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise InputError(f"{path}: cannot be drawn; expected a name that ends in .svg, .png or .pdf")
    if path.suffix == ".svg":
        path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{figure_to_svg(figure)}')
    else:
        figure.savefig(path, dpi=150)
