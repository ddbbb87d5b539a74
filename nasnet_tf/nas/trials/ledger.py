"""The ledger: the trials of a search, their rewards, and which of them must run again.

Only the ledger calls the strategy and writes the journal. The state of a strategy depends only on the calls made to it, and the journal
records these calls in order. A restart repeats the calls and checks that each proposal is the same as before. This restores the strategy,
bit for bit on the same kind of machine. On a machine that rounds differently, the proposals in the journal are used. Snapshots only shorten
the replay.
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
from nasnet_tf.nas.trials.best import Best
from nasnet_tf.nas.trials.events import Ended, Event, Finished, Infeasible, Proposed, Quarantined, Spent, Taken
from nasnet_tf.nas.trials.faults import FaultTolerance
from nasnet_tf.nas.trials.journal import NAME, Journal, located
from nasnet_tf.nas.trials.snapshots import read_snapshots, write_snapshot
from nasnet_tf.nas.trials.trial import Status, Trial, apply_event
from nasnet_tf.nas.trials.update_log import UpdateLog
from nasnet_tf.version import __version__

DEFAULT_TOLERANCE = FaultTolerance()
_SNAPSHOT_EVERY_ROWS = 1000


class Ledger:
    """Keeps all trials of a search.

    Args:
      workdir: work folder with the journal.
      space: search space, which decodes decisions.
      strategy: newly constructed.
      identity: identity of the search: the settings that must not change when it is resumed.
      train_again: whether an architecture that is proposed again is trained again. If not, it gets the reward it had.
      tolerance: decides when a failed trial is given up.
      deadline_reward: reward that the strategy learns for a child killed at its deadline; None for none.
      scalars: whether results are also written to TensorBoard's files.

    Attributes:
      workdir: the work folder.
      trials: all trials, by number.
      num_restored: number of events that were in the journal when the ledger was opened.
      num_ended: number of trials that will not run again, because they are rewarded, infeasible or given up.
      num_trained: number of these trials that were rewarded or infeasible after a training of their own.
      num_taken: number of trials that were taken over from other searches.
      child_seconds: total time of all executions.
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
        self.num_ended = self.num_trained = self.num_taken = 0
        self.child_seconds = 0.0
        self._scalars = scalars
        self._best = Best()
        self.finished: list[Trial] = []
        self.quarantined: list[str] = []
        self._known: dict[str, Trial] = {}  # the first rewarded or infeasible trial of each architecture, by hash
        self._journal = Journal(workdir, identity)
        self.num_restored = self._journal.num_rows - 1
        self._num_rewards = 0
        self._explained: set[str] = set()
        if self._journal.begun_by != __version__:
            print(f"{workdir / NAME}: begun with nasnet_tf {self._journal.begun_by}, continued with {__version__}")
        self._updates: UpdateLog | None = None
        try:
            self._updates = UpdateLog(workdir, is_new=self.num_restored == 0)
            self._restore()
        except BaseException:
            self.close()
            raise

    @property
    def best(self) -> Trial | None:
        """The best trial, whose reward was measured; None before the first."""
        return self._best.trial

    @property
    def num_since_best(self) -> int:
        """Number of trainings that have ended since the best trial got its reward."""
        return self._best.num_since

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
                    print(f"{self.workdir / NAME}: line {row.line} repeats an earlier line; ignored")
                elif is_new and type(row.event) is Proposed:
                    self._check_proposal(self.trials[-1])

    def _restore_snapshot(self) -> int:
        """Restores the strategy from the newest snapshot that fits the journal; returns the number of journal lines it includes."""
        snapshots = list(read_snapshots(self.workdir))
        wanted = {rows for _, rows, _, _ in snapshots}
        digests = {row.line: row.digest for row in self._journal.rows() if row.line in wanted} if wanted else {}
        for path, rows, digest, state in snapshots:
            if digests.get(rows) != digest:
                print(f"{path}: belongs to another journal; skipped")
                continue
            try:
                self._strategy.restore(state)
                return rows
            except InputError as error:
                print(f"{path}: {error}; skipped")
        return 0

    def _check_proposal(self, trial: Trial) -> None:
        """Compares the strategy's next proposal with that in the journal, which is used in any case.

        Raises:
          InputError: they differ, and neither another version of the package nor another machine explains it.
        """
        own, recorded = self._strategy.propose(), Proposal(trial.decisions, trial.log_probs)
        if own == recorded:
            return
        if self._journal.begun_by != __version__:
            why = "the search was begun with another version"
        elif self._strategy.would_propose(recorded):
            why = "the journal was written on a machine that rounds differently"
        else:
            raise InputError(
                f"trial {trial.number} is not what this search would have proposed: the journal was changed; use another work folder"
            )
        self._strategy.replace(own, recorded)
        if why not in self._explained:
            self._explained.add(why)
            differ = f"from trial {trial.number} on, proposals differ from those of this version and machine"
            print(f"{self.workdir / NAME}: {differ}: {why}; the proposals in the journal are used")

    def _apply(self, event: Event, is_new: bool = True) -> bool:
        """Applies an event to the trials and, if `is_new`, to the strategy; returns False if the event repeats an earlier one."""
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
        self._best.promote(trial, self.trials, isinstance(event, Finished))
        if is_new and isinstance(event, Finished):
            self._observe(trial, event.reward, event.rung)

    def _observe(self, trial: Trial, reward: float, rung: int = 0) -> None:
        proposal = Proposal(trial.decisions, trial.log_probs)
        self._strategy.observe(Observation(proposal, reward, trial.metrics, rung, trial.is_predicted))

    def _end(self, trial: Trial, event: Taken | Ended, is_new: bool) -> None:
        self.child_seconds += event.seconds
        self.num_taken += isinstance(event, Taken)
        if trial.status != Status.FAILED or self._tolerance.is_given_up(trial):
            self.num_ended += 1
        if trial.is_rewarded_or_infeasible:
            self._known.setdefault(trial.hash, trial)
            self.num_trained += trial.is_own
        if trial.status == Status.FINISHED:
            self.finished.append(trial)
        self._best.end(trial, self.trials)
        learned = trial.reward if trial.status == Status.FINISHED else event.policy_reward
        if learned is None:
            if is_new and trial.status == Status.INFEASIBLE:
                self._strategy.reject(Proposal(trial.decisions, trial.log_probs))
            return
        self._num_rewards += 1
        if is_new:
            for rung, reward in enumerate(trial.rung_rewards or [learned]):  # a trial that was taken over may have several
                self._observe(trial, reward, rung)
            self._updates.write(self._strategy.diagnostics(), self._num_rewards)
            if self._scalars and trial.status == Status.FINISHED:
                best = {} if self.best is None else {"best": self.best.reward}
                self._updates.write_trial(trial.number, reward=trial.reward, seconds=event.seconds, **best)

    def _count_again(self) -> None:
        """Recomputes the counts after a machine was quarantined, because some trials that had ended are open again."""
        ended = [trial for trial in self.trials if trial.is_rewarded_or_infeasible]
        self.num_ended = len(ended) + sum(map(self._tolerance.is_given_up, self.trials))
        self.num_trained = sum(trial.is_own for trial in ended)
        self._best.recount(ended)
        self._known = {trial.hash: trial for trial in reversed(ended)}

    def quarantine(self, machine: str, reason: str) -> None:
        """Records that a machine is quarantined: failed and infeasible outcomes of this machine no longer count."""
        self._write(Quarantined(machine=machine, reason=reason))
        self.quarantined.append(machine)

    def _write(self, event: Event) -> None:
        self._journal.append(event)
        self._apply(event)
        if self._journal.num_rows % _SNAPSHOT_EVERY_ROWS == 0:
            write_snapshot(self.workdir, self._journal.num_rows, self._journal.digest, self._strategy.state())

    def expected_gain(self, trainings: int) -> float | None:
        """Returns the strategy's `expected_gain` of `trainings` more trainings; None if it is unknown."""
        return self._strategy.expected_gain(trainings)

    def unfinished(self) -> list[Trial]:
        """Returns the trials to run again: those that were running when the search was killed, or failed and have attempts left."""
        open_trials = (trial for trial in self.trials if not trial.is_rewarded_or_infeasible)
        return [trial for trial in open_trials if not self._tolerance.is_given_up(trial)]

    def take_over(self, others: Iterable[tuple[str, Trial]]) -> None:
        """Adds the rewarded trials of other searches, given as (work folder, trial), each architecture once.

        Does nothing if the search already has trials of its own. Raises InputError if an architecture is not in the search space.
        """
        if len(self.trials) > self.num_taken:
            return
        for folder, other in others:
            if other.hash in self._known:
                continue
            decisions = self._space.encode(other.genotype)
            proposed = self._proposed(self._strategy.proposal_of(decisions)) | {"hash": other.hash}
            common = {"reward": other.reward, "metrics": other.metrics, "rung_rewards": tuple(other.rung_rewards)}
            self._write(Taken(**proposed, **common, taken_from=folder))

    def propose(self) -> Trial:
        """Asks the strategy for the next trial. If its architecture is known and not to be trained again, the trial has already ended."""
        self._write(Proposed(**self._proposed(self._strategy.propose())))
        self.settle(self.trials[-1])
        return self.trials[-1]

    def _proposed(self, proposal: Proposal) -> dict:
        """Returns the fields of the event `Proposed` for the next trial."""
        number = len(self.trials)
        genotype = self._space.decode(proposal.decisions, name=f"trial_{number}")
        made = {"trial": number, "genotype": format_genotype(genotype), "hash": genotype_hash(genotype)}
        return made | {"decisions": tuple(proposal.decisions), "log_probs": tuple(proposal.log_probs)}

    def settle(self, trial: Trial) -> bool:
        """Gives a trial the outcome of an earlier trial of the same architecture; returns whether there was one to use."""
        twin = None if self._train_again else self._known.get(trial.hash)
        if twin is None:
            return False
        common = {"trial": trial.number, "attempt": trial.attempts + 1, "seconds": 0.0, "reused_from": twin.number}
        if twin.status == Status.INFEASIBLE:
            self._write(Infeasible(reason=twin.reason, **common))
        else:
            reward = twin.rung_rewards[0] if twin.rung_rewards else twin.reward  # the strategy learns the first rung's reward of all trials
            self._write(Finished(reward=reward, metrics=twin.metrics, **common))
        return True

    def record(self, outcome: Outcome, rung: int | None = None) -> Trial:
        """Records the outcome of an execution, passes a reward to the strategy, and returns the trial; ignores a second outcome.

        Args:
          outcome: the outcome, from the engine; its key is the number of the trial.
          rung: the rung of successive halving that the execution was meant to reach, from 0; None without successive halving.
        """
        trial = self.trials[outcome.key]
        if trial.is_rewarded_or_infeasible and not rung:
            print(f"trial {trial.number}: ignored another result, which came late")
            return trial
        event = outcomes.ended(outcome, trial, rung, self._deadline_reward)
        if outcome.machine in self.quarantined and not isinstance(event, Finished):  # it began before the quarantine
            lost = dataclasses.replace(outcome, reason=outcome.reason or event.reason, lost=True, over_deadline=False)
            event = outcomes.ended(lost, trial, rung, self._deadline_reward)
        self._write(event)
        return trial

    def spend(self, what: str, seconds: float) -> None:
        """Records that `seconds` were spent on `what` before the first trial; has an effect only once in a search."""
        if seconds and not any(isinstance(row.event, Spent) for row in self._journal.rows()):
            self._write(Spent(what=what, seconds=round(seconds, 3)))
