"""What is searched and how, in one object."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar

from nasnet_tf.base import values
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Count, Natural, Positive
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.children.early_stopping import EarlyStopping
from nasnet_tf.nas.children.fidelity import Fidelity, FullTraining
from nasnet_tf.nas.children.halving import SuccessiveHalving
from nasnet_tf.nas.children.objectives import Objective
from nasnet_tf.nas.children.protocol import Evaluator
from nasnet_tf.nas.engines.protocol import Engine
from nasnet_tf.nas.strategies import given
from nasnet_tf.nas.strategies.protocol import Strategy
from nasnet_tf.nas.trials.faults import FaultTolerance


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """A search, and the retraining of its best.

    Whichever limit is reached first ends a search, which resumes when the limit is raised. When a limit of time is reached no more children
    start, and those that run may end. Limits are those of the search without its retraining.

    Attributes:
      space: the architectures.
      strategy: (space) -> strategy, such as @PPOSearch.
      engine: () -> where children run, such as @LocalPool.
      num_trials: architectures to try, besides those taken over; may be raised later to continue a search that has ended.
      early_stopping: stops hopeless children; they report the accuracies it needs as the metric "curve". None for never.
      halving: children begin with short trainings, and the best continue; None trains all to their end.
      evaluator: scores architectures, in processes that are kept, in the place of children that evaluate_genotype trains.
      train_again: an architecture that is proposed again is trained again, as in the paper of regularized evolution, rather than to get the
        reward it had.
      max_trainings: children that are trained. Trials of known architectures, which get the reward they had, and failed ones do not count.
        None for any number.
      max_hours: in which children run, since the search was begun; pauses do not count. None for any.
      max_child_hours: of all children together, failed ones too. None for any.
      target: a reward that is enough: no child starts once a trial has it. None for never.
      patience: trainings without a better reward after which no child starts. None for any number.
      max_parameters: of an architecture's network, without auxiliary head; larger ones are never tried, seeds neither. None for any.
      max_mult_adds: the same of multiply-adds for one image.
      max_latency_seconds: an architecture is infeasible if an inference on one image takes longer. Its child measures that before it
        trains, on the machine it runs on. None for any.
      cap_scope: gin scope whose `evaluate_genotype` these three are about, such as "retrain"; "" for the children of the search.
      child_watts: electric power of a child, for estimates alone.
      child_hour_price: price of a child's hour in any currency, for estimates alone.
      tolerance: when an architecture, a machine, the search is given up; None for the defaults of FaultTolerance.
      deadline_reward: what the strategy learns of a child that was killed at its deadline; None for nothing. It counts as infeasible either
        way.
      objective: the reward instead of the accuracy, as in nasnet_tf.nas.children.objectives or "module:function".
      seeds: names or paths of genotypes to try first.
      take_over: work folders of earlier searches, whose rewarded trials count.
      prior: work folders of searches on other data. A strategy that has a model, such as ModelGuided, begins with what they say, and keeps
        of it what the rewards agree with.
      retrain_top: how many of the best to retrain, with the bindings of the gin scope `retrain` where they differ.
      retrain_front: retrains the Pareto front of accuracy and cost instead of the best of all, the highest rewards first.
    """

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (
        "num_trials",
        "max_trainings",
        "max_hours",
        "max_child_hours",
        "target",
        "patience",
        "engine",
        "retrain_top",
        "retrain_front",
        "child_*",
        "tolerance",
    )

    space: SearchSpace
    strategy: Callable[[SearchSpace], Strategy]
    engine: Callable[..., Engine]
    num_trials: Count
    early_stopping: EarlyStopping | None = None
    halving: SuccessiveHalving | None = None
    evaluator: Evaluator | None = None
    train_again: bool = False
    max_trainings: Count | None = None
    max_hours: Positive | None = None
    max_child_hours: Positive | None = None
    target: float | None = None
    patience: Count | None = None
    max_parameters: Positive | None = None
    max_mult_adds: Positive | None = None
    max_latency_seconds: Positive | None = None
    cap_scope: str = ""
    child_watts: Positive | None = None
    child_hour_price: Positive | None = None
    tolerance: FaultTolerance | None = None
    deadline_reward: float | None = None
    objective: Objective | str | None = None
    seeds: Sequence[str] = ()
    take_over: Sequence[str] = ()
    prior: Sequence[str] = ()
    retrain_top: Natural = 0
    retrain_front: bool = False

    def __post_init__(self):
        values.check("search", vars(self), values.annotations(SearchConfig))
        if self.halving is not None and (self.early_stopping is not None or self.train_again):
            raise InputError("search.halving: expected neither search.early_stopping nor search.train_again beside it")
        if self.evaluator is not None and (self.early_stopping is not None or self.halving is not None):
            raise InputError("search.evaluator: expected neither search.early_stopping nor search.halving beside it")
        object.__setattr__(self, "tolerance", self.tolerance or FaultTolerance())

    @property
    def fidelity(self) -> Fidelity:
        """The rule of how far children are trained."""
        return self.halving or self.early_stopping or FullTraining()

    def new_strategy(self) -> Strategy:
        """Makes the strategy, which begins with the seeds."""
        strategy = self.strategy(self.space)
        return given.Seeded(strategy, given.seeds_of(self.space, self.seeds)) if self.seeds else strategy

    def new_engine(self) -> Engine:
        """Makes the engine, with processes that are kept where an evaluator keeps something in them."""
        return self.engine() if self.evaluator is None else self.engine(keep_processes=True)
