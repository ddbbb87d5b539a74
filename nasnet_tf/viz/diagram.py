"""Draws a genotype as a diagram in the style of the paper's figures 4, 8 and 9.

The inputs are at the bottom, and a block is a combine above its two operations. All lines run upward and never behind a block. As in the
paper, lines from h_i are solid and lines from h_{i-1} are dashed.
"""

import io
import pathlib
import re

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import check_local, naming
from nasnet_tf.genotype import Block, Cell, Genotype, Operation, genotype_hash
from nasnet_tf.genotype.combines import COMBINES
from nasnet_tf.viz.layout import SIDE, Layout

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
_INPUT, _OPERATION, _COMBINE, _OUTPUT = "#f4f4f5", "#fde68a", "#bbf7d0", "#fbcfe8"
_UNIT_INCHES = 0.36
_OPERATION_HEIGHT, _COMBINE_HEIGHT, _GAP = 0.95, 0.6, 0.6  # heights in a block; the gap is between its operations and its combine
_BLOCK_HEIGHT = _OPERATION_HEIGHT + _GAP + _COMBINE_HEIGHT
_HEADER, _FOOTER = 1.5, 0.9
# Styles of lines from the inputs, newest first.
_STYLES = [("#27272a", "-"), ("#2563eb", (0, (4, 2))), ("#b45309", (0, (1, 1.5))), ("#7c3aed", (0, (5, 1.5, 1, 1.5)))]
_FROM_BLOCK = ("#71717a", "-")


def draw_genotype(genotype: Genotype) -> Figure:
    """Draws the normal and the reduction cell side by side, with the genotype's name and hash above them."""
    cells = [("normal cell", genotype.normal_cell), ("reduction cell", genotype.reduction_cell)]
    drawings = [_CellDrawing(cell, genotype.num_input_states) for _, cell in cells]
    width = sum(drawing.layout.width for drawing in drawings) + 1.5
    height = max(drawing.height for drawing in drawings) + _HEADER + _FOOTER
    figure = Figure(figsize=(width * _UNIT_INCHES, height * _UNIT_INCHES))
    left = 0.25
    for (name, _), drawing in zip(cells, drawings, strict=True):
        axes = figure.add_axes((left / width, 0, drawing.layout.width / width, 1))
        axes.set(xlim=(0, drawing.layout.width), ylim=(-_FOOTER, height - _FOOTER))
        axes.axis("off")
        axes.text(drawing.layout.width / 2, -0.25, name, ha="center", va="top", fontsize=10, fontstyle="italic")
        drawing.draw(axes)
        left += drawing.layout.width + 1.0
    title = figure.text(0.3 / width, 1 - 0.2 / height, genotype.name, ha="left", va="top", fontsize=11, fontweight="bold")
    title.set_parse_math(False)
    figure.text(0.3 / width, 1 - 0.75 / height, genotype_hash(genotype), ha="left", va="top", fontsize=8, color="#71717a")
    return figure


class _CellDrawing:
    def __init__(self, cell: Cell, num_inputs: int):
        self._cell, self._num_inputs = cell, num_inputs
        self.layout = Layout(cell, num_inputs)
        # The further the lines between two rows run sideways, the larger the gap between the rows.
        self._bottoms = [0.0]
        for level in range(1, len(self.layout.rows)):
            lines = self.layout.lines(level)
            reach = max(abs(self.layout.x(item, level) + end - self.layout.x(source, level - 1)) for source, item, end in lines)
            below = _BLOCK_HEIGHT if level > 1 else _COMBINE_HEIGHT
            self._bottoms.append(self._bottoms[-1] + below + min(max(0.8, 0.2 * reach), 2.2))
        has_concat = any(len(output.states) > 1 for output in cell.outputs)
        self.height = self._bottoms[-1] + _COMBINE_HEIGHT + (_GAP + _COMBINE_HEIGHT if has_concat else 0.0)

    def draw(self, axes) -> None:
        layout, several = self.layout, len(self._cell.outputs) > 1
        num_states = self._num_inputs + len(self._cell.blocks)
        for level, row in enumerate(layout.rows):
            y = self._bottoms[level]
            for item in row:
                x = layout.x(item, level)
                if item >= num_states:
                    self._draw_output(axes, x, y, item - num_states)
                elif layout.is_lane(item, level):
                    _line(axes, (x, y), (x, y + _BLOCK_HEIGHT), self._style(item), has_head=False)
                elif level:
                    _draw_block(axes, x, y, self._cell.blocks[item - self._num_inputs])
                else:
                    name = f"$h_{item}$" if several else "$h_i$" if item == 0 else f"$h_{{i-{item}}}$"
                    _box(axes, x, y, 1.3, _COMBINE_HEIGHT, name, _INPUT)
            for source, item, end in layout.lines(level) if level else []:
                top = self._bottoms[level - 1] + (_BLOCK_HEIGHT if level > 1 else _COMBINE_HEIGHT)
                start = (layout.x(source, level - 1), top)
                _line(axes, start, (layout.x(item, level) + end, y), self._style(source), not layout.is_lane(item, level))

    def _draw_output(self, axes, x: float, y: float, index: int) -> None:
        """Draws an output. If there are several, output k is labeled as state h_k of the next cell."""
        name = f"next $h_{index}$" if len(self._cell.outputs) > 1 else "$h_{i+1}$"
        if len(self._cell.outputs[index].states) > 1:
            _box(axes, x, y, self.layout.output_width(index), _COMBINE_HEIGHT, "concat", _OUTPUT)
            y += _COMBINE_HEIGHT + _GAP
            _line(axes, (x, y - _GAP), (x, y), _FROM_BLOCK)
        _box(axes, x, y, 1.8 if len(self._cell.outputs) > 1 else 1.3, _COMBINE_HEIGHT, name, _INPUT)

    def _style(self, state: int) -> tuple:
        return _STYLES[state % len(_STYLES)] if state < self._num_inputs else _FROM_BLOCK


def _draw_block(axes, x: float, y: float, block: Block) -> None:
    top = y + _OPERATION_HEIGHT + _GAP
    for side, branch in ((-SIDE, block.left), (SIDE, block.right)):
        _box(axes, x + side, y, 1.45, _OPERATION_HEIGHT, re.sub("[ -]", "\n", LABELS[branch.operation]), _OPERATION)
        _line(axes, (x + side, top - _GAP), (x + side / 3, top), _FROM_BLOCK)
    label = COMBINES[block.combine].label
    _box(axes, x, top, max(1.45, 0.5 + 0.16 * len(label)), _COMBINE_HEIGHT, label, _COMBINE)


def _box(axes, x: float, y: float, width: float, height: float, text: str, color: str) -> None:
    style = "round,pad=0,rounding_size=0.12"
    axes.add_patch(
        FancyBboxPatch((x - width / 2, y), width, height, boxstyle=style, facecolor=color, edgecolor="#52525b", lw=0.7, zorder=3)
    )
    axes.text(x, y + height / 2, text, ha="center", va="center", fontsize=7.5, zorder=4, linespacing=1.0)


def _line(axes, start: tuple[float, float], end: tuple[float, float], style: tuple, has_head: bool = True) -> None:
    """Draws a curve that starts and ends vertically, with an arrow head at its end unless has_head is False."""
    color, dashes = style
    bend = 0.5 * (end[1] - start[1])
    path = Path([start, (start[0], start[1] + bend), (end[0], end[1] - bend), end], [Path.MOVETO, *[Path.CURVE4] * 3])
    axes.add_patch(PathPatch(path, fill=False, edgecolor=color, linestyle=dashes, lw=0.9, zorder=1))
    if has_head:
        head = [end, (end[0] - 0.11, end[1] - 0.26), (end[0] + 0.11, end[1] - 0.26)]
        axes.add_patch(Polygon(head, closed=True, facecolor=color, edgecolor="none", zorder=2))


def figure_to_svg(figure: Figure) -> str:
    """Returns the figure as an SVG element. Equal figures give equal text, and labels remain text instead of outlines."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "nasnet_tf", "svg.fonttype": "none"}):
        # The resolution applies to parts that are drawn as images. Metadata is left out because it would contain web addresses.
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", dpi=150, metadata=no_metadata, transparent=True)
    text = buffer.getvalue()
    # Two decimals of a point are finer than any screen resolution, and make the text about a quarter of its size.
    return re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path.group()), text[text.index("<svg") :])


def save_figure(figure: Figure, path: pathlib.Path) -> None:
    """Writes a figure to an .svg, .png or .pdf file.

    Raises:
      InputError: the path has another suffix, or is an address such as gs://bucket/figure.svg.
      OSError: the file cannot be written.
    """
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise InputError(f"{path}: cannot be drawn; expected a name that ends in .svg, .png or .pdf")
    check_local(path)
    with naming(path):
        if path.suffix == ".svg":
            path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{figure_to_svg(figure)}')
        else:
            figure.savefig(path, dpi=150)
