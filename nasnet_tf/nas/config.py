"""The configuration of a search."""

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
    """Configures a search and the retraining of its best architectures.

    The search ends when the first of its limits is reached, and resumes when you raise that limit. After a time limit is reached, no child
    starts, but running children finish. The limits do not include the retraining.

    Attributes:
      space: the search space.
      strategy: the strategy, as a function of the space, such as @PPOSearch.
      engine: function that returns the engine that runs children, such as @LocalPool.
      num_trials: number of architectures to try, besides those taken over. Raise it to continue a search that has ended.
      early_stopping: stops the worst children early. Children must report the metric "curve". None to never stop a child.
      halving: begins all children with short trainings and continues only the best; None to train every child to the end.
      evaluator: scores architectures in processes that are kept, instead of training children with `evaluate_genotype`.
      train_again: whether an architecture that is proposed again is trained again, as in the paper on regularized evolution. If not, it
        gets its earlier reward.
      max_trainings: maximum number of children that are trained; None for no limit. Failed trials do not count, and neither do trials that
        get the reward of an earlier one.
      max_hours: maximum time in hours during which children run, over all sessions of the search; None for no limit. Pauses do not count.
      max_child_hours: maximum total of the hours of all children, including failed ones; None for no limit.
      target: once a trial has this reward, no more children start; None for no target.
      patience: number of trainings without a better reward after which no more children start; None for no limit.
      max_parameters: maximum number of parameters of an architecture's network, without auxiliary head; None for no limit. Larger
        architectures are never trained, even if they are seeds.
      max_mult_adds: maximum number of multiply-adds for one image; None for no limit. As with max_parameters, larger architectures are
        never trained.
      max_latency_seconds: maximum time of an inference on one image; None for no limit. A child measures it before it trains, on its own
        machine, and a slower architecture is infeasible.
      cap_scope: gin scope of the `evaluate_genotype` whose networks these three limits apply to, such as "retrain"; "" for the children
        of the search.
      child_watts: electric power of a child in watts, used only for estimates.
      child_hour_price: price of an hour of a child, in any currency, used only for estimates.
      tolerance: limits after which an architecture is given up, a machine is quarantined or the search pauses; None for the defaults of
        FaultTolerance.
      deadline_reward: reward that the strategy learns for a child killed at its deadline; None for none. The trial is infeasible either
        way.
      objective: the reward to use instead of the accuracy: a class of nasnet_tf.nas.children.objectives or "module:function".
      seeds: names or paths of genotypes to try first.
      take_over: work folders of earlier searches whose rewarded trials become trials of this search.
      prior: work folders of searches on other data, from whose rewards a strategy with a model, such as ModelGuided, learns before its
        first proposal. They have influence only to the extent that the rewards of this search agree with them.
      retrain_top: number of the best architectures to retrain. Bindings in the gin scope `retrain` override others in the retraining.
      retrain_front: whether to retrain architectures from the Pareto front of accuracy and cost, the highest rewards first, instead of the
        best of all.
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
            raise InputError("search.halving: cannot be combined with search.early_stopping or search.train_again; remove one of them")
        if self.evaluator is not None and (self.early_stopping is not None or self.halving is not None):
            raise InputError("search.evaluator: cannot be combined with search.early_stopping or search.halving; remove one of them")
        object.__setattr__(self, "tolerance", self.tolerance or FaultTolerance())

    @property
    def fidelity(self) -> Fidelity:
        """The rule that decides how far children are trained."""
        return self.halving or self.early_stopping or FullTraining()

    def new_strategy(self) -> Strategy:
        """Creates the strategy, which proposes the seeds first."""
        strategy = self.strategy(self.space)
        return given.Seeded(strategy, given.seeds_of(self.space, self.seeds)) if self.seeds else strategy

    def new_engine(self) -> Engine:
        """Creates the engine; with an evaluator, the engine reuses its processes."""
        return self.engine() if self.evaluator is None else self.engine(keep_processes=True)
