"""The table of everything that a recipe can bind, one row each. Registration, --explain, resuming and the docs read this table.

The table is data: importing this module imports neither TensorFlow nor gin. nasnet_tf.recipes.table imports the classes and functions that
the rows name.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from nasnet_tf.base.values import Count, NotNegative, Positive, Share, at_least


class Role(enum.Enum):
    """The purpose of a bindable, in the words of --explain."""

    COMMAND = "command"
    CHILD = "child"
    NETWORK = "network"
    TRAINING = "training"
    DATA = "data"
    TASK = "task"
    SCHEDULE = "schedule"
    OPTIMIZER = "optimizer"
    DEVICES = "devices"
    SPACE = "search space"
    STRATEGY = "strategy"
    OBJECTIVE = "objective"
    ENGINE = "engine"
    FIDELITY = "fidelity"
    EVALUATOR = "evaluator"
    TOLERANCE = "tolerance"
    ORACLE = "oracle"


@dataclasses.dataclass(frozen=True)
class Bindable:
    """A class or function that a recipe can bind.

    Attributes:
      location: dotted path of the class or function.
      role: its purpose.
      name: its name in recipes; by default the last part of the location.
      set_by_us: parameters that the package sets and a recipe cannot bind.
      may_change: parameters that may change when a work folder is resumed; "*" for all. A class can define these as MAY_CHANGE instead.
      chooses: parameters that affect which architectures are tried, but not the meaning of their rewards; "*" for all.
      hints: types of parameters, which take precedence over annotations.
    """

    location: str
    role: Role
    name: str = ""
    set_by_us: tuple[str, ...] = ()
    may_change: tuple[str, ...] = ()
    chooses: tuple[str, ...] = ()
    hints: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "name", self.name or self.location.rpartition(".")[2])

    @property
    def package(self) -> str:
        """The top-level package of the location."""
        return self.location.partition(".")[0]


# Ranges that Keras and KerasTuner check too late or not at all.
_OF_OPTIMIZERS = dict.fromkeys(("momentum", "beta_1", "beta_2", "ema_momentum"), Share)
_OF_OPTIMIZERS |= dict.fromkeys(("clipnorm", "clipvalue", "global_clipnorm", "loss_scale_factor"), Positive | None)
_OF_OPTIMIZERS |= {"learning_rate": Positive, "epsilon": Positive, "weight_decay": NotNegative | None}
_OF_ORACLES = {"max_trials": Count | None, "max_epochs": Count, "factor": at_least(2), "hyperband_iterations": Count}
_SET_BY_TUNE = ("objective", "hyperparameters", "seed", "max_consecutive_failed_trials")
_SET_BY_TRAIN = ("data", "config")
_SET_BY_SEARCH = ("keep_processes",)

# The most important ones first; --explain and the docs keep this order.
BINDABLES = (
    Bindable("nasnet_tf.recipes.training.TrainConfig", Role.COMMAND, name="train", set_by_us=("profile_steps",), may_change=("strategy",)),
    Bindable(
        "nasnet_tf.nas.config.SearchConfig",
        Role.COMMAND,
        name="search",
        chooses=(
            *("strategy", "seeds", "take_over", "prior", "train_again", "early_stopping", "deadline_reward"),
            *("max_parameters", "max_mult_adds", "max_latency_seconds", "cap_scope"),
        ),
    ),
    Bindable("nasnet_tf.recipes.tuning.tune", Role.COMMAND, set_by_us=("bindings",)),
    Bindable("nasnet_tf.nas.children.evaluator.ChildTraining", Role.CHILD, name="evaluate_genotype"),
    Bindable("nasnet_tf.models.network.NetworkConfig", Role.NETWORK),
    Bindable("nasnet_tf.training.config.TrainingConfig", Role.TRAINING),
    Bindable("nasnet_tf.training.classification.Classification", Role.TASK, set_by_us=_SET_BY_TRAIN),
    Bindable("nasnet_tf.data.ImageData", Role.DATA),
    Bindable("nasnet_tf.data.CifarPreprocessing", Role.DATA),
    Bindable("nasnet_tf.data.ImageNetPreprocessing", Role.DATA),
    Bindable("nasnet_tf.training.schedules.cosine_decay", Role.SCHEDULE),
    Bindable("nasnet_tf.training.schedules.exponential_decay", Role.SCHEDULE),
    Bindable("nasnet_tf.training.schedules.step_decay", Role.SCHEDULE),
    Bindable("nasnet_tf.training.optimizers.Momentum", Role.OPTIMIZER),
    Bindable("nasnet_tf.training.optimizers.RMSProp", Role.OPTIMIZER),
    *(Bindable(f"keras.optimizers.{name}", Role.OPTIMIZER, hints=_OF_OPTIMIZERS) for name in ("Adam", "AdamW", "Lion", "Nadam", "SGD")),
    Bindable("nasnet_tf.training.distribution.make_strategy", Role.DEVICES, may_change=("*",)),
    Bindable("nasnet_tf.genotype.SearchSpace", Role.SPACE),
    Bindable("nasnet_tf.nas.strategies.ppo_search.PPOSearch", Role.STRATEGY),
    Bindable("nasnet_tf.nas.strategies.random_search.RandomSearch", Role.STRATEGY),
    Bindable("nasnet_tf.nas.strategies.evolution.RegularizedEvolution", Role.STRATEGY),
    Bindable("nasnet_tf.nas.strategies.local_search.LocalSearch", Role.STRATEGY),
    Bindable("nasnet_tf.nas.strategies.model_guided.ModelGuided", Role.STRATEGY),
    Bindable("nasnet_tf.nas.strategies.prescreened.Prescreened", Role.STRATEGY),
    Bindable("nasnet_tf.nas.children.objectives.CostReward", Role.OBJECTIVE),
    Bindable("nasnet_tf.nas.engines.local.LocalPool", Role.ENGINE, set_by_us=_SET_BY_SEARCH),
    Bindable("nasnet_tf.nas.engines.local.InProcess", Role.ENGINE, set_by_us=_SET_BY_SEARCH),
    Bindable("nasnet_tf.nas.engines.ray_tasks.RayTasks", Role.ENGINE, set_by_us=_SET_BY_SEARCH),
    Bindable("nasnet_tf.nas.children.early_stopping.EarlyStopping", Role.FIDELITY, chooses=("*",)),
    Bindable("nasnet_tf.nas.children.halving.SuccessiveHalving", Role.FIDELITY),
    Bindable("nasnet_tf.nas.children.shared_weights.SharedWeights", Role.EVALUATOR),
    Bindable("nasnet_tf.nas.children.space_training.SpaceChildren", Role.EVALUATOR),
    Bindable("nasnet_tf.nas.children.zero_cost.ZeroCost", Role.EVALUATOR),
    Bindable("nasnet_tf.nas.trials.faults.FaultTolerance", Role.TOLERANCE),
    Bindable("nasnet_tf.training.multi_label.MultiLabel", Role.TASK, set_by_us=_SET_BY_TRAIN),
    Bindable("nasnet_tf.data.detection.DetectionData", Role.DATA),
    Bindable("nasnet_tf.detection.model.DetectorConfig", Role.NETWORK),
    Bindable("nasnet_tf.detection.task.Detection", Role.TASK, set_by_us=_SET_BY_TRAIN),
    Bindable("nasnet_tf.detection.task.DetectionLosses", Role.TRAINING),
    *(
        Bindable(f"keras_tuner.oracles.{name}Oracle", Role.ORACLE, set_by_us=_SET_BY_TUNE, hints=_OF_ORACLES)
        for name in ("BayesianOptimization", "GridSearch", "Hyperband", "RandomSearch")
    ),
)
NAMES = tuple(row.name for row in BINDABLES)
