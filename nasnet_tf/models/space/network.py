"""One network for a whole search space. It is traced once, and each call passes an architecture as a Plan.

Each place of each cell runs the layer that the plan names, through a switch that runs only the chosen branch. Shapes are dynamic, so one
trace of the operations serves cells of all sizes. All weights of an architecture are in one vector, so gradient clipping, weight decay and
the update of an optimizer are only a few ops. The network runs the same layers as those of `build_network`, but with the weights
that a call passes. With equal weights, both compute the same result, up to the rounding of float32.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from nasnet_tf import genotype as genotypes
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import expect
from nasnet_tf.genotype import Combine, Genotype, Operation, SearchSpace, validate
from nasnet_tf.genotype.combines import COMBINES
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.cell_layers import Kind, Layout, Site, cell_layout
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.space.choosing import combine, switch
from nasnet_tf.models.space.plan import Plan, Weight
from nasnet_tf.models.space.templates import RANK, is_statistic, named_weights, run_layer, weights_of_kind, without_values

_PASS = 0  # the branch of an empty place, which returns its input
_FILTERS = 4  # filters of the templates, whose own weights have no values
_MAP, _VECTOR = tf.TensorSpec([None] * RANK), tf.TensorSpec([None])
_NUMBER = tf.TensorSpec([], tf.int32)

# Options of NetworkConfig that a SpaceNetwork does not support, because children of a search do not use them. They are off by default.
ABSENT = ("auxiliary_head", "dropout_rate", "drop_path_rate", "bounded_activation", "synchronized_batch_norm")


class SpaceNetwork:
    """The networks of all genotypes of a space, for one configuration.

    Args:
      space: the search space, which decides the blocks and input states. The output of a genotype may concatenate other states
        than the unused blocks, as in NASNet-A.
      config: configuration of the networks; the options in ABSENT must be off.
      num_classes: number of classes.
      image_size: height and width in pixels.

    Attributes:
      stem: the layer before the first cell.
      sizes: heights of the outputs of the stem and of each cell, in pixels.

    Raises:
      InputError: the configuration or the space is not supported.
    """

    def __init__(self, space: SearchSpace, config: NetworkConfig, num_classes: int, image_size: int):
        for name in ABSENT:
            expect(not getattr(config, name), "SpaceNetwork", f"NetworkConfig.{name} to be off", getattr(config, name))
        expect(space.outputs == "concat_unused", "SpaceNetwork", "a space of cells with one output, 'concat_unused'", space.outputs)
        self._space, self.style, self.num_classes, self.image_size = space, config.style, num_classes, image_size
        # Any genotype of the space has this stack of cells, so the first one serves as a pattern.
        pattern = build_network(space.decode([0] * len(space.sizes)), config, num_classes, image_size)
        self.stem, self._pool, self._classifier = (pattern.get_layer(name) for name in ("stem", "global_pool", "logits"))
        self._classifier.input_spec = None  # the number of features depends on the plan
        self._cells = [layer for layer in pattern.layers if isinstance(layer, Cell)]
        self._num_places = [self._count_places(cell) for cell in self._cells]
        self.sizes = [pattern.get_layer("stem").output.shape[1]] + [cell.output.shape[1] for cell in self._cells]
        # States of a cell: its input states, its blocks, its input states as outputs, and an empty one.
        self._num_states = 2 * space.num_input_states + space.num_blocks + 1
        self._branches = {key: number for number, key in enumerate(self._templates, start=_PASS + 1)}
        self._most_weights = max(len(names) for _, names in self._templates)
        self._sources = _sources(pattern, self._cells)
        self._cell_function, self._place_function = functools.cache(self._trace_cell), functools.cache(self._trace_place)

    @functools.cached_property
    def _templates(self) -> dict[tuple[Kind, tuple[str, ...]], keras.layers.Layer]:
        """A layer for each kind and each set of weights that the kind may have. An identity has weights only if it must project."""
        kinds = [Kind("operation", Operation.Value(name), stride) for name in self._space.operations for stride in (1, 2)]
        kinds += [Kind(role, activation) for role in ("fit", "reduction") for activation in (False, True)]
        kinds += [Kind("norm", each.norm) for value, each in COMBINES.items() if each.norm and Combine.Name(value) in self._space.combines]
        templates = {}
        for kind in kinds:
            for channels in (_FILTERS, 2 * _FILTERS):
                layer = without_values(kind, channels, _FILTERS, self.style)
                templates.setdefault((kind, tuple(name for name, _ in named_weights(layer))), layer)
        return templates

    def plan(self, genotype: Genotype) -> Plan:
        """Returns what to compute for a genotype, and where its weights are.

        Raises:
          InputError: the genotype's number of blocks or input states is not that of the space, a cell has several outputs, or an operation
            or a combine is not in the space.
        """
        places: list[Site | None] = []
        reads: list[np.ndarray | None] = [None]  # for the stem, which reads images
        channels_of = [np.arange(self.stem.filters)]
        filters, inputs, concatenates, outputs = [], [], [], []
        for layer, sources, cell, layout in self.layouts(genotype):
            before = len(places)
            for halvings, fit, source in zip(layer.reductions, layout.fits, sources, strict=True):
                places += fit + [None] * (max(1, halvings) - len(fit))
                reads += [channels_of[source]] + [None] * (max(1, halvings) - 1)
            for pair, norm in zip(layout.branches, layout.norms, strict=True):
                places += [*pair, norm]
            for state in range(self._space.num_input_states):
                places += layout.output_fits.get(state) or [None]
            filters += [layer.filters] * (len(places) - before)
            reads += [None] * (1 + len(places) - len(reads))
            channels_of.append(self._channels(cell, layer.filters))
            inputs.append([(block.left.input, block.right.input) for block in cell.blocks])
            concatenates.append([COMBINES[block.combine].width == 2 for block in cell.blocks])
            first, last = self._num_states - 1 - self._space.num_input_states, self._num_states - 1
            states = [first + state if state < self._space.num_input_states else state for state in cell.outputs[0].states]
            outputs.append(states + [last] * (last - self._space.num_input_states - len(states)))
        wiring = np.int32(inputs), np.int32(concatenates), np.int32(outputs)
        return self._packed(places, filters, layout.output_channels[0], *wiring, [*reads, channels_of[-1]])

    def layouts(self, genotype: Genotype) -> Iterator[tuple[Cell, list[int], genotypes.Cell, Layout]]:
        """Yields (cell of the network, the outputs that it reads, the genotype's cell, its layout); errors as in `plan`.

        Output 0 is the stem's, and output n is that of the n-th cell.
        """
        validate(genotype)
        cells = (genotype.normal_cell, genotype.reduction_cell)
        shape = (genotype.num_input_states, *(len(cell.blocks) for cell in cells), *(len(cell.outputs) for cell in cells))
        expected = (self._space.num_input_states, self._space.num_blocks, self._space.num_blocks, 1, 1)
        if shape != expected:
            raise InputError(
                "SpaceNetwork: expected a genotype of {} input states, {} and {} blocks, {} and {} outputs; "
                "got {}, {}, {}, {} and {}".format(*expected, *shape)
            )
        widths = [self.stem.filters]
        for layer, sources in zip(self._cells, self._sources, strict=True):
            cell = genotype.reduction_cell if layer.is_reduction else genotype.normal_cell
            channels = [widths[source] for source in sources]
            layout = cell_layout(cell, self._space.num_input_states, layer.filters, layer.is_reduction, layer.reductions, channels)
            widths.append(layout.output_channels[0])
            yield layer, sources, cell, layout

    def _channels(self, cell, filters: int) -> np.ndarray:
        """Returns the source state of each channel of a cell's output, encoded as in Plan.rows."""
        parts = []
        for state in cell.outputs[0].states:
            block = state - self._space.num_input_states
            width = filters * (COMBINES[cell.blocks[block].combine].width if block >= 0 else 1)
            parts.append(state * 2 * filters + np.arange(width))
        return np.concatenate(parts)

    def _packed(self, places, filters, features, inputs, concatenates, outputs, rows) -> Plan:
        found = [_PASS], [named_weights(self.stem)]
        for site, width in zip(places, filters, strict=True):
            named = [] if site is None else weights_of_kind(site.kind, site.channels, width, self.style)
            found[0].append(_PASS if site is None else self._branch(site.kind, named))
            found[1].append(named)
        found[0].append(_PASS)
        found[1].append([("kernel", (features, self.num_classes)), ("bias", (self.num_classes,))])
        branches, named = found
        shapes = np.ones((len(named), self._most_weights, RANK), np.int32)
        sizes = np.zeros((len(named), 2), np.int32)
        for place, weights in enumerate(named):
            for row, (name, shape) in enumerate(weights[: self._most_weights]):
                shapes[place, row, : len(shape)] = shape
                sizes[place, int(is_statistic(name))] += math.prod(shape)
        kinds = [[weight for weights in named for weight in weights if is_statistic(weight[0]) == moving] for moving in (False, True)]
        return Plan(np.int32(branches), sizes, shapes, inputs, concatenates, outputs, *kinds, list(zip(branches, named, strict=True)), rows)

    @property
    def widest(self) -> list[int]:
        """The maximum number of channels that each place may read; for a place that reads a cell's output, counted as in Plan.rows."""
        states = self._space.num_input_states + self._space.num_blocks
        outputs = [self.stem.filters] + [states * 2 * cell.filters for cell in self._cells]
        found = [3]
        for cell, sources in zip(self._cells, self._sources, strict=True):
            for halvings, source in zip(cell.reductions, sources, strict=True):
                found += [outputs[source]] + [2 * cell.filters] * (max(1, halvings) - 1)
            found += [2 * cell.filters] * (3 * self._space.num_blocks + self._space.num_input_states)
        return [*found, outputs[-1]]

    def _branch(self, kind: Kind, named: Sequence[Weight]) -> int:
        try:
            return self._branches[kind, tuple(name for name, _ in named)]
        except KeyError:
            if kind.role == "norm":
                expected, got = f"a combine of the space ({', '.join(self._space.combines)})", f"the {kind.detail} normalization of a sum"
            else:
                expected, got = f"an operation of the space ({', '.join(self._space.operations)})", Operation.Name(kind.detail)
            raise InputError(f"SpaceNetwork: expected {expected}, got {got}") from None

    @property
    def signature(self) -> list[tf.TensorSpec]:
        """The input signature of a tf.function of weights, statistics and a plan's arrays; with it, one trace serves all architectures."""
        places, cells, space = 2 + sum(self._num_places), len(self._cells), self._space
        shapes = [[places], [places, 2], [places, self._most_weights, RANK], [cells, space.num_blocks, 2], [cells, space.num_blocks]]
        shapes.append([cells, space.num_blocks + space.num_input_states])
        return [_VECTOR, _VECTOR, *(tf.TensorSpec(shape, tf.int32) for shape in shapes)]

    def __call__(self, images: tf.Tensor, weights: tf.Tensor, statistics: tf.Tensor, plan: Sequence[tf.Tensor], training: bool):
        """Runs an architecture. Call it inside a tf.function, of which one trace serves all architectures.

        Args:
          images: float32 [batch, height, width, 3].
          weights: float32 [weights], those of all places in their order, as from Plan.fresh_weights or weights_of.
          statistics: float32 [statistics], moving means and variances of all places, as from Plan.fresh_statistics or weights_of.
          plan: the plan's arrays.
          training: whether to normalize with the statistics of the batch.

        Returns:
          (logits float32 [batch, num_classes], moving statistics float32 [statistics], which are updated in training).
        """
        branches, sizes, shapes, inputs, concatenates, outputs = plan
        num_places = 2 + sum(self._num_places)
        weights = tf.split(weights, sizes[:, 0], num=num_places)
        moving = tf.split(statistics, sizes[:, 1], num=num_places)
        stem, moving[0] = run_layer(self.stem, images, weights[0], moving[0], shapes[0], training=training)
        states, place = [stem], 1
        for index, (cell, sources, count) in enumerate(zip(self._cells, self._sources, self._num_places, strict=True)):
            part = slice(place, place + count)
            run = self._cell_function(cell.is_reduction, tuple(cell.reductions), training)
            output, moving[part] = run(
                [states[source] for source in sources],
                (branches[part], weights[part], moving[part], shapes[part]),
                (inputs[index], concatenates[index], outputs[index]),
            )
            states.append(output)
            place += count
        logits, _ = run_layer(self._classifier, self._pool(states[-1]), weights[-1], moving[-1], shapes[-1], training=training)
        return tf.ensure_shape(logits, [None, self.num_classes]), tf.concat(moving, 0)

    def _count_places(self, cell: Cell) -> int:
        return sum(max(1, halvings) for halvings in cell.reductions) + 3 * self._space.num_blocks + self._space.num_input_states

    def _trace_cell(self, is_reduction: bool, halvings: tuple[int, ...], training: bool) -> Callable:
        """Returns the function that runs a cell. Cells of one kind with the same numbers of halvings share it and its trace."""
        return tf.function(functools.partial(self._cell, is_reduction, halvings, training), autograph=False, reduce_retracing=True)

    def _cell(self, is_reduction, halvings, training, given, places, wiring):
        steps = iter(zip(*(tf.unstack(part, num=len(places[1])) if tf.is_tensor(part) else part for part in places), strict=True))
        moving = []

        def run(tensor, kinds):
            branch, weights, statistics, shapes = next(steps)
            if kinds:
                tensor, statistics = self._place_function(kinds, training)(branch, tensor, weights, statistics, shapes)
            moving.append(statistics)
            return tensor

        strides = (1, 2) if is_reduction else (1,)
        operations = frozenset(Kind("operation", Operation.Value(name), stride) for name in self._space.operations for stride in strides)
        norms = frozenset(kind for kind, _ in self._templates if kind.role == "norm")
        output_fits = frozenset([Kind("reduction" if is_reduction else "fit", False)])
        inputs, concatenates, outputs = wiring
        num_inputs, num_blocks = self._space.num_input_states, self._space.num_blocks
        pairs = [tf.unstack(pair, num=2) for pair in tf.unstack(inputs, num=num_blocks)]
        joined = tf.unstack(concatenates, num=num_blocks)
        # A TensorArray, because the gradient of an element that is not read costs nothing.
        states = tf.TensorArray(tf.float32, self._num_states, clear_after_read=False, infer_shape=False, element_shape=[None] * RANK)
        for number, (tensor, halved) in enumerate(zip(given, halvings, strict=True)):
            for _ in range(max(1, halved)):
                tensor = run(tensor, frozenset([Kind("reduction" if halved else "fit", True)]))
            states = states.write(number, tensor)
        for number in range(len(given), num_inputs):
            states = states.write(number, given[0])
        for block in range(num_blocks):
            left, right = (run(states.read(number), operations) for number in pairs[block])
            states = states.write(num_inputs + block, run(combine(joined[block], left, right), norms))
        first, newest = num_inputs + num_blocks, states.read(num_inputs + num_blocks - 1)
        for number in range(num_inputs):
            states = states.write(first + number, run(states.read(number), output_fits))
        states = states.write(self._num_states - 1, newest[..., :0])
        output = tf.concat([states.read(slot) for slot in tf.unstack(outputs, num=num_inputs + num_blocks)], axis=-1)
        return tf.ensure_shape(output, [None] * RANK), moving

    def _trace_place(self, kinds: frozenset[Kind], training: bool) -> Callable:
        """Returns a traced function that runs one of the layers of these kinds, or returns its input.

        The switch of a place has only the branches that can occur there. Each branch costs time: TensorFlow prepares it, and each step
        reserves as many slots for intermediate results as the largest branch needs.
        """
        keys = [key for key in self._templates if key[0] in kinds]
        runs = [functools.partial(run_layer, self._templates[key], training=training) for key in keys]
        runs.insert(_PASS, lambda tensor, weights, statistics, shapes: (tensor, statistics))
        numbers = np.zeros(1 + len(self._templates), np.int32)  # {branch of a plan: branch of this place}
        numbers[[self._branches[key] for key in keys]] = range(1, len(runs))
        signature = [_NUMBER, _MAP, _VECTOR, _VECTOR, tf.TensorSpec([self._most_weights, RANK], tf.int32)]

        @tf.function(input_signature=signature, autograph=False)
        def run_place(branch, *args):
            with tf.device("CPU:0"):  # a GPU would have to send the number back before the switch can run
                number = tf.gather(numbers, branch)
            tensor, statistics = switch(number, [functools.partial(run, *args) for run in runs])
            return tf.ensure_shape(tensor, [None] * RANK), statistics

        return run_place


def _sources(pattern: keras.Model, cells: Sequence[Cell]) -> list[list[int]]:
    """Returns the outputs that each cell reads: 0 is the stem's, and n is that of the n-th cell."""
    numbers = {id(layer.output): number for number, layer in enumerate([pattern.get_layer("stem"), *cells])}
    return [[numbers[id(tensor)] for tensor in (cell.input if isinstance(cell.input, list) else [cell.input])] for cell in cells]
