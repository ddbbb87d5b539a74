"""Beginning from what is known: architectures to try first, and the trials of earlier searches."""

import fnmatch
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nasnet_tf import claims
from nasnet_tf.errors import InputError
from nasnet_tf.files import user_path
from nasnet_tf.genotype import SearchSpace, load_genotype
from nasnet_tf.nas import states
from nasnet_tf.nas.journal import read_identity, read_trials
from nasnet_tf.nas.strategies import Proposal, Strategy, is_near, proposal_of, would_propose
from nasnet_tf.nas.trials import Trial, architectures

# Bindings that say how architectures are chosen, not what their rewards mean.
_CHOICE = (
    "search.strategy",
    "search.seeds",
    "search.take_over",
    "search.train_again",
    "search.early_stopping",
    "EarlyStopping.*",
    "search.deadline_reward",
    "PPOSearch.*",
    "RandomSearch.*",
    "RegularizedEvolution.*",
    "Prescreened.*",
)


class Seeded:
    """Proposes given architectures, one after the other, and then what another strategy proposes, which learns of all.

    Args:
      strategy: the other one, fresh.
      seeds: decisions of its space.
    """

    def __init__(self, strategy: Strategy, seeds: Sequence[Sequence[int]]):
        self._strategy, self._seeds, self._next = strategy, [tuple(seed) for seed in seeds], 0
        self._identity = {"strategy": "Seeded", "seeds": self._seeds}
        self._last: Proposal | None = None  # the seed proposed last, None since the others began

    def propose(self) -> Proposal:
        """The next seed; after them, the strategy's proposal."""
        self._last = None
        if self._next == len(self._seeds):
            return self._strategy.propose()
        self._next += 1
        self._last = proposal_of(self._strategy, self._seeds[self._next - 1])
        return self._last

    def would_propose(self, proposal: Proposal) -> bool:
        """As PPOSearch has it; a seed's probabilities may be nearly the same."""
        if self._last is None:
            return would_propose(self._strategy, proposal)
        return is_near(proposal, self._last)

    def proposal_of(self, decisions: Sequence[int]) -> Proposal:
        """The strategy's own."""
        return proposal_of(self._strategy, decisions)

    def feedback(self, proposal: Proposal, reward: float) -> None:
        """Goes to the strategy."""
        self._strategy.feedback(proposal, reward)

    def diagnostics(self) -> dict[str, float]:
        """The strategy's."""
        return self._strategy.diagnostics()

    def state(self) -> bytes:
        """Which seed is next, and the strategy's state."""
        return states.packed(self._identity, {"next": np.array(self._next), "strategy": np.frombuffer(self._strategy.state(), np.uint8)})

    def restore(self, state: bytes) -> None:
        """As of Strategy."""
        arrays = states.unpacked(self._identity, state)
        self._strategy.restore(arrays["strategy"].tobytes())
        self._next, self._last = arrays["next"].item(), None


def seeds_of(space: SearchSpace, names: Sequence[str]) -> list[tuple[int, ...]]:
    """Decisions of genotypes by their names or paths; says so where an architecture of the space is only the nearest to one.

    Raises:
      InputError: no such genotype, or one with other blocks than the space's.
    """
    found = []
    for name in names:
        genotype = load_genotype(name)
        decisions = space.nearest(genotype)
        try:
            space.encode(genotype)
        except InputError as error:
            print(f"search.seeds: {name}: {error}; tried is the one of the same blocks in the cells that are searched")
        found.append(decisions)
    return found


def trials_of(folders: Sequence[str], identity: Mapping) -> Iterator[tuple[str, Trial]]:
    """(folder, trial) of all architectures that other searches have rewarded by a training to its end.

    Args:
      folders: their work folders.
      identity: of the search that is to take them over.

    Raises:
      InputError: no search there, or one whose rewards mean something else: another space, data, training or objective.
    """
    for name in folders:
        folder = user_path(name)
        difference = claims.first_difference(_task(read_identity(folder)), _task(identity))
        if difference:
            raise InputError(f"search.take_over: the trials of {name} are of another task: {difference} here")
        yield from ((str(name), trial) for trial in architectures(read_trials(folder)) if not trial.is_predicted)


def _task(identity: Mapping) -> dict:
    return {name: value for name, value in identity.items() if not any(fnmatch.fnmatchcase(name, pattern) for pattern in _CHOICE)}


def check_folders(folders: Sequence[str], workdir: pathlib.Path) -> None:
    """Raises InputError if a search is to take itself over."""
    for name in folders:
        if user_path(name).resolve() == workdir.resolve():
            raise InputError(f"search.take_over: expected work folders of other searches, got this one's, {name}")
