"""Builds a keras.Model with named endpoints from a genotype and a NetworkConfig (paper section 3, figure 2; slim's _build_nasnet_base).

The endpoints are the layer names: `stem`, `cell_stem_0`, `cell_stem_1` (ImageNet stem only), `cell_0` ..., `reduction_cell_0`,
`reduction_cell_1`, `global_pool`, `logits`, `auxiliary_logits`. `model.get_layer(name).output` is the endpoint's tensor.
"""

import dataclasses
import os
import sys
from typing import Annotated, Literal

import keras

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Positive, Share, check_classes, check_fields, check_image_size, expect, up_to
from nasnet_tf.genotype import Genotype, load_genotype, validate
from nasnet_tf.genotype.combines import COMBINES
from nasnet_tf.layers.normalization import LayerStyle
from nasnet_tf.layers.stochastic import Dropout
from nasnet_tf.models import heads
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.stems import STEMS, StemName

NUM_REDUCTIONS = 2  # between three stacks of normal cells, as in figure 2
Filters = Annotated[int, up_to(100_000)]  # far more than anyone needs; stops a typing error from filling the memory
# Number of normal cells by which the second and third stacks, which begin with a reduction, are shorter than the first one.
Stacking = Literal["released", "strided_normal"]
STACKINGS = {"released": 0, "strided_normal": 1}
_reported_widths: set[tuple[int, int]] = set()  # (P, P / F) that this process has printed


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """The sizes and options of a network: how its cells are stacked. The paper's "N @ P" is cells_per_stack=N, penultimate_filters=P.

    Attributes:
      cells_per_stack: normal cells in each of the three stacks (N).
      stem: "cifar" (stride 1) or "imagenet" (stride 2 and two reduction cells: 1/8 of the image size before the first normal cell);
        a key of nasnet_tf.models.stems.STEMS.
      stem_multiplier: width of the stem convolution, as a multiple of `filters` for "cifar" and of 32 for "imagenet".
      filters: channels of each operation in the first stack (F). Each of the two reductions doubles them. Give either this or
        penultimate_filters.
      penultimate_filters: channels of the last cell's output (P). If no F gives exactly P, the nearest F is used.
      stacking: "released" has a reduction cell between stacks of N normal cells, as in the released code. "strided_normal" replaces all
        reduction cells, including those of the stem, by normal cells with stride 2. N counts the one that begins a stack, so the stacks
        have N, N - 1 and N - 1 other cells. This reproduces the published counts of two rows of the paper's table 2; see
        nasnet_tf.models.zoo.
      prev_skips_reduction: True if the h_{i-1} of a normal cell right after a reduction is not the newest state that the reduction read,
        but the state before it. Slim's skip_reduction_layer_input; True for NASNet-A large.
      auxiliary_head: True for a second output at 2/3 of the depth, for training.
      dropout_rate: probability of dropping each pooled feature before the classifier.
      drop_path_rate: probability of dropping a path in the last cell at the end of training. In the k-th of n cells, it is k / n of this
        (version v3 of the rule in TF-slim).
      bounded_activation: see LayerStyle.
      batch_norm_momentum: see LayerStyle. Slim has 0.9 for CIFAR and 0.9997 for ImageNet; with 0.9997, the moving statistics need more than
        10,000 steps to follow the batches.
      batch_norm_epsilon: see LayerStyle. Slim has 1e-5 for CIFAR and 1e-3 for ImageNet.
      synchronized_batch_norm: see LayerStyle.
    """

    cells_per_stack: Annotated[int, up_to(1000)]
    stem: StemName
    stem_multiplier: Positive
    filters: Filters | None = None
    penultimate_filters: Filters | None = None
    prev_skips_reduction: bool = False
    auxiliary_head: bool = False
    dropout_rate: Share = 0.0
    drop_path_rate: Share = 0.0
    bounded_activation: bool = False
    batch_norm_momentum: Share = 0.9
    batch_norm_epsilon: Positive = 1e-3
    synchronized_batch_norm: bool = False
    stacking: Stacking = "released"

    def __post_init__(self):
        check_fields(self)
        if (self.filters is None) == (self.penultimate_filters is None):
            raise InputError(
                f"NetworkConfig: expected either filters or penultimate_filters, got {self.filters} and {self.penultimate_filters}"
            )

    @property
    def style(self) -> LayerStyle:
        """The settings that all layers share."""
        return LayerStyle(self.batch_norm_momentum, self.batch_norm_epsilon, self.bounded_activation, self.synchronized_batch_norm)

    @property
    def num_cells(self) -> int:
        """The number of normal and reduction cells, including those of the stem."""
        return sum(self.stacks) + NUM_REDUCTIONS + STEMS[self.stem].cells

    @property
    def stacks(self) -> tuple[int, ...]:
        """The number of normal cells with stride 1 in each stack."""
        return (self.cells_per_stack, *[self.cells_per_stack - STACKINGS[self.stacking]] * NUM_REDUCTIONS)


def _report_width(genotype: Genotype, config: NetworkConfig, filters: int) -> None:
    """Prints once per process which sizes are built if no number of filters gives exactly the configured P."""
    configured = config.penultimate_filters
    per_filter = _penultimate_per_filter(genotype)
    if configured is not None and filters * per_filter != configured and (configured, per_filter) not in _reported_widths:
        _reported_widths.add((configured, per_filter))
        built = f"building F = {filters} filters in the first stack, which gives P = {filters * per_filter}"
        print(f"NetworkConfig: P = {configured} is not a multiple of {per_filter}: {built}", file=sys.stderr, flush=True)


def first_stack_filters(genotype: Genotype, config: NetworkConfig) -> int:
    """Returns F, the filters of the first stack: the configured number, or the one whose P is nearest to penultimate_filters.

    P / F is 24 for NASNet-A: the classifier reads six states, and filters are doubled twice. P = 1538 of the paper's "5 @ 1538" is not a
    multiple of 24 and gives F = 64, P = 1536.
    """
    if config.filters is not None:
        return config.filters
    assert config.penultimate_filters is not None
    return max(1, round(config.penultimate_filters / _penultimate_per_filter(genotype)))


def _penultimate_per_filter(genotype: Genotype) -> int:
    """Returns P / F: the number of states that the classifier reads (a CONCAT block counts twice), times 4 for two doublings of filters."""
    states = 0 if len(genotype.normal_cell.outputs) == 1 else genotype.num_input_states
    for output in genotype.normal_cell.outputs:
        for state in output.states:
            block = state - genotype.num_input_states
            states += 1 if block < 0 else COMBINES[genotype.normal_cell.blocks[block].combine].width
    return states * 2**NUM_REDUCTIONS


def build_network(
    genotype: Genotype | str | os.PathLike,
    config: NetworkConfig,
    num_classes: int | None,
    image_size: int | tuple[int | None, int | None],
) -> keras.Model:
    """Builds the network that stacks the cells of a genotype.

    Args:
      genotype: a Genotype message, the name of a published genotype, or the path of a textproto.
      config: sizes and options.
      num_classes: number of classes; None for a network without classifier, which returns pooled features.
      image_size: height and width in pixels, or one number for both; (None, None) for any size.

    Returns:
      A model whose input is images float [batch, height, width, 3], normalized by the preprocessing of the data. Its output is logits
      float32 [batch, num_classes]; with auxiliary_head, {"logits": ..., "auxiliary_logits": ...}; without classes, features float32
      [batch, penultimate_filters].

    Raises:
      InputError: the genotype is invalid, the image is too small for the stem, or there are too few filters.
    """
    if not isinstance(genotype, Genotype):
        genotype = load_genotype(genotype)
    validate(genotype)
    expect(isinstance(config, NetworkConfig), "config", "a NetworkConfig", config)
    num_classes, (height, width) = check_classes(num_classes), check_image_size(image_size)
    rule = STEMS[config.stem]
    if any(size is not None and size < rule.smallest_image for size in (height, width)):
        raise InputError(f"image_size: expected {rule.smallest_image} or more for the {config.stem} stem, got {image_size}")
    filters = first_stack_filters(genotype, config)
    _report_width(genotype, config, filters)
    narrowest = filters // 2**rule.cells
    if narrowest < 2:  # a factorized reduction splits its filters in two
        raise InputError(
            f"NetworkConfig: {filters} filters leave {narrowest} for the narrowest cell with the {config.stem} stem; expected 2 or more"
        )

    images = keras.Input((height, width, 3), name="images")
    stem_width = filters if rule.width is None else rule.width
    stem = heads.Stem(config.stem, max(1, int(stem_width * config.stem_multiplier)), config.style, name="stem")(images)
    trunk = _Trunk(genotype, config, stem)
    for index in range(rule.cells):
        trunk.add(f"cell_stem_{index}", filters * 2**index / 2**rule.cells, is_reduction=True)
    auxiliary_input = None
    number = 0
    for stack, length in enumerate(config.stacks):
        if stack > 0:
            if stack == NUM_REDUCTIONS:
                auxiliary_input = trunk.newest
            trunk.add(f"reduction_cell_{stack - 1}", filters * 2**stack, is_reduction=True)
        for index in range(length):
            after_reduction = stack > 0 and index == 0
            skip = config.prev_skips_reduction and after_reduction
            trunk.add(f"cell_{number}", filters * 2**stack, is_reduction=False, skip_newest_before=skip)
            number += 1

    features = heads.GlobalPool(config.style, name="global_pool")(trunk.classified)
    if config.dropout_rate and num_classes is not None:
        features = Dropout(config.dropout_rate, name="dropout")(features)
    if num_classes is None:
        return keras.Model(images, features, name="nasnet")
    logits = heads.classifier(num_classes, "logits")(features)
    if not config.auxiliary_head:
        return keras.Model(images, logits, name="nasnet")
    auxiliary_logits = heads.AuxiliaryHead(num_classes, config.style, name="auxiliary_logits")(auxiliary_input)
    return keras.Model(images, {"logits": logits, "auxiliary_logits": auxiliary_logits}, name="nasnet")


def inference_model(model: keras.Model) -> keras.Model:
    """Returns the network without its auxiliary head, sharing all weights. Returns other models, such as detectors, unchanged."""
    has_heads = isinstance(model.output, dict) and "logits" in model.output
    return keras.Model(model.input, model.output["logits"], name=model.name) if has_heads else model


class _Trunk:
    """The hidden states of a network while it is built, newest first, each with the number of times it was halved since the stem."""

    def __init__(self, genotype: Genotype, config: NetworkConfig, stem):
        self._genotype, self._config = genotype, config
        self._states = [(stem, 0)]
        self._num_outputs = 1
        self._num_built = 0

    @property
    def classified(self):
        """The input of the classifier: the output of the newest cell.

        If cells have several outputs, it is all outputs of the newest cell, and those of its input states that have the same size.

        Deviation: no source says what NASNet-B's classifier reads. With the four outputs alone, its "4 @ 1152" and "4 @ 1536" would mean
        twice the filters, and 12M parameters or more on ImageNet instead of the published 5.3M.
        """
        if self._num_outputs == 1:
            return self.newest
        newest = self._states[: self._num_outputs + self._genotype.num_input_states]
        return [tensor for tensor, halvings in newest if halvings == newest[0][1]]

    @property
    def newest(self):
        """The newest hidden state, h_i of the next cell."""
        return self._states[0][0]

    def add(self, name: str, filters: float, is_reduction: bool, skip_newest_before: bool = False) -> None:
        """Appends a cell.

        Args:
          name: name of the layer.
          filters: channels of each operation's result, rounded down.
          is_reduction: True for a reduction cell.
          skip_newest_before: True to leave out the state that was the newest one before the last cell, for prev_skips_reduction.
        """
        genotype, config = self._genotype, self._config
        states = list(self._states)
        if skip_newest_before:
            del states[self._num_outputs]
        states = states[: genotype.num_input_states]
        halvings = states[0][1]
        self._num_built += 1
        cell = Cell(
            genotype.reduction_cell if is_reduction and config.stacking == "released" else genotype.normal_cell,
            genotype.num_input_states,
            max(1, int(filters)),
            is_reduction,
            [halvings - state_halvings for _, state_halvings in states],
            config.style,
            config.drop_path_rate * self._num_built / config.num_cells,
            name=name,
        )
        outputs = cell([tensor for tensor, _ in states])
        outputs = outputs if isinstance(outputs, list) else [outputs]
        self._num_outputs = len(outputs)
        # Enough for the next cell, which may skip one state, and for the classifier after a cell with several outputs, which reads these
        # outputs and the input states of that cell.
        max_states = genotype.num_input_states + len(outputs)
        self._states = ([(tensor, halvings + is_reduction) for tensor in outputs] + self._states)[:max_states]
