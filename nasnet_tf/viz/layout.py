"""Computes the positions of a cell's parts in a diagram: inputs at the bottom, each block above the states it reads, outputs at the top.

A line that passes a row of blocks gets its own lane in that row, so that no line runs behind a block.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from nasnet_tf.genotype import Cell

SIDE = 0.82  # horizontal distance of an operation from the middle of its block
_LANE, _INPUT, _BLOCK, _OUTPUT = 0.9, 1.7, 3.4, 2.4  # widths, including the free space around each item
_OUTPUT_END = 0.55  # distance between two lines that end at the same output


class Layout:
    """The rows of items of a diagram, from bottom to top, and the position of each item.

    An item is an integer: the number of a state, or the number of states + k for output k. A state that is read above the next row also
    appears in the rows between, as a lane.

    Attributes:
      levels: for each state, the length of the longest path from the inputs to it.
      rows: the items of each row, from left to right.
      width: width of the diagram.
    """

    def __init__(self, cell: Cell, num_inputs: int):
        self._cell, self._num_inputs = cell, num_inputs
        self.levels = [0] * num_inputs
        for block in cell.blocks:
            self.levels.append(1 + max(self.levels[block.left.input], self.levels[block.right.input]))
        self._num_states, top = len(self.levels), max(self.levels) + 1
        ends = self.levels.copy()  # for each state, the highest row that reads it
        for level, branches in ((self.levels[state], self._branches(state)) for state in range(num_inputs, self._num_states)):
            for branch in branches:
                ends[branch.input] = max(ends[branch.input], level)
        for state in itertools.chain.from_iterable(output.states for output in cell.outputs):
            ends[state] = top
        self.rows = [[state for state, own in enumerate(self.levels) if own == level or own < level < ends[state]] for level in range(top)]
        self.rows.append([self._num_states + index for index in range(len(cell.outputs))])
        self._reorder()
        self._places = [self._packed(row, [0.0] * len(row)) for row in self.rows]
        self._straighten()
        left = min(self.x(item, level) - self._size(item, level) / 2 for level, row in enumerate(self.rows) for item in row)
        self._places = [{item: x - left for item, x in places.items()} for places in self._places]
        self.width = max(self.x(item, level) + self._size(item, level) / 2 for level, row in enumerate(self.rows) for item in row)

    def x(self, item: int, level: int) -> float:
        """Returns the x coordinate of the middle of an item in a row."""
        return self._places[level][item]

    def is_lane(self, item: int, level: int) -> bool:
        """Returns whether the item is a lane in this row, a line that only passes."""
        return item < self._num_states and self.levels[item] < level

    def lines(self, level: int) -> list[tuple[int, int, float]]:
        """Returns the lines to a row from the row below: (item below, item, x distance of the line's end from the middle of the item)."""
        lines = []
        for item in self.rows[level]:
            if item >= self._num_states:
                states = sorted(self._cell.outputs[item - self._num_states].states, key=lambda state: self.x(state, level - 1))
                lines += [(state, item, _OUTPUT_END * (place - (len(states) - 1) / 2)) for place, state in enumerate(states)]
            elif self.is_lane(item, level):
                lines.append((item, item, 0.0))
            else:
                left, right = self._branches(item)
                lines += [(left.input, item, -SIDE), (right.input, item, SIDE)]
        return lines

    def output_width(self, index: int) -> float:
        """Returns the width of an output's box, enough for all lines that end at it."""
        return max(1.8, _OUTPUT_END * len(self._cell.outputs[index].states) + 0.4)

    def _branches(self, state: int):
        block = self._cell.blocks[state - self._num_inputs]
        return block.left, block.right

    def _size(self, item: int, level: int) -> float:
        if item >= self._num_states:
            return max(_OUTPUT, self.output_width(item - self._num_states) + 0.5)
        return _LANE if self.is_lane(item, level) else _INPUT if level == 0 else _BLOCK

    def _reorder(self) -> None:
        """Swaps neighbors as long as this reduces the number of crossing lines. The inputs keep their order."""
        self._places = [{item: float(place) for place, item in enumerate(row)} for row in self.rows]
        for level, row in enumerate(self.rows[1:], 1):  # initial order: by the mean position of the items that are read
            sources = {item: [self.x(source, level - 1) for source, reader, _ in self.lines(level) if reader == item] for item in row}
            row.sort(key=lambda item, sources=sources: float(np.mean(sources[item])))
            self._places[level] = {item: float(place) for place, item in enumerate(row)}
        improved = True
        while improved:
            improved = False
            for level, row in enumerate(self.rows[1:-1], 1):
                for place in range(len(row) - 1):
                    before = self._crossings(level) + self._crossings(level + 1)
                    self._swap(level, place)
                    if self._crossings(level) + self._crossings(level + 1) < before:
                        improved = True
                    else:
                        self._swap(level, place)

    def _swap(self, level: int, place: int) -> None:
        row = self.rows[level]
        row[place], row[place + 1] = row[place + 1], row[place]
        self._places[level] = {item: float(number) for number, item in enumerate(row)}

    def _crossings(self, level: int) -> int:
        ends = [(self.x(source, level - 1), self.x(item, level) + 0.1 * offset) for source, item, offset in self.lines(level)]
        return sum((one[0] - two[0]) * (one[1] - two[1]) < 0 for one, two in itertools.combinations(ends, 2))

    def _straighten(self, rounds: int = 8) -> None:
        """Moves each item toward the items that it is connected to, without changing the order of a row."""
        last = len(self.rows) - 1
        for level in [*range(1, last + 1), *range(last - 1, -1, -1)] * rounds + list(range(1, last + 1)):
            row = self.rows[level]
            wishes: dict[int, list[float]] = {item: [] for item in row}
            for source, item, offset in self.lines(level) if level else []:
                wishes[item].append(self.x(source, level - 1) - offset)
            for source, item, offset in self.lines(level + 1) if level < last else []:
                wishes[source].append(self.x(item, level + 1) + offset)
            wanted = [float(np.mean(wishes[item])) if wishes[item] else self.x(item, level) for item in row]
            self._places[level] = self._packed(row, wanted)

    def _packed(self, row: Sequence[int], wanted: Sequence[float]) -> dict[int, float]:
        """Returns {item: x} without overlaps and as near as possible to the wanted positions.

        This is the least-squares solution, by the pool adjacent violators algorithm.
        """
        level = next(level for level, other in enumerate(self.rows) if other is row)
        sizes = [self._size(item, level) for item in row]
        starts = np.concatenate([[0.0], np.cumsum([(one + two) / 2 for one, two in itertools.pairwise(sizes)])])
        pools: list[tuple[float, int]] = []  # (mean, number of items)
        for value in np.asarray(wanted) - starts[: len(row)]:
            pools.append((float(value), 1))
            while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
                (mean, count), (other, more) = pools.pop(), pools.pop()
                pools.append(((mean * count + other * more) / (count + more), count + more))
        free = [mean for mean, count in pools for _ in range(count)]
        return {item: place + start for item, place, start in zip(row, free, starts, strict=False)}
