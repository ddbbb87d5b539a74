"""Checks networks: their counts against the published ones and by hand, random genotypes, and mistakes that must be refused."""

import dataclasses
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import Combine, Operation, SearchSpace, load_genotype, published_genotypes
from nasnet_tf.models.cell import Cell
from nasnet_tf.models.costs import count_costs
from nasnet_tf.models.network import NetworkConfig, build_network, first_stack_filters, inference_model
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.testing import ALL_COMBINES, SPACES, tiny_genotype

SMALL = {"stem": "cifar", "stem_multiplier": 3.0, "filters": 4, "batch_norm_momentum": 0.9}


# Builds one network of each genotype, with both stems. The counts by hand below cover all networks.
@pytest.mark.parametrize("name", ["mobile", "nasnet_c_3@960", "nasnet_b_4@1152"])
def test_recorded_counts_equal_those_of_the_built_network(name):
    variant = ZOO[name]
    costs = count_costs(build_network(variant.genotype, variant.config, variant.num_classes, variant.image_size))
    assert (costs.trainable_parameters, costs.mult_adds) == (variant.trainable_parameters, variant.mult_adds)


@pytest.mark.parametrize("name", ZOO)
def test_recorded_counts_equal_a_count_by_hand(name):
    variant = ZOO[name]
    assert count_by_hand(variant) == (variant.trainable_parameters, variant.mult_adds)


@pytest.mark.parametrize(
    ("name", "parameters", "mult_adds"),
    [("mobile", 0.005, 0.005), ("large", 0.005, 0.005), ("cifar", 0.02, None)]
    + [("nasnet_b_4@1536", 0.05, 0.1), ("nasnet_c_3@960", 0.06, 0.01), ("nasnet_a_5@1538", 0.005, 0.005), ("nasnet_a_7@1920", 0.005, 0.005)]
    + [("nasnet_b_4@1152", 0.21, None), ("nasnet_c_4@640", 0.19, None), ("nasnet_a_7@2304", 0.19, None)],
)
def test_counts_are_near_the_published_ones(name, parameters, mult_adds):
    variant = ZOO[name]
    assert abs(variant.trainable_parameters / variant.paper.parameters - 1) < parameters
    if mult_adds is not None:
        assert abs(variant.mult_adds / variant.paper.mult_adds - 1) < mult_adds


class count_by_hand:  # noqa: N801  tests use it like a function
    """Equals the (parameters, multiply-adds) of a network, computed by arithmetic on its genotype without building it."""

    def __init__(self, variant):
        self.genotype, self.variant, self.parameters, self.mult_adds = load_genotype(variant.genotype), variant, 0, 0
        config = variant.config
        filters = first_stack_filters(self.genotype, config)
        if config.stem == "cifar":
            channels, size = int(filters * config.stem_multiplier), variant.image_size
        else:
            channels, size = int(32 * config.stem_multiplier), (variant.image_size - 1) // 2
        self.conv(9 * 3, channels, size)
        states = [(channels, size)]
        cells = [(filters // 4, True), (filters // 2, True)] if config.stem == "imagenet" else []
        for stack in range(3):
            shorter = config.stacking == "strided_normal" and stack > 0
            cells += [(filters * 2**stack, True)] * (stack > 0) + [(filters * 2**stack, False)] * (config.cells_per_stack - shorter)
        for width, is_reduction in cells:
            read = states[: self.genotype.num_input_states]
            states = self.cell(read, width, is_reduction) + states
        newest = len(self.genotype.normal_cell.outputs)
        features = sum(channels for channels, _ in states[: 2 * newest if newest > 1 else 1])
        self.parameters += (features + 1) * variant.num_classes
        self.mult_adds += features * variant.num_classes

    def __eq__(self, other):
        return (self.parameters, self.mult_adds) == other

    def __repr__(self):
        return f"({self.parameters}, {self.mult_adds})"

    def conv(self, inputs, outputs, size):
        """Counts a convolution and its batch normalization; each output has `inputs` weights."""
        self.parameters += inputs * outputs + 2 * outputs
        self.mult_adds += inputs * outputs * size * size

    def depthwise(self, kernel, channels, size):
        self.parameters += kernel**2 * channels
        self.mult_adds += kernel**2 * channels * size * size

    def cell(self, read, filters, is_reduction):
        num_inputs, cell = self.genotype.num_input_states, self.genotype.normal_cell
        if is_reduction and self.variant.config.stacking == "released":
            cell = self.genotype.reduction_cell
        size = read[0][1]
        after = -(-size // 2) if is_reduction else size
        used = {side.input for block in cell.blocks for side in (block.left, block.right)}
        used |= {state for output in cell.outputs for state in output.states}
        channels = []
        for index, (state_channels, state_size) in enumerate(read):
            if index in used and (index < len(cell.outputs) or (state_channels, state_size) != (filters, size)):
                while state_size > size:  # a factorized reduction counts like one 1x1 convolution
                    state_size = -(-state_size // 2)
                    self.conv(state_channels, filters, state_size)
                    state_channels = filters
                if read[index][1] == size:
                    self.conv(state_channels, filters, size)
                state_channels = filters
            channels.append(state_channels)
        channels += [read[0][0]] * (num_inputs - len(read))
        for block in cell.blocks:
            for side in (block.left, block.right):
                strided = is_reduction and side.input < num_inputs
                self.operation(side.operation, channels[side.input], filters, size if strided else after, after)
            channels.append(filters * (2 if block.combine == Combine.CONCAT else 1))
            self.parameters += 2 * filters * (block.combine in (Combine.LAYER_NORM_ADD, Combine.INSTANCE_NORM_ADD))
        for state in {state for output in cell.outputs for state in output.states if state < num_inputs}:
            if is_reduction or channels[state] != filters:
                self.conv(channels[state], filters, after)
            channels[state] = filters
        return [(sum(channels[state] for state in output.states), after) for output in cell.outputs]

    def operation(self, operation, channels, filters, before, after):
        name = Operation.Name(operation)
        if name.startswith("SEP_CONV"):
            for inputs in (channels, filters):
                self.depthwise(int(name[-1]), inputs, after)
                self.conv(inputs, filters, after)
        elif name in ("CONV_1X3_3X1", "CONV_1X7_7X1"):
            length, middle = (3, int(filters * 3 / 8)) if "3X1" in name else (7, filters // 4)
            self.conv(channels, middle, before)
            self.parameters += length * middle**2 + 2 * middle
            self.mult_adds += length * middle**2 * before * after  # full height, half width
            self.conv(length * middle, middle, after)
            self.conv(middle, filters, after)
        elif (name == "IDENTITY" and before != after) or channels != filters:  # the projection behind pools and identities
            self.conv(channels, filters, after)


def test_the_auxiliary_head_adds_parameters_but_no_mult_adds():
    config = NetworkConfig(4, "imagenet", stem_multiplier=1.0, penultimate_filters=1056, auxiliary_head=True)
    costs = count_costs(build_network("nasnet_a", config, 1001, 224))
    assert (costs.trainable_parameters, costs.parameters, costs.mult_adds) == (7_703_044, 7_741_574, 563_639_872)


def test_reductions_halve_the_side_and_double_the_filters():
    variant = ZOO["mobile"]
    model = build_network(variant.genotype, variant.config, 1000, 224)
    shapes = {
        "stem": (111, 111, 32),
        "cell_stem_0": (56, 56, 44),
        "cell_stem_1": (28, 28, 88),
        "cell_3": (28, 28, 264),
        "reduction_cell_0": (14, 14, 352),
        "cell_7": (14, 14, 528),
        "reduction_cell_1": (7, 7, 704),
        "cell_11": (7, 7, 1056),
    }
    assert {name: model.get_layer(name).output.shape[1:] for name in shapes} == shapes


def test_declared_shapes_equal_the_computed_ones():
    model = build_network("nasnet_a", NetworkConfig(1, **SMALL | {"stem": "imagenet", "filters": 8}), 5, (37, 50))
    names = ["stem", "cell_stem_0", "cell_stem_1", "cell_0", "reduction_cell_0", "cell_1", "reduction_cell_1", "cell_2", "global_pool"]
    declared = [model.get_layer(name).output for name in names]
    for tensor, value in zip(declared, keras.Model(model.input, declared)(tf.zeros([2, 37, 50, 3])), strict=True):
        assert tensor.shape[1:] == value.shape[1:]


def test_networks_for_any_image_size_compute_what_a_fixed_size_does():
    config = NetworkConfig(1, **SMALL, prev_skips_reduction=True)
    free, fixed = build_network("nasnet_a", config, 5, (None, None)), build_network("nasnet_a", config, 5, (11, 14))
    images = tf.random.stateless_normal([2, 11, 14, 3], [1, 2])
    fixed.set_weights(free.get_weights())
    np.testing.assert_allclose(free(images), fixed(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("space", [SPACES["a"], SPACES["b"], SearchSpace(4, 3, combines=ALL_COMBINES)], ids=["A", "B", "three inputs"])
@pytest.mark.parametrize("seed", [1, 2])
def test_random_genotypes_train_a_step(space, seed):
    genotype = space.decode(space.sample(random.Random(seed)))
    config = NetworkConfig(1, **SMALL, auxiliary_head=True, drop_path_rate=0.3, dropout_rate=0.2, prev_skips_reduction=bool(seed % 2))
    model = build_network(genotype, config, 3, 8)
    images, labels = tf.random.stateless_normal([4, 8, 8, 3], [1, 2]), tf.constant([0, 1, 2, 0])
    before = [weight.numpy() for weight in model.trainable_variables]
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        losses = [tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits) for logits in outputs.values()]
        loss = tf.reduce_mean(tf.add_n(losses))
    gradients = tape.gradient(loss, model.trainable_variables)
    moved = 0
    for weight, gradient in zip(model.trainable_variables, gradients, strict=True):
        if gradient is not None:
            assert bool(tf.reduce_all(tf.math.is_finite(gradient))), weight.path
            weight.assign_sub(0.1 * gradient)
            moved += bool(tf.reduce_any(gradient != 0))
    assert moved > len(before) / 4
    assert bool(tf.reduce_all(tf.math.is_finite(model(images, training=False)["logits"])))


@pytest.mark.parametrize("name", published_genotypes())
def test_a_network_survives_its_description(name):
    model = build_network(name, NetworkConfig(1, **SMALL, auxiliary_head=True, drop_path_rate=0.1, dropout_rate=0.1), 3, 12)
    copy = keras.models.model_from_json(model.to_json())
    assert copy.to_json() == model.to_json()
    weights = {weight.path: weight for weight in model.weights}
    assert {weight.path for weight in copy.weights} == set(weights)
    for weight in copy.weights:
        weight.assign(weights[weight.path])
    images = tf.random.stateless_normal([2, 12, 12, 3], [1, 2])
    for output, expected in zip(copy(images).values(), model(images).values(), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


def test_filters_follow_from_the_penultimate_ones():
    def filters(name, penultimate):
        return first_stack_filters(load_genotype(name), NetworkConfig(1, "cifar", 3.0, penultimate_filters=penultimate))

    assert [filters("nasnet_a", size) for size in (1056, 4032, 768, 1538)] == [44, 168, 32, 64]
    assert [filters("nasnet_b", size) for size in (1152, 1536)] == [36, 48]
    assert [filters("nasnet_c", size) for size in (640, 960)] == [32, 48]


def test_inference_model_has_no_auxiliary_head_and_equal_logits():
    model = build_network(tiny_genotype(), NetworkConfig(1, **SMALL, auxiliary_head=True), 3, 20)
    images = tf.random.stateless_normal([2, 20, 20, 3], [1, 2])
    plain = inference_model(model)
    np.testing.assert_array_equal(plain(images), model(images)["logits"])
    assert not any("auxiliary" in weight.path for weight in plain.weights)


def test_costs_do_not_depend_on_the_outputs():
    model = build_network(tiny_genotype(), NetworkConfig(1, **SMALL), None, 20)
    names = ("cell_0", "global_pool")
    several = keras.Model(model.input, {name: model.get_layer(name).output for name in names})
    assert count_costs(several) == count_costs(model)


@pytest.mark.parametrize(
    ("fields", "classes", "size", "message"),
    [
        ({"stem": "imagenet", "filters": 4}, 3, 32, "4 filters leave 1 for the narrowest cell"),
        ({"stem": "imagenet", "filters": 8}, 3, 2, "image_size: expected 19 or more for the imagenet stem, got 2"),
        ({}, 3, 2, "image_size: expected 3 or more for the cifar stem, got 2"),
        ({}, 3, 1, "image_size: expected 3 or more for the cifar stem, got 1"),
        ({}, 0, 32, "num_classes: expected an integer of 1 or more"),
        ({"auxiliary_head": True}, 3, (None, None), "auxiliary head: expected a fixed image size, got None x None"),
    ],
)
def test_wrong_networks_are_refused(fields, classes, size, message):
    with pytest.raises(InputError, match=message):
        build_network(tiny_genotype(), NetworkConfig(1, **SMALL | fields), classes, size)


def test_a_width_that_is_no_multiple_is_reported_once(capsys):
    config = NetworkConfig(1, "cifar", stem_multiplier=1.0, penultimate_filters=103)
    for _ in range(2):
        build_network("nasnet_a", config, None, 8)
    expected = "building F = 4 filters in the first stack, which gives P = 96"
    assert capsys.readouterr().err == f"NetworkConfig: P = 103 is not a multiple of 24: {expected}\n"
    build_network("nasnet_a", dataclasses.replace(config, penultimate_filters=96), None, 8)
    assert capsys.readouterr().err == ""


def test_strided_normal_cells_replace_reduction_cells():
    config = NetworkConfig(2, "cifar", stem_multiplier=1.0, filters=4, stacking="strided_normal")
    model = build_network("nasnet_a", config, 10, 16)
    cells = [layer for layer in model.layers if isinstance(layer, Cell)]
    assert [layer.name for layer in cells] == ["cell_0", "cell_1", "reduction_cell_0", "cell_2", "reduction_cell_1", "cell_3"]
    assert len({layer.cell.SerializeToString() for layer in cells}) == 1
    assert config.num_cells == len(cells)
    assert cells[-1].drop_path_rate == 0
