"""A search guided by a model: a Gaussian process on features of the cells' graphs says which architecture to train next.

Of some hundred candidates, mutants of the best ones mostly, the one with the highest expected improvement is proposed. Architectures whose
rewards have not arrived count as if they had done as the model expects, so that parallel workers do not get near-twins.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from nasnet_tf.base.values import Seed, at_least, check_fields
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas.strategies import gaussian_process, states
from nasnet_tf.nas.strategies.graph_features import GraphFeatures
from nasnet_tf.nas.strategies.protocol import Proposal, Strategy, check_decisions, check_reward, is_near
from nasnet_tf.nas.strategies.random_search import RandomSearch

Decisions = tuple[int, ...]

_PARENTS = 10  # of the trained, and of the candidates, whose mutants become candidates
_ROUNDS, _MUTANTS = 8, 60  # each round mutates the best candidates of those before
_RANDOM, _OF_THE_STRATEGY = 50, 10  # candidates that are no mutants
_MORE_MUTATIONS = 0.5  # probability of a second mutation, after that of a third, and of a fourth, the last
_MOST_TRIALS = 300  # that the model sees: the best and the newest, half each, so that a proposal's time is bounded
_REFIT = 1.1  # the noise is fitted again when the trials that the model sees have grown by this factor
_SCALE_SAMPLES = 1000  # random architectures, over which features have mean 0 and standard deviation 1
_DIGITS = 6  # that scores are compared to: those after them depend on the machine
_REMEMBERED = 200  # candidates, among which another machine may have chosen otherwise


@dataclasses.dataclass(eq=False)
class ModelGuided(Strategy):
    """Expected improvement of a Gaussian process, maximized over mutants, random architectures and another strategy's proposals.

    Attributes:
      space: the decisions to take.
      seed: of all draws, in [0, 2^31).
      strategy: (space) -> the base strategy, which makes the first proposals and some of the candidates; None for random search.
      first: rewards before the model chooses, 2 or more.
    """

    space: SearchSpace
    seed: Seed
    strategy: Callable[[SearchSpace], Strategy] | None = None
    first: at_least(2) = 10

    def __post_init__(self):
        check_fields(self)
        space = self.space
        self._strategy = RandomSearch(space, self.seed) if self.strategy is None else self.strategy(space)
        self._sizes = np.array(space.sizes)
        self._places = np.flatnonzero(self._sizes > 1)
        self._features = GraphFeatures(space)
        self._scale = gaussian_process.Scale(self._features(self._random_decisions(np.random.RandomState(0), _SCALE_SAMPLES)))
        self._proposed = 0
        self._decisions: list[Decisions] = []
        self._inputs: list[np.ndarray] = []
        self._rewards: list[float] = []
        self._pending: list[Decisions] = []
        self._known: set[str] = set()  # identities of trials and pending ones
        self._noise_ratio, self._fitted_trials = gaussian_process.NOISE_RATIOS[-1], 0
        self._last: list[Decisions] = []
        self._diagnostics: dict[str, float] = {}

    def propose(self) -> Proposal:
        """The candidate that is expected to improve most on the best of now; never one that is known, while others can be found."""
        self._proposed += 1
        own = {proposal.decisions: proposal for proposal in (self._strategy.propose() for _ in range(_OF_THE_STRATEGY))}
        if len(self._rewards) < self.first:
            self._last = list(own)
        else:
            # A generator for each proposal: its stream is the same in all versions of NumPy, and nothing of it is left to be saved.
            self._last = self._ranked_candidates(list(own), np.random.RandomState([self.seed, self._proposed]))
        chosen = next((each for each in self._last if self.space.identity_of(each) not in self._known), self._last[0])
        if self.space.identity_of(chosen) not in self._known:
            self._known.add(self.space.identity_of(chosen))
            self._pending.append(chosen)
        return own.get(chosen) or self.proposal_of(chosen)

    def _ranked_candidates(self, new: list[Decisions], draws: np.random.RandomState) -> list[Decisions]:
        """The best candidates, those with the highest expected improvement first; `new` are candidates to begin with."""
        fit, seen = self._fit(self._pending)
        order = np.argsort(-np.round(fit.expected, _DIGITS), kind="stable")
        best, parents = float(fit.expected[order[0]]), [self._decisions[seen[place]] for place in order[:_PARENTS]]
        scores: dict[Decisions, float] = {}  # in the order in which the candidates were made
        new += _tuples(self._random_decisions(draws, _RANDOM))
        ranked: list[Decisions] = []
        for _ in range(_ROUNDS + 1):
            new = [each for each in dict.fromkeys(new) if each not in scores]
            if new:
                improvements = gaussian_process.log_expected_improvement(*fit.predict(self._scaled(new)), best)
                scores.update(zip(new, np.round(improvements, _DIGITS).tolist(), strict=True))
                ranked = sorted(scores, key=scores.__getitem__, reverse=True)  # stable: of equals the earlier one
            pool = np.array(parents + ranked[:_PARENTS])
            new = _tuples(self._mutated(draws, pool[(draws.random_sample(_MUTANTS) * len(pool)).astype(int)]))
        numbers = {"log_expected_improvement": scores[ranked[0]], "noise_ratio": self._noise_ratio, "trials_of_the_model": len(seen)}
        self._diagnostics = {name: float(number) for name, number in numbers.items()}
        return ranked[:_REMEMBERED]

    def _fit(self, pending: Sequence[Decisions]) -> tuple[gaussian_process.Fit, list[int]]:
        """The model of now, and the indices of the trials that it has seen."""
        values, _ = gaussian_process.targets(np.array(self._rewards))
        seen = list(range(len(values)))
        if len(seen) > _MOST_TRIALS:
            half = _MOST_TRIALS // 2
            best = np.argsort(-np.round(values[:-half], _DIGITS), kind="stable")[:half].tolist()
            seen = sorted(best) + seen[-half:]
        inputs, values, noise = np.array(self._inputs)[seen], values[seen], np.ones(len(seen))
        if len(values) >= self._fitted_trials * _REFIT:
            self._noise_ratio = gaussian_process.best_noise_ratio(gaussian_process.kernel(inputs, inputs), values, noise)
            self._fitted_trials = len(values)
        unknown = self._scaled(pending) if pending else inputs[:0]
        return gaussian_process.fit(inputs, values, self._noise_ratio * noise, unknown), seen

    def _scaled(self, decisions: Sequence[Decisions]) -> np.ndarray:
        return self._scale(self._features(decisions))

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
        check_reward(reward)
        check_decisions("ModelGuided", self.space, proposal.decisions)
        self._strategy.feedback(proposal, reward)
        decisions = tuple(proposal.decisions)
        if decisions in self._pending:
            self._pending.remove(decisions)
        self._known.add(self.space.identity_of(decisions))
        self._decisions.append(decisions)
        self._inputs.append(self._scaled([decisions])[0])
        self._rewards.append(float(reward))

    def diagnostics(self) -> dict[str, float]:
        """Of the last proposal that the model made: the logarithm of its expected improvement, the noise, and the trials it has seen.

        The improvement is in standard deviations of the target, see `gaussian_process.targets`.
        """
        return {**self._strategy.diagnostics(), **self._diagnostics}

    def state(self) -> bytes:
        arrays = {
            **{name: np.array(values, np.int32).reshape(-1, len(self._sizes)) for name, values in self._lists().items()},
            "known": np.array(sorted(self._known), np.str_),
            "rewards": np.array(self._rewards),
            "counts": np.array([self._proposed, self._fitted_trials]),
            "noise_ratio": np.array(self._noise_ratio),
            "diagnostics_names": np.array(list(self._diagnostics), np.str_),
            "diagnostics": np.array(list(self._diagnostics.values())),
            "strategy": np.frombuffer(self._strategy.state(), np.uint8),
        }
        return states.packed(states.identity_of(self), arrays)

    def _lists(self) -> dict[str, list[Decisions]]:
        return {"decisions": self._decisions, "pending": self._pending}

    def restore(self, state: bytes) -> None:
        arrays = states.unpacked(states.identity_of(self), state)
        self._strategy.restore(arrays["strategy"].tobytes())
        self._decisions, self._pending = (_tuples(arrays[name]) for name in self._lists())
        self._inputs = list(self._scaled(self._decisions)) if self._decisions else []
        self._rewards = arrays["rewards"].tolist()
        self._known = set(arrays["known"].tolist())
        self._proposed, self._fitted_trials = arrays["counts"].tolist()
        self._noise_ratio, self._last = arrays["noise_ratio"].item(), []
        self._diagnostics = dict(zip(arrays["diagnostics_names"].tolist(), arrays["diagnostics"].tolist(), strict=True))


def _tuples(decisions: Iterable) -> list[Decisions]:
    return list(map(tuple, np.asarray(decisions).tolist()))
