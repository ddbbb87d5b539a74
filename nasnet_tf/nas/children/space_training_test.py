"""Tests of trainings on the single network of a space, compared with separate networks; of shared weights and zero-cost scores."""

import dataclasses
import functools
import random

import numpy as np
import pytest
import tensorflow as tf

from nasnet_tf.base.errors import InputError
from nasnet_tf.data import ImageData
from nasnet_tf.data.sources_test import make_folder
from nasnet_tf.data.testing import PngPreprocessing
from nasnet_tf.genotype import SearchSpace, format_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.models.space.plan import placed_layers, weights_of
from nasnet_tf.nas.children import space_training
from nasnet_tf.nas.children.shared_weights import FOLDER, NAME, SharedWeights, WeightStore
from nasnet_tf.nas.children.space_training import SpaceChildren, SpaceTraining
from nasnet_tf.nas.children.zero_cost import ZeroCost
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.local import InProcess
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.loop import train_and_evaluate
from nasnet_tf.training.optimizers import Momentum
from nasnet_tf.training.schedules import cosine_decay

SPACE = SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3", "CONV_1X3_3X1"))
NETWORK = NetworkConfig(1, "cifar", 3.0, filters=4, batch_norm_momentum=0.9, batch_norm_epsilon=1e-3)
DATA = ImageData("digits", PngPreprocessing(8, upsample=1.0, flip=False), train_split="train[:96]", validation_examples=32)
CONFIG = TrainingConfig(1, 16, weight_decay=5e-4, gradient_clip_norm=1.0, evaluate_every_epochs=0.5)
RATE = cosine_decay(0.05)


@pytest.fixture(scope="module")
def training():
    return SpaceTraining(SPACE, NETWORK, DATA, CONFIG, RATE, 0.9)


@pytest.fixture(scope="module")
def children(training):
    made = SpaceChildren(SPACE, NETWORK, DATA, CONFIG, RATE)
    made.__dict__["_steps"] = training  # one trace for all tests
    return made


def shared(training, **numbers) -> SharedWeights:
    made = SharedWeights(SPACE, NETWORK, DATA, CONFIG, RATE, **numbers)
    made.__dict__["_steps"] = training
    return made


def sampled(seed):
    return SPACE.decode(SPACE.sample(random.Random(seed)), name=f"trial_{seed}")


def test_a_child_ends_when_validation_stops_improving(training, children, monkeypatch):
    monkeypatch.setattr(training, "training", dataclasses.replace(CONFIG, patience=1, evaluate_every_epochs=0.25))
    monkeypatch.setattr(training, "_kept", {})  # the stacks of the other tests end at other steps
    monkeypatch.setattr(training, "accuracy", lambda *arguments, **named: 0.5)
    outcome = children(format_genotype(sampled(1)))
    assert (outcome["metrics"]["curve"], outcome["metrics"]["epochs"]) == ([0.5, 0.5], 0.5)
    with pytest.raises(InputError, match="SharedWeights: expected TrainingConfig.patience to be None, got 1"):
        SharedWeights(SPACE, NETWORK, DATA, dataclasses.replace(CONFIG, patience=1), RATE)


def test_the_loss_of_a_step_is_weighted_by_class(training, monkeypatch):
    plan = training.network.plan(sampled(1))
    weights, (images, labels) = tf.constant(plan.fresh_weights(CONFIG.seed)), next(training.read_training(0, 1))
    state = tf.zeros_like(weights), plan.is_decayed, weights, plan.fresh_statistics()
    plain = training._step(images, labels, 0.1, *state, *plan.arrays)[3]
    monkeypatch.setattr(training, "_class_weights", [2.0] * 10)
    assert float(training._step(images, labels, 0.1, *state, *plan.arrays)[3]) == pytest.approx(2 * float(plain), rel=1e-5)


def test_a_child_equals_the_training_loop_with_the_same_initial_weights(training, children):
    genotype = sampled(1)
    plan = training.network.plan(genotype)
    fresh = plan.fresh_weights(CONFIG.seed)

    def build(num_classes, image_size):
        model, start = build_network(genotype, NETWORK, num_classes, image_size), 0
        for variable in (variable for layer in placed_layers(model) for variable in layer.trainable_variables):
            size = int(np.prod(variable.shape))
            variable.assign(fresh[start : start + size].reshape(variable.shape))
            start += size
        return model

    model, evaluation = train_and_evaluate(build, DATA, Momentum, RATE, CONFIG, show_progress=False)
    outcome = children(format_genotype(genotype))
    assert outcome["reward"] == pytest.approx(evaluation.accuracy, abs=1e-6)
    assert len(outcome["metrics"]["curve"]) == 2
    assert outcome["metrics"]["parameters"] == sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    weights, statistics = fresh, plan.fresh_statistics()
    velocity = np.zeros_like(weights)
    for step, (images, labels) in enumerate(training.read_training(0, training.total_steps)):
        weights, statistics, velocity, _ = training.step(
            images, labels, training.rate(step), velocity, plan.is_decayed, weights, statistics, *plan.arrays
        )
    for found, expected in zip((weights, statistics), weights_of(model), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4)  # sums have another order, over four steps


def test_evaluators_with_other_seeds_share_one_trace(training, children):
    children.trace()
    traces = training.steps.experimental_get_tracing_count()
    text = format_genotype(sampled(1))
    other = children.with_seed(5)
    rewards = [evaluator(text)["metrics"]["loss"] for evaluator in (children, other, children, children.with_seed(5))]
    assert training.steps.experimental_get_tracing_count() == traces == 1
    assert (rewards[0], rewards[1]) == (rewards[2], rewards[3])
    assert rewards[0] != rewards[1]
    assert other.training.seed == other._steps.training.seed == 5
    same = SpaceTraining(SPACE, NETWORK, DATA, other.training, RATE, 0.9)  # the seed decides the order of the images
    for ours, theirs in zip(other._steps.training_stacks, same.training_stacks, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_a_child_makes_one_call_for_the_steps_and_one_for_each_evaluation(training, children, monkeypatch):
    calls = []

    def counted(name, function):
        return lambda *arguments: calls.append(name) or function(*arguments)

    monkeypatch.setattr(training, "steps", counted("steps", training.steps))
    monkeypatch.setattr(training, "_counts", {False: counted("evaluation", training._counts[False])})
    children(format_genotype(sampled(1)))
    assert calls == ["steps", "evaluation"] * 2  # it is evaluated twice


def test_steps_in_one_call_equal_single_steps_and_end_at_a_loss_that_is_not_finite(training):
    plan = training.network.plan(sampled(2))
    fresh = plan.fresh_weights(1)
    batches = list(training.read_training(0, 3))
    state = [fresh, plan.fresh_statistics(), np.zeros_like(fresh)]
    for images, labels in batches:
        *state, loss = training.step(images, labels, 0.1, state[2], plan.is_decayed, *state[:2], *plan.arrays)
    images, labels = (np.stack(column) for column in zip(*batches, strict=True))
    given = np.zeros_like(fresh), plan.is_decayed, fresh, plan.fresh_statistics(), *plan.arrays
    *found, losses = training.steps(images, labels, np.float32([0.1] * 3), *given)
    for ours, theirs in zip([*found, losses[-1]], [*state, loss], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    images[1] = np.nan
    *_, losses = training.steps(images, labels, np.float32([0.1] * 3), *given)
    assert np.isfinite(losses).tolist() == [True, False]


def test_batches_are_kept_only_if_they_are_small(training, monkeypatch):
    kept = training.training_stacks
    assert training.training_stacks is kept
    assert training.validation_stacks is training.validation_stacks
    assert [len(images) for images, _ in kept] == [2, 2]
    monkeypatch.setattr(space_training, "MAX_KEPT_BYTES", 12_000)  # less than four batches of 16 images of 768 bytes
    monkeypatch.setattr(space_training, "_MAX_STACK_BYTES", 12_288)
    monkeypatch.setattr(training, "_kept", {})
    found = list(training.training_stacks)
    assert [len(images) for images, _ in found] == [1, 1, 1, 1]
    for ours, theirs in zip(zip(*found, strict=True), zip(*kept, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(ours), np.concatenate(theirs))
    assert training.training_stacks is not training.training_stacks


def test_corrupt_images_are_counted_and_named(training, tmp_path, monkeypatch, capsys):
    names = [
        f"{split}/{label}/{index}.png" for split, count in (("train", 8), ("validation", 2)) for label in "ab" for index in range(count)
    ]
    data = ImageData(make_folder(tmp_path, dict.fromkeys(names, 0)), PngPreprocessing(8, upsample=1.0, flip=False), cache=False)
    monkeypatch.setattr(training, "data", data)
    monkeypatch.setattr(training, "_kept", {})
    (tmp_path / "train" / "b" / "2.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"train/b/2.png .*; expected at most 0 such images \(TrainingConfig.max_corrupt_images\), got 1"):
        list(training.training_stacks)
    monkeypatch.setattr(training, "training", dataclasses.replace(CONFIG, max_corrupt_images=1))
    assert sum(np.sum(labels < 0) for _, labels in training.read_training(0, 1)) == 1
    assert "warning: left out of training: " in capsys.readouterr().err
    (tmp_path / "validation" / "a" / "0.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"validation: .*validation/a/0.png cannot be decoded"):
        list(training.validation_stacks)


def test_architectures_share_the_weights_of_their_common_parts(training):
    store = WeightStore(training.network.widest, seed=1)
    plans = [training.network.plan(sampled(seed)) for seed in range(30)]
    before = [store.gather(plan) for plan in plans]
    for plan, (weights, velocity) in zip(plans, before, strict=True):
        assert weights.shape == velocity.shape == (plan.sizes[:, 0].sum(),)
    again = WeightStore(training.network.widest, seed=1)
    np.testing.assert_array_equal(again.gather(plans[-1])[0], before[-1][0])  # independent of what was created before
    changed = before[0][0] + 1
    store.scatter(plans[0], changed, before[0][1] + 2)
    np.testing.assert_array_equal(store.gather(plans[0])[0], changed)
    np.testing.assert_array_equal(store.gather(plans[0])[1], before[0][1] + 2)
    for plan, (weights, _) in zip(plans[1:], before[1:], strict=True):
        difference = store.gather(plan)[0] - weights
        assert set(np.unique(np.round(difference, 3))) <= {0.0, 1.0}
        assert 0 < difference.mean() < 1  # at least the stem and the classifier's bias are shared, but not all weights
    other = WeightStore(training.network.widest, seed=1)
    other.restore(store.arrays())
    np.testing.assert_array_equal(other.gather(plans[3])[0], store.gather(plans[3])[0])


def test_each_state_of_a_cell_has_its_own_rows_of_the_classifier(training):
    """The rows belong to the states that make the last output, not to the positions of the states in it."""
    store = WeightStore(training.network.widest, seed=1)
    alone, both = (0, 1, 0, 0, 0) + (2, 0, 0, 0, 0), (0, 1, 0, 0, 0) + (0, 0, 0, 0, 0)  # outputs: state 3; states 2 and 3
    plans = [training.network.plan(SPACE.decode(normal + alone)) for normal in (alone, both)]
    kernels = [store.gather(plan)[0][-plan.rows[-1].size * 10 - 10 : -10].reshape(-1, 10) for plan in plans]
    assert [len(kernel) for kernel in kernels] == [16, 32]
    np.testing.assert_array_equal(kernels[0], kernels[1][16:])


def test_shared_weights_are_trained_once_and_score_any_architecture(tmp_path, training):
    weights = shared(training)
    seconds = weights.train(tmp_path)
    assert seconds > 0
    trained = (tmp_path / FOLDER / NAME).read_bytes()
    cut = shared(training)
    cut.train(tmp_path / "cut", max_steps=2)
    again = shared(training)
    again.train(tmp_path / "cut")
    assert weights._store.arrays().keys() == again._store.arrays().keys()
    for name, array in weights._store.arrays().items():
        np.testing.assert_array_equal(array, again._store.arrays()[name])
    third = shared(training)
    assert third.prepare(tmp_path) == ("shared weights", seconds)
    assert (tmp_path / FOLDER / NAME).read_bytes() == trained  # nothing was left to do
    trials = search(tmp_path / "search", SearchConfig(SPACE, functools.partial(RandomSearch, seed=1), InProcess, 3), third)
    assert [trial.reward for trial in trials] == [weights(trial.text)["reward"] for trial in trials]
    assert trials[0].metrics["shared_steps"] == 4
    assert 0 <= trials[0].reward <= 1


def test_damaged_shared_weights_are_reported(tmp_path, training):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / NAME).write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"weights.npz: damaged"):
        shared(training).train(tmp_path)


def test_zero_cost_scores_differ_between_architectures():
    texts = [format_genotype(sampled(seed)) for seed in (1, 2)]
    score = ZeroCost(NETWORK, DATA, "synflow", batch_size=8)
    first, second = score(texts[0]), score(texts[1])
    assert first["reward"] == first["metrics"]["synflow"]
    assert first["metrics"]["synflow"] != second["metrics"]["synflow"]
    assert first["metrics"]["naswot"] != second["metrics"]["naswot"]
    with pytest.raises(InputError, match="ZeroCost.proxy: expected one of 'naswot', 'synflow', 'parameters', got 'snip'"):
        ZeroCost(NETWORK, DATA, "snip")


def test_unsupported_options_are_refused():
    with pytest.raises(InputError, match=r"expected TrainingConfig.ema_decay to be None, got 0.9"):
        SpaceTraining(SPACE, NETWORK, DATA, TrainingConfig(1, 16, ema_decay=0.9), RATE, 0.9)
    count = DATA.num_train_examples
    with pytest.raises(InputError, match=f"TrainingConfig.batch_size: expected at most the {count:,} training examples, got {count + 1:,}"):
        SpaceTraining(SPACE, NETWORK, DATA, TrainingConfig(1, count + 1), RATE, 0.9)
