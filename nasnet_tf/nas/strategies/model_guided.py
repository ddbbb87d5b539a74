"""A search guided by a model: a Gaussian process on features of the cells' graphs says which architecture to train next.

Of some hundred candidates, mutants of the best ones mostly, the one with the highest expected improvement is proposed. Architectures whose
rewards have not arrived count as if they had done as the model expects, so that parallel workers do not get near-twins.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.values import Seed, at_least, check_fields
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import gaussian_process, states
from nasnet_tf.nas.strategies.protocol import Observation, Proposal, Strategy, check_decisions, check_reward, is_near
from nasnet_tf.nas.strategies.random_search import RandomSearch
from nasnet_tf.nas.strategies.reward_model import Decisions, RewardModel

_PARENTS = 10  # of the trained, and of the candidates, whose mutants become candidates
_ROUNDS, _MUTANTS = 8, 60  # each round mutates the best candidates of those before
_RANDOM, _OF_THE_STRATEGY = 50, 10  # candidates that are no mutants
_MORE_MUTATIONS = 0.5  # probability of a second mutation, after that of a third, and of a fourth, the last
_DIGITS = 6  # that scores are compared to: those after them depend on the machine
_REMEMBERED = 200  # candidates, among which another machine may have chosen otherwise
_MOST_PENDING = 100  # the oldest beyond these will not be answered: their children failed
_DRAWS = 200  # of the model, for what it expects of more trainings


@dataclasses.dataclass(eq=False)
class ModelGuided(Strategy):
    """Expected improvement of a Gaussian process, maximized over mutants, random architectures and another strategy's proposals.

    Longer trainings of successive halving refine what the model knows of an architecture; predicted rewards of children that were stopped
    early count for less. After `prime`, what architectures earned on other data is the prior mean, as far as the rewards agree with it.

    Attributes:
      space: the decisions to take.
      seed: of all draws, in [0, 2^31).
      strategy: (space) -> the base strategy, which makes the first proposals and some of the candidates; None for random search.
      first: rewards before the model chooses, 2 or more.
      cost: a metric of the children, such as "mult_adds", "parameters" or "latency_seconds": proposals are to raise the Pareto front of
        rewards and this cost (expected hypervolume improvement). None to raise the best reward alone.
    """

    space: SearchSpace
    seed: Seed
    strategy: Callable[[SearchSpace], Strategy] | None = None
    first: at_least(2) = 10
    cost: str | None = None

    def __post_init__(self):
        check_fields(self)
        space = self.space
        self._strategy = RandomSearch(space, self.seed) if self.strategy is None else self.strategy(space)
        self._sizes = np.array(space.sizes)
        self._places = np.flatnonzero(self._sizes > 1)
        self._model = RewardModel(space)
        self._is_allowed: Callable[[Sequence[int]], bool] = lambda decisions: True
        self._proposed = 0
        self._pending: list[Decisions] = []
        self._known: set[str] = set()  # identities of trials and pending ones
        self._last: list[Decisions] = []
        self._diagnostics: dict[str, float] = {}

    def prime(self, decisions: Sequence[Sequence[int]], rewards: Sequence[float]) -> None:
        """Takes what architectures earned on other data as the prior mean."""
        for each in decisions:
            check_decisions("ModelGuided", self.space, each)
        self._model.prime(list(map(tuple, decisions)), rewards)

    def restrict(self, is_allowed: Callable[[Sequence[int]], bool]) -> None:
        """Only mutants of what is allowed become candidates."""
        self._is_allowed = is_allowed
        self._strategy.restrict(is_allowed)

    def propose(self) -> Proposal:
        """The candidate that is expected to improve most on the best of now; never one that is known, while others can be found."""
        self._proposed += 1
        own = {proposal.decisions: proposal for proposal in (self._strategy.propose() for _ in range(_OF_THE_STRATEGY))}
        is_guided = len(self._model) >= self.first or (self._model.is_primed and self._proposed % 2 == 0)
        # A generator for each proposal: its stream is the same in all versions of NumPy, and nothing of it is left to be saved.
        self._last = self._ranked_candidates(list(own), np.random.RandomState([self.seed, self._proposed])) if is_guided else list(own)
        fresh = (each for each in self._last if self.space.identity_of(each) not in self._known)
        chosen = next((each for each in fresh if self._is_allowed(each)), self._last[0])
        if self.space.identity_of(chosen) not in self._known:
            self._known.add(self.space.identity_of(chosen))
            self._pending = [*self._pending, chosen][-_MOST_PENDING:]
        return own.get(chosen) or self.proposal_of(chosen)

    @gaussian_process.one_thread()
    def _ranked_candidates(self, new: list[Decisions], draws: np.random.RandomState) -> list[Decisions]:
        """The best candidates, those with the highest expected improvement first; `new` are candidates to begin with."""
        score, parents = self._score()
        scores: dict[Decisions, float] = {}  # in the order in which the candidates were made
        new += _tuples(self._random_decisions(draws, _RANDOM))
        ranked: list[Decisions] = []
        for _ in range(_ROUNDS + 1):
            new = [each for each in dict.fromkeys(new) if each not in scores]
            if new:
                scores.update(zip(new, np.round(score(new), _DIGITS).tolist(), strict=True))
                ranked = sorted(scores, key=scores.__getitem__, reverse=True)  # stable: of equals the earlier one
            allowed = itertools.islice(filter(self._is_allowed, ranked), _PARENTS)
            pool = np.array([*parents, *allowed] or ranked[:1])
            new = _tuples(self._mutated(draws, pool[(draws.random_sample(_MUTANTS) * len(pool)).astype(int)]))
        numbers = {"log_expected_improvement": scores[ranked[0]], "noise_ratio": self._model.noise_ratio}
        self._diagnostics = {name: float(number) for name, number in numbers.items()}
        return ranked[:_REMEMBERED]

    def _score(self) -> tuple[Callable[[list[Decisions]], np.ndarray], list[Decisions]]:
        """How to score candidates, and the trials to mutate: the best ones, or the front's."""
        model = self._model
        if not len(model):  # primed
            return lambda candidates: model.prior_mean(model.scaled(candidates)), []
        prediction = model.predict(self._pending)
        order = np.argsort(-np.round(prediction.expected, _DIGITS), kind="stable")
        trials = [model.decisions[place] for place in prediction.seen]
        costs = np.array([model.costs[place] for place in prediction.seen])
        if self.cost is not None and np.isnan(costs).all():
            raise InputError(f"ModelGuided.cost: expected the metric {self.cost}, but no child has reported any metrics")
        if self.cost is None:
            best = float(prediction.expected[order[0]])
            parents = [trials[place] for place in order[:_PARENTS]]
            return lambda candidates: gaussian_process.log_expected_improvement(*prediction.of(candidates), best), parents
        logs = np.log(costs)
        front = _front(logs, np.round(prediction.expected, _DIGITS))
        steps = [(float(logs[at]), float(prediction.expected[at])) for at in front]
        # Architectures may cost more than any so far, and those below the median are no bargain.
        worst = float(2 * np.nanmax(logs) - np.nanmin(logs)), float(np.median(prediction.expected))

        def score(candidates: list[Decisions]) -> np.ndarray:
            return gaussian_process.log_hypervolume_improvement(*prediction.of(candidates), model.predicted_costs(candidates), steps, worst)

        return score, [trials[at] for at in front[-2 * _PARENTS :]]

    def _random_decisions(self, draws: np.random.RandomState, count: int) -> np.ndarray:
        return (draws.random_sample((count, len(self._sizes))) * self._sizes).astype(int)

    def _mutated(self, draws: np.random.RandomState, parents: np.ndarray) -> np.ndarray:
        """Each parent with one decision changed, sometimes two to four of them."""
        found, rows = parents.copy(), np.arange(len(parents))
        for _ in range(4):
            places = self._places[(draws.random_sample(len(rows)) * len(self._places)).astype(int)]
            values = (draws.random_sample(len(rows)) * (self._sizes[places] - 1)).astype(int)
            found[rows, places] = values + (values >= found[rows, places])  # the others, in order
            rows = rows[draws.random_sample(len(rows)) < _MORE_MUTATIONS]
        return found

    def would_propose(self, proposal: Proposal) -> bool:
        """Whether it is one of the last candidates: among those that promise nearly the same, another machine may choose another one."""
        return proposal.decisions in self._last and is_near(proposal, self.proposal_of(proposal.decisions))

    def proposal_of(self, decisions: Sequence[int]) -> Proposal:
        """The base strategy's."""
        return self._strategy.proposal_of(decisions)

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Both the model and the base strategy learn the reward."""
        self.observe(Observation(proposal, reward))

    def observe(self, observation: Observation) -> None:
        """As of Strategy; besides rewards, the model learns costs and rewards of longer trainings."""
        proposal = observation.proposal
        check_reward(observation.reward)
        check_decisions("ModelGuided", self.space, proposal.decisions)
        self._strategy.observe(observation)
        decisions = tuple(proposal.decisions)
        if observation.rung:
            self._model.add_longer(decisions, float(observation.reward))
            return
        if decisions in self._pending:
            self._pending.remove(decisions)
        self._known.add(self.space.identity_of(decisions))
        self._model.add(decisions, float(observation.reward), observation.is_predicted, self._cost_of(observation.metrics))

    def _cost_of(self, metrics: Mapping[str, Any]) -> float:
        """NaN where no cost is asked for, or there are no metrics at all: a child that was killed has none."""
        if self.cost is None or not metrics:
            return math.nan
        cost = metrics.get(self.cost)
        if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 < cost < math.inf:
            known = ", ".join(metrics)
            raise InputError(f"ModelGuided.cost: expected a positive metric, got {self.cost} = {cost!r}; there are the metrics {known}")
        return float(cost)

    @gaussian_process.one_thread()
    def expected_gain(self, trainings: int) -> float | None:
        """As of Strategy, if the best of the last candidates are trained; what is learned on the way is not foreseen."""
        if len(self._model) < self.first or not self._last:
            return None
        prediction = self._model.predict(may_refit=False)  # a look changes nothing, or a replay would come out otherwise
        if not prediction.targets.is_accuracy:
            return None
        best = prediction.targets.accuracies(prediction.expected.max())
        found = prediction.targets.accuracies(prediction.samples(self._last[:trainings], _DRAWS).max(axis=1))
        return float(np.mean(np.maximum(found - best, 0.0)))

    def diagnostics(self) -> dict[str, float]:
        """Of the last proposal that the model made: the logarithm of its expected improvement, and the noise.

        The improvement is in standard deviations of the targets, see `gaussian_process.Targets`.
        """
        return {**self._strategy.diagnostics(), **self._diagnostics}

    def state(self) -> bytes:
        arrays = {
            **self._model.state(),
            "pending": np.array(self._pending, np.int32).reshape(-1, len(self._sizes)),
            "known": np.array(sorted(self._known), np.str_),
            "proposed": np.array(self._proposed),
            "diagnostics_names": np.array(list(self._diagnostics), np.str_),
            "diagnostics": np.array(list(self._diagnostics.values())),
            "strategy": np.frombuffer(self._strategy.state(), np.uint8),
        }
        return states.packed(states.identity_of(self), arrays)

    def restore(self, state: bytes) -> None:
        arrays = states.unpacked(states.identity_of(self), state)
        self._strategy.restore(arrays["strategy"].tobytes())
        self._model.restore(arrays)
        self._pending, self._known = _tuples(arrays["pending"]), set(arrays["known"].tolist())
        self._proposed, self._last = arrays["proposed"].item(), []
        self._diagnostics = dict(zip(arrays["diagnostics_names"].tolist(), arrays["diagnostics"].tolist(), strict=True))


def _front(costs: np.ndarray, values: np.ndarray) -> list[int]:
    """Indices of those that none beats in both, the cheapest first; unknown costs are NaN."""
    front: list[int] = []
    for at in np.lexsort((-values, costs)).tolist():
        if not np.isnan(costs[at]) and (not front or values[at] > values[front[-1]]):
            front.append(at)
    return front


def _tuples(decisions: Iterable) -> list[Decisions]:
    return list(map(tuple, np.asarray(decisions).tolist()))
