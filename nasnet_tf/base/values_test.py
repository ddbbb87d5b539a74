"""Checks the validation of types and ranges, in bindings of gin before anything is called and in calls from Python."""

import gin
import pytest

from nasnet_tf import data
from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.nas.engines import ray_cluster
from nasnet_tf.nas.engines.local import LocalPool
from nasnet_tf.nas.strategies.ppo_search import PPOSearch
from nasnet_tf.recipes.reading import parse_gin
from nasnet_tf.training import distribution, optimizers, schedules
from nasnet_tf.training.loop import TrainingConfig


@pytest.fixture(autouse=True)
def _clean_gin():
    gin.clear_config()
    yield
    gin.clear_config()


@pytest.mark.parametrize(
    ("param", "words"),
    [
        ("NetworkConfig.filters = 2.5", "NetworkConfig.filters: expected an integer from 1 to 100,000 or None, got 2.5"),
        ("NetworkConfig.filters = True", "NetworkConfig.filters: expected an integer from 1 to 100,000 or None, got True"),
        ("NetworkConfig.auxiliary_head = 1", "NetworkConfig.auxiliary_head: expected True or False, got 1"),
        ("TrainingConfig.epochs = '3'", "TrainingConfig.epochs: expected a positive number, got '3'"),
        ("TrainingConfig.epochs = None", "TrainingConfig.epochs: expected a positive number, got None"),
        ("TrainingConfig.batch_size = [32]", r"TrainingConfig.batch_size: expected an integer of 1 or more, got \[32\]"),
        ("ImageData.source = @NetworkConfig", "ImageData.source: expected a string, got @NetworkConfig"),
        ("ImageData.preprocessing = @CifarPreprocessing", r"expected .*@CifarPreprocessing\(\).*, got @CifarPreprocessing$"),
        ("train.network = @NetworkConfig", r"train.network: expected @NetworkConfig\(\) or None, got @NetworkConfig$"),
        ("train.network = 3", r"train.network: expected @NetworkConfig\(\) or None, got 3"),
        ("train.optimizer = @Momentum()", r"train.optimizer: expected one of @Momentum, @RMSProp, .*, got @Momentum\(\)"),
        ("train.learning_rate = @cosine_decay", r"one of @cosine_decay\(\), @exponential_decay\(\), @step_decay\(\), got @cosine_decay$"),
        ("train.learning_rate = 0.1", r"expected one of @cosine_decay\(\), @exponential_decay\(\), @step_decay\(\), got 0.1$"),
        ("retrain/cosine_decay.initial_rate = 'a'", "retrain/cosine_decay.initial_rate: expected a positive number, got 'a'"),
        ("Momentum.momentum = 'a'", "Momentum.momentum: expected a number in \\[0, 1\\), got 'a'"),
        ("SGD.nesterov = 'yes'", "SGD.nesterov: expected True or False, got 'yes'"),
        ("Momentum.momentun = 0.5", "did you mean momentum"),
        ("PPOSearch.learning_rate = 'a'", "PPOSearch.learning_rate: expected a positive number, got 'a'"),
        ("search.num_trials = 2.5", "search.num_trials: expected an integer of 1 or more, got 2.5"),
        ("search.strategy = @PPOSearch()", r"search.strategy: expected one of @PPOSearch, @RandomSearch, .*, got @PPOSearch\(\)"),
        ("search.engine = @PPOSearch", "search.engine: expected .*@LocalPool.*, got @PPOSearch$"),
        ("LocalPool.num_workers = '2'", "LocalPool.num_workers: expected an integer of 1 or more, got '2'"),
        ("RayTasks.num_workers = 1.5", "RayTasks.num_workers: expected an integer of 1 or more, or None, got 1.5"),
        ("EarlyStopping.quantile = 'a'", "EarlyStopping.quantile: expected a number in \\(0, 1\\), got 'a'"),
        ("make_strategy.name = 3", "make_strategy.name: expected a string, got 3"),
        ("HyperbandOracle.factor = 'a'", "HyperbandOracle.factor: expected an integer of 2 or more, got 'a'"),
        ("tune.oracle = @HyperbandOracle()", r"tune.oracle: expected one of .*@HyperbandOracle.*, got @HyperbandOracle\(\)"),
        ("tune.hyperparameters = 3", "tune.hyperparameters: expected a dictionary, got 3"),
        (
            "ImageNetPreprocessing.area_range = (1, 'a')",
            "ImageNetPreprocessing.area_range: expected two numbers, 0 < minimum <= maximum <= 1, got",
        ),
        (
            "ImageNetPreprocessing.area_range = (0.5, 0.1)",
            "ImageNetPreprocessing.area_range: expected two numbers, 0 < minimum <= maximum <= 1, got",
        ),
        ("NetworkConfig.filters = 100000000000", "NetworkConfig.filters: expected an integer from 1 to 100,000 or None, got 100000000000"),
        ("SGD.momentum = 2", r"SGD.momentum: expected a number in \[0, 1\), got 2"),
        ("Adam.clipnorm = -1.0", "Adam.clipnorm: expected a positive number or None, got -1.0"),
        ("retrain/AdamW.beta_1 = 1", r"retrain/AdamW.beta_1: expected a number in \[0, 1\), got 1"),
        ("RandomSearchOracle.max_trials = 0", "RandomSearchOracle.max_trials: expected an integer of 1 or more, or None, got 0"),
        ("TrainingConfig.epochs = 1e400", "TrainingConfig.epochs: expected a finite number or another literal, got inf"),
        ("search.max_trainings = 0", "search.max_trainings: expected an integer of 1 or more, or None, got 0"),
        ("search.max_trials = 0", "search.max_trials = 0: .* did you mean num_trials"),
        ("DetectorConfig.anchor_scales = ()", r"DetectorConfig.anchor_scales: expected one or more positive numbers, got \(\)"),
        ("DetectionLosses.box_weight = -1", "DetectionLosses.box_weight: expected a number of 0 or more, got -1"),
        ("step_decay.boundary_epochs = (2, 1)", "step_decay.boundary_epochs: expected positive numbers, each larger than the one before"),
        ("FaultTolerance.executions = 1", "FaultTolerance.executions: expected an integer of 2 or more, got 1"),
        ("SearchSpace.outputs = 'all'", "SearchSpace.outputs: expected one of 'concat_unused', 'each_block', got 'all'"),
        ("SearchSpace.operations = 'IDENTITY'", "SearchSpace.operations: expected a list, each item a string, got 'IDENTITY'"),
        ("retain/NetworkConfig.filters = 3", "nothing uses the scope 'retain'; did you mean retrain"),
        ("NetworkConfg.filters = 3", "No configurable matching 'NetworkConfg'; did you mean NetworkConfig"),
        ("train.network = @NetworkConfg()", "did you mean NetworkConfig"),
        ("NetworkConfig.filter = 3", "--gin_param 'NetworkConfig.filter = 3'.* did you mean filters"),
        ("width = 'x'\nNetworkConfig.filters = %width", "NetworkConfig.filters: expected an integer from 1 to 100,000 or None, got 'x'"),
        ("NetworkConfig.filters", "expected name.parameter=value"),
        ("NetworkConfig.filters = ", "--gin_param 'NetworkConfig.filters = '"),
    ],
)
def test_a_wrong_binding_is_refused_with_its_expected_type(param, words):
    with pytest.raises(InputError, match=words) as caught:
        parse_gin(["digits.gin"], [param])
    assert "\n" not in str(caught.value)


def test_right_bindings_pass():
    params = ["TrainingConfig.epochs = 3", "a/NetworkConfig.filters = 8", "train.network = @a/NetworkConfig()", "width = 7"]
    assert "a/NetworkConfig.filters = 8" in parse_gin(["digits.gin"], [*params, "NetworkConfig.cells_per_stack = %width"])


def test_parsing_bindings_calls_nothing(monkeypatch):
    monkeypatch.setattr(ray_cluster, "connect", lambda *_: pytest.fail("called"))
    parse_gin(["digits.gin"], ["search.engine = @RayTasks", "train.strategy = @make_strategy()", "make_strategy.name = 'tpu'"])


PREPROCESSING = data.CifarPreprocessing(image_size=8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: NetworkConfig(0, "cifar", 3.0, filters=4), "cells_per_stack: expected an integer from 1 to 1,000, got 0"),
        (lambda: NetworkConfig(1, "mnist", 3.0, filters=4), "stem: expected one of 'cifar', 'imagenet', got 'mnist'"),
        (lambda: NetworkConfig(1, "cifar", 3.0, 4, 24), "expected either filters or penultimate_filters"),
        (lambda: NetworkConfig(1, "cifar", 3.0, 4, drop_path_rate=1.0), "drop_path_rate: expected a number in"),
        (
            lambda: NetworkConfig(1, "cifar", 3.0, 4, stacking="strided"),
            "stacking: expected one of 'released', 'strided_normal', got 'strided'",
        ),
        (lambda: NetworkConfig(1, "cifar", "3", filters=4), "NetworkConfig.stem_multiplier: expected a positive number, got '3'"),
        (lambda: NetworkConfig(1, "cifar", float("nan"), filters=4), "NetworkConfig.stem_multiplier: expected a positive number, got nan"),
        (lambda: TrainingConfig(0, 8), "epochs: expected a positive number, got 0"),
        (lambda: TrainingConfig(1, 8, ema_decay=1), "ema_decay"),
        (lambda: TrainingConfig(1, 8, log_every_steps=0), "log_every_steps: expected an integer of 1 or more, got 0"),
        (lambda: TrainingConfig(1, 1.5), "batch_size: expected an integer"),
        (lambda: TrainingConfig(1, 32.0), "TrainingConfig.batch_size: expected an integer of 1 or more, got 32.0"),
        (lambda: data.ImageData("digits", None), "ImageData.preprocessing: expected .*CifarPreprocessing.*, got None"),
        (lambda: data.ImageData("digits", data.CifarPreprocessing), "got the class CifarPreprocessing"),
        (lambda: data.ImageData(7, PREPROCESSING), "ImageData.source: expected a string, got 7"),
        (lambda: schedules.cosine_decay(0), "cosine_decay.initial_rate: expected a positive number, got 0"),
        (lambda: schedules.cosine_decay(1, warmup_epochs=-1), "cosine_decay.warmup_epochs: expected a number of 0 or more, got -1"),
        (lambda: schedules.exponential_decay(-1), "exponential_decay.rate_per_256: expected a positive number, got -1"),
        (lambda: schedules.exponential_decay(1, decay_rate=1.1), r"decay_rate: expected a number in \(0, 1\], got 1.1"),
        (lambda: schedules.exponential_decay(1, decay_epochs=0), "decay_epochs: expected a positive number, got 0"),
        (
            lambda: schedules.exponential_decay(1, warmup_epochs=-1),
            "exponential_decay.warmup_epochs: expected a number of 0 or more, got -1",
        ),
        (lambda: schedules.step_decay(0.1, (3.0, 2.0)), "step_decay.boundary_epochs"),
        (lambda: SearchSpace(num_blocks=0), "num_blocks: expected an integer of 1 or more, got 0"),
        (lambda: SearchSpace(num_input_states=1.0), "num_input_states: expected an integer"),
        (lambda: SearchSpace(operations=("SEP_CONV_9X9",)), "expected one or more distinct names from IDENTITY, .*got.*SEP_CONV_9X9"),
        (lambda: SearchSpace(operations=()), "operations: expected"),
        (lambda: SearchSpace(combines=("ADD", "ADD")), "combines: expected one or more distinct names"),
        (lambda: SearchSpace(outputs="all"), "outputs: expected one of 'concat_unused', 'each_block', got 'all'"),
        (lambda: schedules.cosine_decay("a"), "cosine_decay.initial_rate: expected a positive number, got 'a'"),
        (lambda: distribution.make_strategy(wait_seconds="a"), "make_strategy.wait_seconds: expected a positive number, got 'a'"),
        (lambda: distribution.make_strategy(wait_seconds=-1), "make_strategy.wait_seconds: expected a positive number, got -1"),
        (lambda: optimizers.Momentum(momentum=1), r"Momentum.momentum: expected a number in \[0, 1\), got 1"),
        (lambda: optimizers.RMSProp(epsilon=0), "RMSProp.epsilon: expected a positive number, got 0"),
        (lambda: LocalPool(2.5), "LocalPool.num_workers: expected an integer of 1 or more, got 2.5"),
        (
            lambda: PPOSearch(SearchSpace(), 0, learning_rate="a"),
            "PPOSearch.learning_rate: expected a positive number, got 'a'",
        ),
    ],
)
def test_a_wrong_argument_is_refused_with_its_expected_type(call, words):
    with pytest.raises(InputError, match=words):
        call()
