"""The ledger: which trials there are, what they earned, which must run again. It alone calls the strategy and writes the journal.

A strategy is a pure function of the calls made to it, and the journal has all of them in their order. A restart repeats the calls, checks
that every proposal comes out as it was, and so restores the strategy: to the bit, on the same kind of machine. On another machine, where
sums round otherwise, the journal's proposals count. Snapshots only shorten the replay.
"""

import dataclasses
import pathlib
from collections.abc import Iterable

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, format_genotype, genotype_hash
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.strategies.protocol import Observation, Proposal, Strategy
from nasnet_tf.nas.trials import outcomes
from nasnet_tf.nas.trials.events import Ended, Event, Finished, Infeasible, Proposed, Quarantined, Spent, Taken
from nasnet_tf.nas.trials.faults import FaultTolerance
from nasnet_tf.nas.trials.journal import NAME, Journal, located
from nasnet_tf.nas.trials.snapshots import read_snapshots, write_snapshot
from nasnet_tf.nas.trials.trial import Status, Trial, apply_event, leaderboard
from nasnet_tf.nas.trials.update_log import UpdateLog
from nasnet_tf.version import __version__

DEFAULT_TOLERANCE = FaultTolerance()
_SNAPSHOT_EVERY_ROWS = 1000


class Ledger:
    """All trials of a search.

    Args:
      workdir: holds the journal.
      space: decodes decisions.
      strategy: in the state its constructor left it in.
      identity: what makes this search this one and no other.
      train_again: an architecture that is proposed again is trained again, rather than to get the reward it had.
      tolerance: when a trial that failed is given up.
      deadline_reward: what the strategy learns of a child that was killed at its deadline; None for nothing.
      scalars: every result goes to TensorBoard's files.

    Attributes:
      workdir: as given.
      trials: all of them, by number.
      num_restored: events that were in the journal.
      num_ended: trials that will not run (again).
      num_trained: trials of num_ended that were rewarded or infeasible by a training of their own.
      num_since_best: trainings that ended since the best trial got its reward.
      num_taken: trials that were taken over from other searches.
      child_seconds: of all executions.
      best: the finished trial of the highest reward that was measured, the earliest among equals; None before the first.
      finished: the finished trials, in the order in which they got their first reward.
      quarantined: machines that were quarantined since the ledger was opened.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        space: SearchSpace,
        strategy: Strategy,
        identity: Identity,
        train_again: bool = False,
        tolerance: FaultTolerance = DEFAULT_TOLERANCE,
        deadline_reward: float | None = None,
        scalars: bool = False,
    ):
        self.workdir, self._space, self._strategy = workdir, space, strategy
        self._train_again, self._tolerance, self._deadline_reward = train_again, tolerance, deadline_reward
        self.trials: list[Trial] = []
        self.num_ended = self.num_trained = self.num_taken = self.num_since_best = 0
        self.child_seconds = 0.0
        self._scalars = scalars
        self.best: Trial | None = None
        self.finished: list[Trial] = []
        self.quarantined: list[str] = []
        self._known: dict[str, Trial] = {}  # by hash, the first trial of each architecture that was rewarded or infeasible
        self._journal = Journal(workdir, identity)
        self.num_restored = self._journal.num_rows - 1
        self._num_rewards = 0
        self._explained: set[str] = set()
        if self._journal.begun_by != __version__:
            print(f"{workdir / NAME}: begun with nasnet_tf {self._journal.begun_by}, goes on with {__version__}")
        self._updates: UpdateLog | None = None
        try:
            self._updates = UpdateLog(workdir, is_new=self.num_restored == 0)
            self._restore()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Releases the work folder."""
        self._journal.close()
        if self._updates is not None:
            self._updates.close()

    def _restore(self) -> None:
        known_rows = self._restore_snapshot()
        for row in self._journal.rows():
            with located(self.workdir / NAME, row.line):
                is_new = row.line > known_rows
                if not self._apply(row.event, is_new):
                    print(f"{self.workdir / NAME}: line {row.line} repeats what is known; ignored")
                elif is_new and type(row.event) is Proposed:
                    self._check_proposal(self.trials[-1])

    def _restore_snapshot(self) -> int:
        """Brings the strategy to the newest state that fits the journal; returns after how many of its lines that was."""
        snapshots = list(read_snapshots(self.workdir))
        wanted = {rows for _, rows, _, _ in snapshots}
        digests = {row.line: row.digest for row in self._journal.rows() if row.line in wanted} if wanted else {}
        for path, rows, digest, state in snapshots:
            if digests.get(rows) != digest:
                print(f"{path}: belongs to another journal; passed over")
                continue
            try:
                self._strategy.restore(state)
                return rows
            except InputError as error:
                print(f"{path}: {error}; passed over")
        return 0

    def _check_proposal(self, trial: Trial) -> None:
        """Whether the strategy proposes what the journal has; where that can be explained, the journal counts.

        Raises:
          InputError: the trial is of another search.
        """
        own, recorded = self._strategy.propose(), Proposal(trial.decisions, trial.log_probs)
        if own == recorded:
            return
        if self._journal.begun_by != __version__:
            why = "the search was begun with another version"
        elif self._strategy.would_propose(recorded):
            why = "it was written on a machine with other arithmetic"
        else:
            raise InputError(
                f"trial {trial.number} is not what this search would have proposed: the journal was changed; use another work folder"
            )
        if why not in self._explained:
            self._explained.add(why)
            others = "they are not what would be proposed here, but they count"
            print(f"{self.workdir / NAME}: proposals from trial {trial.number} on: {why}; {others}")

    def _apply(self, event: Event, is_new: bool = True) -> bool:
        """Takes in one event; what is new since the strategy's state reaches the strategy."""
        if not apply_event(self.trials, event):
            return False
        match event:
            case Spent():
                self.child_seconds += event.seconds
            case Quarantined():
                self._count_again()
            case Ended() if event.rung:
                self._promote(self.trials[event.trial], event, is_new)
            case Taken() | Ended():
                self._end(self.trials[event.trial], event, is_new)
        return True

    def _promote(self, trial: Trial, event: Ended, is_new: bool) -> None:
        self.child_seconds += event.seconds
        self._set_best(next((trial for trial in leaderboard(self.trials) if not trial.is_predicted), None))
        if isinstance(event, Finished):
            if self.best is trial:
                self.num_since_best = 0  # it may have been the best, and is better now
            if is_new:
                self._observe(trial, event.reward, event.rung)

    def _observe(self, trial: Trial, reward: float, rung: int = 0) -> None:
        proposal = Proposal(trial.decisions, trial.log_probs)
        self._strategy.observe(Observation(proposal, reward, trial.metrics, rung, trial.is_predicted))

    def _set_best(self, trial: Trial | None) -> None:
        if trial is not self.best:
            self.best, self.num_since_best = trial, 0

    def _end(self, trial: Trial, event: Taken | Ended, is_new: bool) -> None:
        self.child_seconds += event.seconds
        self.num_taken += isinstance(event, Taken)
        if trial.status != Status.FAILED or self._tolerance.is_given_up(trial):
            self.num_ended += 1
        if trial.is_rewarded_or_infeasible:
            self._known.setdefault(trial.hash, trial)
            self.num_trained += trial.is_own
            self.num_since_best += trial.is_own
        if trial.status == Status.FINISHED:
            self.finished.append(trial)
            if not trial.is_predicted and (self.best is None or _merit(trial) > _merit(self.best)):
                self._set_best(trial)
        learned = trial.reward if trial.status == Status.FINISHED else event.policy_reward
        if learned is None:
            return
        self._num_rewards += 1
        if is_new:
            self._observe(trial, learned)
            self._updates.write(self._strategy.diagnostics(), self._num_rewards)
            if self._scalars and trial.status == Status.FINISHED:
                best = {} if self.best is None else {"best": self.best.reward}
                self._updates.write_trial(trial.number, reward=trial.reward, seconds=event.seconds, **best)

    def _count_again(self) -> None:
        """Counts anew after a machine was quarantined: some trials that had ended are open again."""
        ended = [trial for trial in self.trials if trial.is_rewarded_or_infeasible]
        self.num_ended = len(ended) + sum(map(self._tolerance.is_given_up, self.trials))
        self.num_trained = sum(trial.is_own for trial in ended)
        self._known = {trial.hash: trial for trial in reversed(ended)}

    def quarantine(self, machine: str, reason: str) -> None:
        """Writes down that what failed or was infeasible on a machine no longer counts."""
        self._write(Quarantined(machine=machine, reason=reason))
        self.quarantined.append(machine)

    def _write(self, event: Event) -> None:
        self._journal.append(event)
        self._apply(event)
        if self._journal.num_rows % _SNAPSHOT_EVERY_ROWS == 0:
            write_snapshot(self.workdir, self._journal.num_rows, self._journal.digest, self._strategy.state())

    def expected_gain(self, trainings: int) -> float | None:
        """How much the strategy expects the best accuracy to rise by so many more trainings; None where it does not know."""
        return self._strategy.expected_gain(trainings)

    def unfinished(self) -> list[Trial]:
        """Trials that were running when the search was killed, or failed with attempts left."""
        open_trials = (trial for trial in self.trials if not trial.is_rewarded_or_infeasible)
        return [trial for trial in open_trials if not self._tolerance.is_given_up(trial)]

    def take_over(self, others: Iterable[tuple[str, Trial]]) -> None:
        """Begins with the rewarded trials of other searches, each (its work folder, trial), each architecture once.

        A search that has trials of its own keeps what it began with.

        Raises:
          InputError: a trial of another space.
        """
        if len(self.trials) > self.num_taken:
            return
        for folder, other in others:
            if other.hash in self._known:
                continue
            decisions = self._space.encode(other.genotype)
            proposed = self._proposed(self._strategy.proposal_of(decisions)) | {"hash": other.hash}
            self._write(Taken(**proposed, reward=other.reward, metrics=other.metrics, taken_from=folder))

    def propose(self) -> Trial:
        """Returns the next trial; it has ended at once where its architecture is known, unless that is to be trained again."""
        self._write(Proposed(**self._proposed(self._strategy.propose())))
        self.settle(self.trials[-1])
        return self.trials[-1]

    def _proposed(self, proposal: Proposal) -> dict:
        """Returns the fields of Proposed for the next trial."""
        number = len(self.trials)
        genotype = self._space.decode(proposal.decisions, name=f"trial_{number}")
        made = {"trial": number, "genotype": format_genotype(genotype), "hash": genotype_hash(genotype)}
        return made | {"decisions": tuple(proposal.decisions), "log_probs": tuple(proposal.log_probs)}

    def settle(self, trial: Trial) -> bool:
        """Ends a trial as an earlier one of the same architecture ended; returns whether there is one whose end counts for it."""
        twin = None if self._train_again else self._known.get(trial.hash)
        if twin is None:
            return False
        common = {"trial": trial.number, "attempt": trial.attempts + 1, "seconds": 0.0, "reused_from": twin.number}
        if twin.status == Status.INFEASIBLE:
            self._write(Infeasible(reason=twin.reason, **common))
        else:
            reward = twin.rung_rewards[0] if twin.rung_rewards else twin.reward  # what the strategy learns of all
            self._write(Finished(reward=reward, metrics=twin.metrics, **common))
        return True

    def record(self, outcome: Outcome, rung: int | None = None) -> Trial:
        """Writes down how an execution ended, and rewards the strategy if it ended well; a second outcome of a trial is ignored.

        Args:
          outcome: as the engine reports it; its key is the number of the trial.
          rung: the rung of successive halving that the execution was to reach, from 0; None without.
        """
        trial = self.trials[outcome.key]
        if trial.is_rewarded_or_infeasible and not rung:
            print(f"trial {trial.number}: another result came late; ignored")
            return trial
        event = outcomes.ended(outcome, trial, rung, self._deadline_reward)
        if outcome.machine in self.quarantined and not isinstance(event, Finished):  # what still ran there
            lost = dataclasses.replace(outcome, reason=outcome.reason or event.reason, lost=True, over_deadline=False)
            event = outcomes.ended(lost, trial, rung, self._deadline_reward)
        self._write(event)
        return trial

    def spend(self, what: str, seconds: float) -> None:
        """Writes down what was spent before any trial; once for a search."""
        if seconds and not any(isinstance(row.event, Spent) for row in self._journal.rows()):
            self._write(Spent(what=what, seconds=round(seconds, 3)))


def _merit(trial: Trial) -> tuple:
    """The larger, the better; as in `leaderboard`."""
    return len(trial.rung_rewards), trial.reward, -trial.number
