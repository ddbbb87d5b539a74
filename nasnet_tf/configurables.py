"""What gin files configure. With bindable.py, cli.py and recipes.py it alone imports gin; everything below works the same without it."""

import copy
import dataclasses
import functools
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import gin
import keras
import tensorflow as tf

from nasnet_tf import claims, data
from nasnet_tf.bindable import register
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.detection.model import DetectorConfig, build_detector
from nasnet_tf.detection.task import Detection, DetectionLosses
from nasnet_tf.dry_run import BoundSearch, BoundTraining
from nasnet_tf.errors import InputError
from nasnet_tf.extras import OnDemand, is_installed
from nasnet_tf.genotype import Genotype, SearchSpace, genotype_hash, load_genotype, parse_genotype
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.nas import engines, known, ray_engine, retraining, search, strategies
from nasnet_tf.nas.child_logs import FOLDER as CHILDREN
from nasnet_tf.nas.child_logs import log_of, logged
from nasnet_tf.nas.early_stopping import Bar, EarlyStopping
from nasnet_tf.nas.evaluator import evaluate_genotype, measure_on_test
from nasnet_tf.nas.evolution import RegularizedEvolution
from nasnet_tf.nas.faults import FaultTolerance
from nasnet_tf.nas.halving import Stage, SuccessiveHalving
from nasnet_tf.nas.limits import Limits, Rates
from nasnet_tf.nas.objectives import CostReward, WithObjective
from nasnet_tf.nas.predictor import Prescreened
from nasnet_tf.nas.shared_weights import SharedWeights
from nasnet_tf.nas.space_training import SpaceChildren
from nasnet_tf.nas.trials import Trial
from nasnet_tf.nas.zero_cost import ZeroCost
from nasnet_tf.ranges import Count, Natural, NotNegative, Positive, Share, at_least
from nasnet_tf.serving.architectures import architecture_of
from nasnet_tf.serving.hub import check_features, load_features
from nasnet_tf.training import distribution, loop, optimizers, precision, profiling, schedules
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.evaluate import Evaluation
from nasnet_tf.training.timetable import Timetable
from nasnet_tf.tuning import results, tuner

for _configurable in (
    data.ImageData,
    data.CifarPreprocessing,
    data.ImageNetPreprocessing,
    NetworkConfig,
    DetectionData,
    DetectorConfig,
    DetectionLosses,
    SearchSpace,
    loop.TrainingConfig,
    schedules.cosine_decay,
    schedules.exponential_decay,
    schedules.step_decay,
    distribution.make_strategy,
    optimizers.Momentum,
    optimizers.RMSProp,
    strategies.PPOSearch,
    strategies.RandomSearch,
    RegularizedEvolution,
    Prescreened,
    CostReward,
    EarlyStopping,
    SuccessiveHalving,
    SharedWeights,
    SpaceChildren,
    ZeroCost,
    FaultTolerance,
):
    register(_configurable)
for _engine in (engines.LocalPool, engines.InProcess, ray_engine.RayTasks):
    register(_engine, set_by_us=("keep_processes",))
# What Keras and KerasTuner find out later or never.
_OF_OPTIMIZERS = dict.fromkeys(("momentum", "beta_1", "beta_2", "ema_momentum"), Share)
_OF_OPTIMIZERS |= dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor"), Positive | None)
_OF_OPTIMIZERS |= {"learning_rate": Positive, "epsilon": Positive, "weight_decay": NotNegative | None}
_OF_ORACLES = {"max_trials": Count | None, "max_epochs": Count, "factor": at_least(2), "hyperband_iterations": Count}
for _optimizer in ("Adam", "AdamW", "Lion", "Nadam", "SGD"):
    register(getattr(keras.optimizers, _optimizer), module="keras.optimizers", hints=_OF_OPTIMIZERS)
keras_tuner = OnDemand("keras_tuner")
_ORACLES = [f"{name}Oracle" for name in ("BayesianOptimization", "GridSearch", "Hyperband", "RandomSearch")]
ORACLES = tuple(getattr(keras_tuner.oracles, name) for name in _ORACLES) if is_installed("keras_tuner") else ()
_SET_BY_TUNE = ("objective", "hyperparameters", "seed", "max_consecutive_failed_trials")
for _oracle in ORACLES:
    register(_oracle, module="keras_tuner.oracles", set_by_us=_SET_BY_TUNE, hints=_OF_ORACLES)
RETRAIN_SCOPE = "retrain"
Optimizer = Callable[[], keras.optimizers.Optimizer]


def _train(
    data: data.ImageData | DetectionData,
    optimizer: Optimizer,
    learning_rate: schedules.Schedule,
    training: loop.TrainingConfig,
    genotype: str | None = None,
    network: NetworkConfig | None = None,
    strategy: tf.distribute.Strategy | None = None,
    initial_weights: str | None = None,
    dtype_policy: str = "float32",
    detector: DetectorConfig | None = None,
    detection_losses: DetectionLosses | None = None,
    profile_steps: tuple[int, int] | None = None,
) -> BoundTraining:
    """The training of a genotype's network, to be called with its work folder; arguments as in nasnet_tf.training.loop.train_and_evaluate.

    genotype: the name of a published one, or the path of a textproto; None for that of initial_weights.
    network: None for that of initial_weights, a name, an export or a work folder, with the bindings of NetworkConfig that there are in the
      place of its own.
    data: what to train on.
    learning_rate: a schedule, such as @cosine_decay().
    training: how.
    initial_weights: to fine-tune, whose features to start from, as nasnet_tf.serving.hub.load_features takes them; None for fresh weights.
    dtype_policy: in which numbers the network computes, one of nasnet_tf.training.precision.POLICIES; its weights are float32 in all.
    detector: to train a detector on the network, with `data` a DetectionData; None for a classifier.
    detection_losses: of a detector.
    """
    if detector is not None and initial_weights is None:
        print("the detector's network starts from fresh weights, as train.initial_weights is not bound", file=sys.stderr, flush=True)

    if profile_steps is not None:  # before the folder is taken
        profiling.check(profile_steps, Timetable(training, data.num_train_examples).total)
    # A mistake in them comes up now, not once the folder is taken.
    if initial_weights is not None:
        check_features(initial_weights)
    cells, network = _architecture(genotype, network, initial_weights)

    def build(num_classes: int, image_size: int) -> keras.Model:
        if detector is not None:
            model = build_network(cells, network, None, (None, None))
        else:
            model = build_network(cells, network, num_classes, image_size)
        if initial_weights is not None:
            load_features(model, initial_weights)
        return model if detector is None else build_detector(model, detector, num_classes)

    task = Classification if detector is None else functools.partial(Detection, settings=detection_losses)

    @precision.dtype_policy(dtype_policy)
    def run(workdir: pathlib.Path) -> tuple[keras.Model, Any]:
        return loop.train_and_evaluate(
            build, data, optimizer, learning_rate, training, workdir, strategy, task=task, profile_steps=profile_steps
        )

    return BoundTraining(build, data, training, run)


def _architecture(genotype: str | None, network: NetworkConfig | None, source: str | None) -> tuple[Genotype, NetworkConfig]:
    """What is bound, and what is not of what the training starts from."""
    if genotype is not None and network is not None:
        return load_genotype(genotype), network
    if source is None:
        what = "genotype" if genotype is None else "network"
        raise InputError(f"train.{what}: expected a binding, or train.initial_weights to take it from")
    cells, own = architecture_of(source)
    if genotype is not None and genotype_hash(load_genotype(genotype)) != genotype_hash(cells):
        raise InputError(f"train.genotype: {genotype} has other cells than {source}, whose weights are to be taken; leave it out")
    if network is None:
        said = set(gin.get_bindings(NetworkConfig))
        said |= {"filters", "penultimate_filters"} if said & {"filters", "penultimate_filters"} else set()  # one of the two
        rest = {field.name: getattr(own, field.name) for field in dataclasses.fields(own) if field.name not in said}
        network = gin.get_configurable(NetworkConfig)(**rest)
    return cells, network


bound_training = register(_train, "train", set_by_us=("profile_steps",))


def train(workdir: pathlib.Path) -> tuple[keras.Model, Evaluation | None]:
    """Trains as bound; returns the model and its evaluation."""
    return bound_training()(workdir)


def _evaluate_genotype(
    network: NetworkConfig,
    data: data.ImageData,
    optimizer: Optimizer,
    learning_rate: schedules.Schedule,
    training: loop.TrainingConfig,
    dtype_policy: str = "float32",
    measure_latency: bool = False,
) -> Callable[[Genotype, list[Bar] | Stage | None, pathlib.Path | None], dict]:
    """(genotype, bars, workdir) -> outcome: a functools.partial of nasnet_tf.nas.evaluator.evaluate_genotype.

    network, data, optimizer, learning_rate, training: of a child, as of `train`.
    """
    return functools.partial(
        evaluate_genotype,
        network=network,
        data=data,
        optimizer=optimizer,
        learning_rate=learning_rate,
        training=training,
        dtype_policy=dtype_policy,
        measure_latency=measure_latency,
    )


bound_evaluation = register(_evaluate_genotype, "evaluate_genotype")


def _search(
    config_text: str,
    identity: dict,
    space: SearchSpace,
    strategy: Callable[[SearchSpace], strategies.Strategy],
    engine: Callable[..., engines.LocalPool | engines.InProcess | ray_engine.RayTasks],
    num_trials: Count,
    early_stopping: EarlyStopping | None = None,
    halving: SuccessiveHalving | None = None,
    evaluator: SharedWeights | SpaceChildren | ZeroCost | None = None,
    train_again: bool = False,
    max_trainings: Count | None = None,
    max_hours: Positive | None = None,
    max_child_hours: Positive | None = None,
    child_watts: Positive | None = None,
    child_hour_price: Positive | None = None,
    tolerance: FaultTolerance | None = None,
    deadline_reward: float | None = None,
    objective: CostReward | str | None = None,
    seeds: Sequence[str] = (),
    take_over: Sequence[str] = (),
    retrain_top: Natural = 0,
    retrain_front: bool = False,
) -> BoundSearch:
    """The search, and the retraining of its best, to be called with its work folder.

    Arguments as in nasnet_tf.nas.search.search and nasnet_tf.nas.retraining.retrain_top.

    strategy: (space) -> strategy, such as @PPOSearch.
    config_text: the gin configuration that children evaluate genotypes with.
    retrain_top: how many of the best to retrain, with the bindings of the gin scope `retrain` where they differ.
    retrain_front: of the Pareto front of accuracy and cost instead.
    objective: what rewards are instead of the accuracy, as in nasnet_tf.nas.objectives or "module:function".
    seeds: names or paths of genotypes to try first.
    take_over: work folders of earlier searches, whose rewarded trials count.
    evaluator: scores architectures, in processes that are kept, in the place of children that evaluate_genotype trains.
    halving: short trainings first, of which the best go on.
    child_watts, child_hour_price: what a child's hour takes, for estimates only.

    The limits are those of the search without its retraining, and nasnet_tf.nas.limits.Limits.
    """
    scorer = "trained as children" if evaluator is None else f"scored by {type(evaluator).__name__}"
    # What is wrong with them comes up before any child, or the folder, is begun.
    evaluations = {f"at most {num_trials} architectures, {scorer}": bound_evaluation()}
    if retrain_top:
        with gin.config_scope(RETRAIN_SCOPE):
            evaluations[f"at most {retrain_top} architectures, retrained"] = bound_evaluation()
    fixed = {key: text for key, text in space.description().items() if key.startswith("fixed ")}
    identity = {kind: values | fixed for kind, values in identity.items()}  # what is in the files, whose names the bindings have
    searcher = strategy(space)
    if seeds:
        searcher = known.Seeded(searcher, known.seeds_of(space, seeds))
    if evaluator is not None and (early_stopping is not None or halving is not None):
        raise InputError("search.evaluator: expected neither search.early_stopping nor search.halving beside it")
    rules = {"tolerance": tolerance or FaultTolerance()}

    def run(workdir: pathlib.Path) -> tuple[list[Trial], tuple[Trial, dict] | None]:
        workdir = workdir.absolute()  # children on other machines have other current folders
        known.check_folders(take_over, workdir)
        task, search_engine, spent = ChildTask(config_text, workdir / CHILDREN), engine, ("", 0.0)
        if evaluator is not None:
            task, search_engine = ScoringTask(config_text, workdir, evaluator), functools.partial(engine, keep_processes=True)
        with claims.at_work(workdir, "search"):
            if isinstance(evaluator, SharedWeights):
                spent = ("shared weights", evaluator.train(workdir))
            trials = search.search(
                workdir,
                space,
                searcher,
                search_engine,
                task if objective is None else WithObjective(task, objective),
                num_trials,
                identity["search"],
                early_stopping,
                train_again,
                Limits(max_trainings, max_hours, max_child_hours),
                deadline_reward=deadline_reward,
                take_over=known.trials_of(take_over, identity["search"]),
                rates=Rates(child_watts, child_hour_price),
                scalars=True,
                halving=halving,
                spent=spent,
                **rules,
            )
        if not retrain_top:
            return trials, None
        with gin.config_scope(RETRAIN_SCOPE):
            folder = retraining.folder_of(workdir, identity["retrain"])
            task = ChildTask(config_text, folder / CHILDREN, RETRAIN_SCOPE, folder)
            return trials, retraining.retrain_top(
                folder, space, trials, retrain_top, engine, task, measure_on_test, identity["retrain"], retrain_front, **rules
            )

    return BoundSearch(space, evaluations, run)


bound_search = register(_search, "search", set_by_us=("config_text", "identity"))


def _tune(
    bindings: dict[str, str], hyperparameters: dict, oracle: Callable[..., "keras_tuner.Oracle"], seed: int
) -> Callable[[pathlib.Path], list[results.Trial]]:
    """The tuning of what `train` is bound to, to be called with its work folder; arguments as in nasnet_tf.tuning.tuner.make_oracle.

    hyperparameters: {binding: range}, what to tune; see nasnet_tf.tuning.hyperparameters.make_hyperparameters.
    """
    asked = tuner.make_oracle(bindings, hyperparameters, oracle, seed)
    return lambda workdir: tuner.tune(workdir, bindings, hyperparameters, asked, train_bound)


bound_tuning = register(_tune, "tune", set_by_us=("bindings",))


def train_bound(workdir: pathlib.Path, bindings: dict[str, str]) -> float:
    """Trains with these bindings and no others; returns the accuracy on the examples watched. Keras forgets its networks before."""
    keras.utils.clear_session()
    gin.clear_config()
    gin.parse_config([f"{name} = {literal}" for name, literal in bindings.items()])
    _, evaluation = train(workdir)
    return evaluation.accuracy


class ScoringTask:
    """What scores an architecture by `search.evaluator`, which every process that is kept makes once for itself.

    Args:
      config_text: as cli.parse_gin returns it.
      workdir: of the search, absolute.
      evaluator: that of the searching process.
    """

    def __init__(self, config_text: str, workdir: pathlib.Path, evaluator: SharedWeights | SpaceChildren | ZeroCost):
        self._config_text, self._workdir, self._evaluator = config_text, workdir, evaluator

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_evaluator": None}

    def __call__(self, genotype_text: str, bars: list[Bar] | Stage | None = None) -> dict:
        if self._evaluator is not None:
            return self._evaluator(genotype_text, bars)
        with logged(log_of(self._workdir / CHILDREN, parse_genotype(genotype_text).name)):
            return _evaluator_of(self._config_text, self._workdir)(genotype_text, bars)


@functools.cache
def _evaluator_of(config_text: str, workdir: pathlib.Path) -> SharedWeights | SpaceChildren | ZeroCost:
    gin.clear_config()
    gin.parse_config(config_text)
    evaluator = copy.deepcopy(gin.query_parameter("search.evaluator"))  # a copy of gin's reference is what it refers to, made
    if isinstance(evaluator, SharedWeights):
        evaluator.train(workdir)  # reads what the searching process has trained
    return evaluator


class ChildTask:
    """What runs in a child process: (textproto, bars) -> outcome, configured by the text of the searching process' configuration.

    Args:
      config_text: as cli.parse_gin returns it.
      logs: folder of a file for each trial, which gets what the child and its libraries write to standard error; None to leave it there.
      scope: of gin, whose bindings count before the others; "" for none.
      retrain_folder: to keep the training in its folder for the architecture; None to keep nothing.
    """

    def __init__(self, config_text: str, logs: pathlib.Path | None = None, scope: str = "", retrain_folder: pathlib.Path | None = None):
        self._config_text, self._logs, self._scope, self._retrain_folder = config_text, logs, scope, retrain_folder

    def __call__(self, genotype_text: str, bars: list[Bar] | Stage | None = None) -> dict:
        genotype = parse_genotype(genotype_text)
        with logged(self._logs and log_of(self._logs, genotype.name)):
            gin.clear_config()
            gin.parse_config(self._config_text)
            folder = self._retrain_folder and retraining.trained_folder(self._retrain_folder, genotype)
            with gin.config_scope(self._scope or None):
                return bound_evaluation()(genotype, bars=bars, workdir=folder)
