"""Bayesian optimization: a Gaussian process on features of the cells' graphs selects the architecture to train next.

Each proposal is the one of several hundred candidates, most of them mutants of the best architectures, with the highest expected
improvement. Architectures whose rewards have not arrived are assumed to get the expected reward, so that parallel workers do not train near
duplicates.
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

_PARENTS = 10  # number of trials, and number of candidates, that are mutated in each round
_ROUNDS, _MUTANTS = 8, 60  # rounds of mutation, and mutants per round; each round mutates the best candidates so far
_RANDOM, _OF_THE_STRATEGY = 50, 10  # candidates that are drawn at random, and those proposed by the base strategy
_MORE_MUTATIONS = 0.5  # probability that a mutation is followed by another one, up to four in total
_DIGITS = 6  # scores are rounded to this many decimals before they are compared, because later digits differ between machines
_REMEMBERED = 200  # number of best candidates kept, because another machine may have selected any of them
_MAX_PENDING = 100  # older pending architectures are dropped: their children must have failed
_DRAWS = 200  # samples of the model for the expected gain of more trainings


@dataclasses.dataclass(eq=False)
class ModelGuided(Strategy):
    """Proposes the candidate with the highest expected improvement under a Gaussian process.

    Candidates are mutants of good architectures, random architectures and proposals of a base strategy. Longer trainings by successive
    halving refine the model. Rewards that were predicted for children stopped early count for less, and infeasible architectures count as
    bad ones. After `prime`, rewards from other data are the prior mean, to the extent that the rewards of this search agree with them.

    Attributes:
      space: the search space.
      seed: seed of all random draws, in [0, 2^31).
      strategy: the base strategy, as a function of the space. It makes the first proposals and some of the candidates. None for random
        search.
      first: number of rewards after which the model is first used, 2 or more.
      cost: name of a metric of the children to keep low, such as "mult_adds", "parameters" or "latency_seconds". Proposals then maximize
        the expected hypervolume improvement of the Pareto front of reward and cost. None to maximize the reward alone.
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
        self._known: set[str] = set()  # identities of trials and of pending architectures
        self._last: list[Decisions] = []
        self._diagnostics: dict[str, float] = {}

    def prime(self, decisions: Sequence[Sequence[int]], rewards: Sequence[float]) -> None:
        """Uses rewards that architectures got on other data as the prior mean; see `Strategy.prime`. Each call has a scale of its own."""
        for each in decisions:
            check_decisions("ModelGuided", self.space, each)
        self._model.prime(list(map(tuple, decisions)), rewards)

    def restrict(self, is_allowed: Callable[[Sequence[int]], bool]) -> None:
        """Restricts proposals and the parents of mutants to allowed architectures; see `Strategy.restrict`."""
        self._is_allowed = is_allowed
        self._strategy.restrict(is_allowed)

    def propose(self) -> Proposal:
        """Returns the candidate with the highest expected improvement; repeats a known architecture only if all candidates are known."""
        self._proposed += 1
        own = {proposal.decisions: proposal for proposal in (self._strategy.propose() for _ in range(_OF_THE_STRATEGY))}
        is_guided = self._model.num_rewarded >= self.first or (self._model.is_primed and self._proposed % 2 == 0)
        # Each proposal has a generator of its own, so no generator has to be saved. RandomState gives the same stream in all NumPy
        # versions.
        self._last = self._ranked_candidates(list(own), np.random.RandomState([self.seed, self._proposed])) if is_guided else list(own)
        fresh = (each for each in self._last if self.space.identity_of(each) not in self._known)
        chosen = next((each for each in fresh if self._is_allowed(each)), self._last[0])
        if self._is_allowed(chosen) and self.space.identity_of(chosen) not in self._known:
            self._await(chosen)
        return own.get(chosen) or self.proposal_of(chosen)

    def _await(self, decisions: Decisions) -> None:
        """Remembers that the reward of an architecture will arrive."""
        self._known.add(self.space.identity_of(decisions))
        self._pending = [*self._pending, decisions][-_MAX_PENDING:]

    @gaussian_process.one_thread()
    def _ranked_candidates(self, new: list[Decisions], draws: np.random.RandomState) -> list[Decisions]:
        """Returns the best candidates, the one with the highest expected improvement first.

        Args:
          new: the candidates to start from.
          draws: generator of all random draws.
        """
        score, parents = self._score()
        scores: dict[Decisions, float] = {}  # in the order in which the candidates were created
        new += _tuples(self._random_decisions(draws, _RANDOM))
        ranked: list[Decisions] = []
        for _ in range(_ROUNDS + 1):
            new = [each for each in dict.fromkeys(new) if each not in scores]
            if new:
                scores.update(zip(new, np.round(score(new), _DIGITS).tolist(), strict=True))
                ranked = sorted(scores, key=scores.__getitem__, reverse=True)  # stable: in a tie the earlier candidate comes first
            allowed = itertools.islice(filter(self._is_allowed, ranked), _PARENTS)
            pool = np.array([*parents, *allowed] or ranked[:1])
            new = _tuples(self._mutated(draws, pool[(draws.random_sample(_MUTANTS) * len(pool)).astype(int)]))
        numbers = {"log_expected_improvement": scores[ranked[0]], "noise_ratio": self._model.noise_ratio}
        self._diagnostics = {name: float(number) for name, number in numbers.items()}
        return ranked[:_REMEMBERED]

    def _score(self) -> tuple[Callable[[list[Decisions]], np.ndarray], list[Decisions]]:
        """Returns the function that scores candidates, and the trials to mutate.

        The trials to mutate are those with the highest expected rewards or, with a cost, those on the Pareto front.
        """
        model = self._model
        if not model.num_rewarded:  # there is only the prior mean
            return lambda candidates: model.prior_mean(model.scaled(candidates)), []
        prediction = model.predict(self._pending)
        order = np.argsort(-np.round(prediction.expected, _DIGITS), kind="stable")
        trials = [model.decisions[place] for place in prediction.seen]
        costs = np.array([model.costs[place] for place in prediction.seen])
        if self.cost is not None and np.isnan(costs).all():
            raise InputError(f"ModelGuided.cost: expected the children to report the metric {self.cost}, but none has reported any metrics")
        if self.cost is None:
            best = float(prediction.expected[order[0]])
            parents = [trials[place] for place in order[:_PARENTS]]
            return lambda candidates: gaussian_process.log_expected_improvement(*prediction.of(candidates), best), parents
        logs = np.log(costs)
        front = _front(logs, np.round(prediction.expected, _DIGITS))
        steps = [(float(logs[at]), float(prediction.expected[at])) for at in front]
        # The reference point: costs up to a margin above the highest so far count, and rewards below the median do not.
        worst = float(2 * np.nanmax(logs) - np.nanmin(logs)), float(np.median(prediction.expected))

        cost_of = model.cost_model()

        def score(candidates: list[Decisions]) -> np.ndarray:
            return gaussian_process.log_hypervolume_improvement(*prediction.of(candidates), cost_of(candidates), steps, worst)

        return score, [trials[at] for at in front[-2 * _PARENTS :]]

    def _random_decisions(self, draws: np.random.RandomState, count: int) -> np.ndarray:
        return (draws.random_sample((count, len(self._sizes))) * self._sizes).astype(int)

    def _mutated(self, draws: np.random.RandomState, parents: np.ndarray) -> np.ndarray:
        """Changes one decision of each parent, sometimes two to four."""
        found, rows = parents.copy(), np.arange(len(parents))
        for _ in range(4):
            places = self._places[(draws.random_sample(len(rows)) * len(self._places)).astype(int)]
            values = (draws.random_sample(len(rows)) * (self._sizes[places] - 1)).astype(int)
            found[rows, places] = values + (values >= found[rows, places])  # skips the current value
            rows = rows[draws.random_sample(len(rows)) < _MORE_MUTATIONS]
        return found

    def would_propose(self, proposal: Proposal) -> bool:
        """Returns whether `proposal` is one of the last candidates.

        Another machine may round differently and select another one of several candidates with nearly equal scores.
        """
        return proposal.decisions in self._last and is_near(proposal, self.proposal_of(proposal.decisions))

    def proposal_of(self, decisions: Sequence[int]) -> Proposal:
        """Returns the proposal that the base strategy makes of these decisions."""
        return self._strategy.proposal_of(decisions)

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Passes the reward to both the model and the base strategy."""
        self.observe(Observation(proposal, reward))

    def observe(self, observation: Observation) -> None:
        """Learns the result of a training; the model also uses the cost and the rewards of longer trainings.

        Raises:
          InputError: the reward is not finite, the decisions are not of this space, or the metric `cost` is missing or not positive.
        """
        proposal = observation.proposal
        check_reward(observation.reward)
        check_decisions("ModelGuided", self.space, proposal.decisions)
        self._strategy.observe(observation)
        decisions = tuple(proposal.decisions)
        if observation.rung:
            self._model.add_longer(decisions, float(observation.reward))
            return
        self._forget(decisions)
        self._known.add(self.space.identity_of(decisions))
        self._model.add(decisions, float(observation.reward), observation.is_predicted, self._cost_of(observation.metrics))

    def reject(self, proposal: Proposal) -> None:
        """Learns that an architecture is infeasible. The model counts it as a bad one until a reward of it arrives."""
        check_decisions("ModelGuided", self.space, proposal.decisions)
        self._strategy.reject(proposal)
        decisions = tuple(proposal.decisions)
        self._forget(decisions)
        self._known.add(self.space.identity_of(decisions))
        self._model.add_infeasible(decisions)

    def replace(self, own: Proposal, recorded: Proposal) -> None:
        """Waits for the reward of `recorded` instead of that of `own`; see `Strategy.replace`."""
        if own.decisions in self._pending:
            self._forget(own.decisions)
            self._known.discard(self.space.identity_of(own.decisions))
        if self.space.identity_of(recorded.decisions) not in self._known:
            self._await(tuple(recorded.decisions))

    def _forget(self, decisions: Decisions) -> None:
        """Stops waiting for the reward of an architecture."""
        if decisions in self._pending:
            self._pending.remove(decisions)

    def _cost_of(self, metrics: Mapping[str, Any]) -> float:
        """Returns the cost among `metrics`; NaN if no cost was asked for, or if there are no metrics because the child was killed."""
        if self.cost is None or not metrics:
            return math.nan
        cost = metrics.get(self.cost)
        if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 < cost < math.inf:
            known = ", ".join(metrics)
            raise InputError(f"ModelGuided.cost: expected a positive metric, got {self.cost} = {cost!r}; the children report {known}")
        return float(cost)

    @gaussian_process.one_thread()
    def expected_gain(self, trainings: int) -> float | None:
        """Returns the expected rise of the best accuracy if the best `trainings` of the last candidates are trained, in [0, 1].

        The estimate ignores that the model would learn from these trainings. None if the model is not in use yet or the rewards are not
        accuracies.
        """
        if self._model.num_rewarded < self.first or not self._last:
            return None
        prediction = self._model.predict(may_refit=False)  # must not change the state, or a replay would give a different search
        if not prediction.targets.is_accuracy:
            return None
        best = prediction.targets.accuracies(prediction.expected.max())
        found = prediction.targets.accuracies(prediction.samples(self._last[:trainings], _DRAWS).max(axis=1))
        return float(np.mean(np.maximum(found - best, 0.0)))

    def diagnostics(self) -> dict[str, float]:
        """Returns the base strategy's diagnostics, the noise ratio, and the log expected improvement of the last proposal of the model.

        The improvement is in standard deviations of the targets; see `gaussian_process.Targets`.
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
    """Returns the indices of the Pareto front of low costs and high values, the cheapest first; leaves out costs that are NaN."""
    front: list[int] = []
    for at in np.lexsort((-values, costs)).tolist():
        if not np.isnan(costs[at]) and (not front or values[at] > values[front[-1]]):
            front.append(at)
    return front


def _tuples(decisions: Iterable) -> list[Decisions]:
    return list(map(tuple, np.asarray(decisions).tolist()))
