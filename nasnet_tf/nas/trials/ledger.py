"""The ledger: which trials there are, what they earned, which must run again. It alone speaks to the strategy and writes the journal.

A strategy is a pure function of the calls made to it, and the journal has them all in their order. So a restart repeats them, checks
that every proposal comes out as it was, and thereby restores the strategy: to the bit, on the same kind of machine. On another, where
sums round otherwise, what the journal has counts. Snapshots only shorten that.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Iterable

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import SearchSpace, format_genotype, genotype_hash
from nasnet_tf.nas.engines.outcome import Outcome
from nasnet_tf.nas.strategies.protocol import Proposal, proposal_of, would_propose
from nasnet_tf.nas.trials import outcomes
from nasnet_tf.nas.trials.faults import FaultTolerance
from nasnet_tf.nas.trials.journal import NAME, Journal, located
from nasnet_tf.nas.trials.snapshots import read_snapshots, write_snapshot
from nasnet_tf.nas.trials.trial import Trial, apply_event, leaderboard
from nasnet_tf.nas.trials.update_log import UpdateLog
from nasnet_tf.version import __version__

DEFAULT_TOLERANCE = FaultTolerance()
_SNAPSHOT_EVERY_ROWS = 1000
_NUM_PEERS = 200


class Ledger:
    """All trials of a search.

    Args:
      workdir: holds the journal.
      space: decodes decisions.
      strategy: propose() and feedback(proposal, reward), in the state its constructor left it in.
      identity: what makes this search this search and no other; JSON.
      train_again: an architecture that is proposed again is trained again, rather than to get the reward it had.
      tolerance: when a trial that failed is given up.
      deadline_reward: what the strategy learns of a child that was killed at its deadline; None for nothing.
      scalars: every result goes to TensorBoard's files.

    Attributes:
      workdir: as given.
      trials: all of them, by number.
      num_restored: events that were in the journal.
      num_ended: trials that will not run (again).
      num_trained: those of them that were rewarded or infeasible by a training of their own.
      num_taken: those that were taken over from other searches.
      child_seconds: of all executions.
      best: the finished trial of the highest reward that was measured, of several that of the lowest number; None before the first.
      peers: the accuracies after each evaluation of the latest finished trials that were trained themselves, for early stopping.
      whole: the same of the latest that were not stopped.
      aside: machines that were put aside since the ledger was opened.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        space: SearchSpace,
        strategy,
        identity: Identity,
        train_again: bool = False,
        tolerance: FaultTolerance = DEFAULT_TOLERANCE,
        deadline_reward: float | None = None,
        scalars: bool = False,
    ):
        self.workdir, self._space, self._strategy = workdir, space, strategy
        self.train_again, self._tolerance, self._deadline_reward = train_again, tolerance, deadline_reward
        self.trials: list[Trial] = []
        self.num_ended = self.num_trained = self.num_taken = 0
        self.child_seconds = 0.0
        self._scalars = scalars
        self._rungs: dict[int, int] = {}  # that executions are to bring trials to
        self.best: Trial | None = None
        self.aside: list[str] = []
        self.peers, self.whole = (collections.deque(maxlen=_NUM_PEERS) for _ in range(2))
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
            try:
                num_trials = len(self.trials)
                if not self._apply(row.event, is_new=row.line > known_rows):
                    print(f"{self.workdir / NAME}: line {row.line} repeats what is known; ignored")
                elif len(self.trials) > num_trials and row.line > known_rows and row.event["event"] == "proposed":
                    self._check_proposal(self.trials[-1])
            except InputError as error:
                raise located(self.workdir / NAME, row, error) from error

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
        elif would_propose(self._strategy, recorded):
            why = "it was written on a machine with other arithmetic"
        else:
            raise InputError(
                f"trial {trial.number} is not what this search would have proposed: the journal was changed; use another work folder"
            )
        if why not in self._explained:
            self._explained.add(why)
            others = "they are not what would be proposed here, but they count"
            print(f"{self.workdir / NAME}: proposals from trial {trial.number} on: {why}; {others}")

    def _apply(self, event: dict, is_new: bool = True) -> bool:
        """Takes in one event; what is new since the strategy's state reaches the strategy."""
        if not apply_event(self.trials, event):
            return False
        if event["event"] in ("search", "proposed"):
            return True
        if event["event"] == "spent":
            self.child_seconds += event["seconds"]
            return True
        if event["event"] == "aside":
            self._count_again()
            return True
        trial = self.trials[event["trial"]]
        seconds = event.get("seconds", 0.0)
        self.child_seconds += seconds
        self.num_taken += event["event"] == "taken"
        if event.get("rung", 0) > 0:
            self.best = next((trial for trial in leaderboard(self.trials) if not trial.is_predicted), None)
            return True
        if trial.status != "failed" or self._tolerance.is_given_up(trial):
            self.num_ended += 1
        if trial.is_rewarded_or_infeasible:
            self._known.setdefault(trial.hash, trial)
            self.num_trained += _is_trained(trial)
        if trial.status == "finished":
            is_better = self.best is None or _merit(trial) > _merit(self.best)
            if is_better and not trial.is_predicted:
                self.best = trial
            if trial.reused_from is None and (curve := outcomes.curve_of(trial.metrics)):
                self.peers.append(curve)
                if not trial.is_predicted:
                    self.whole.append(curve)
        learned = trial.reward if trial.status == "finished" else event.get("policy_reward")
        if learned is not None:
            self._num_rewards += 1
            if is_new:
                self._strategy.feedback(Proposal(trial.decisions, trial.log_probs), learned)
                self._updates.write(self._strategy.diagnostics(), self._num_rewards)
                if self._scalars and trial.status == "finished":
                    best = {} if self.best is None else {"best": self.best.reward}
                    self._updates.write_trial(trial.number, reward=trial.reward, seconds=seconds, **best)
        return True

    def _count_again(self) -> None:
        """After a machine was put aside: some of what had ended has not."""
        ended = [trial for trial in self.trials if trial.is_rewarded_or_infeasible]
        self.num_ended = len(ended) + sum(map(self._tolerance.is_given_up, self.trials))
        self.num_trained = sum(map(_is_trained, ended))
        self._known = {trial.hash: trial for trial in reversed(ended)}

    def put_aside(self, machine: str, reason: str) -> None:
        """What failed on a machine counts no more."""
        self._write("aside", machine=machine, reason=reason)
        self.aside.append(machine)

    def _write(self, event: str, **values) -> None:
        self._apply(self._journal.append(event, **values))
        if self._journal.num_rows % _SNAPSHOT_EVERY_ROWS == 0:
            write_snapshot(self.workdir, self._journal.num_rows, self._journal.digest, self._strategy.state())

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
            number, decisions = len(self.trials), self._space.encode(other.genotype)
            self._write(
                "taken",
                trial=number,
                genotype=format_genotype(self._space.decode(decisions, name=f"trial_{number}")),
                hash=other.hash,
                decisions=decisions,
                log_probs=proposal_of(self._strategy, decisions).log_probs,
                reward=other.reward,
                metrics=other.metrics,
                taken_from=folder,
            )

    def propose(self) -> Trial:
        """The next trial; it has ended at once where its architecture is known, unless that is to be trained again."""
        number = len(self.trials)
        proposal = self._strategy.propose()
        genotype = self._space.decode(proposal.decisions, name=f"trial_{number}")
        self._write(
            "proposed",
            trial=number,
            genotype=format_genotype(genotype),
            hash=genotype_hash(genotype),
            decisions=proposal.decisions,
            log_probs=proposal.log_probs,
        )
        self.settle(self.trials[number])
        return self.trials[number]

    def settle(self, trial: Trial) -> bool:
        """Ends a trial as an earlier one of the same architecture ended; returns whether there is one whose end counts for it."""
        twin = None if self.train_again else self._known.get(trial.hash)
        if twin is None:
            return False
        reward = twin.rung_rewards[0] if twin.rung_rewards else twin.reward  # what the strategy learns of all
        outcome = {"reason": twin.reason} if twin.status == "infeasible" else {"reward": reward, "metrics": twin.metrics}
        self._write_outcome(twin.status, outcome, trial, seconds=0.0, reused_from=twin.number)
        return True

    def record(self, outcome: Outcome) -> Trial:
        """Writes down how an execution ended, and rewards the strategy if it ended well; a second outcome of a trial is ignored."""
        trial = self.trials[outcome.key]
        rung = self._rungs.pop(trial.number, None)
        if trial.is_rewarded_or_infeasible and not rung:
            print(f"trial {trial.number}: another result came late; ignored")
            return trial
        if outcome.reason is not None and outcome.machine in self.aside:  # what still ran there
            outcome = dataclasses.replace(outcome, lost=True, over_deadline=False)
        more = _place(outcome) | ({} if rung is None else {"rung": rung})
        self._write_outcome(*self._judged(outcome), trial, seconds=round(outcome.seconds, 3), **more)
        return trial

    def begin(self, trial: Trial, rung: int) -> None:
        """The next execution of a trial is to bring it to a rung of successive halving."""
        self._rungs[trial.number] = rung

    def spend(self, what: str, seconds: float) -> None:
        """What was spent before any trial; once for a search."""
        if seconds and not any(row.event["event"] == "spent" for row in self._journal.rows()):
            self._write("spent", what=what, seconds=round(seconds, 3))

    def _judged(self, outcome: Outcome) -> tuple[str, dict]:
        """(event, its values) of an execution that ended."""
        if outcome.over_deadline:
            learned = {} if self._deadline_reward is None else {"policy_reward": self._deadline_reward}
            return "infeasible", {"reason": f"over its deadline ({outcome.reason})", "over_deadline": True, **learned}
        if outcome.reason is not None:
            return "failed", {"reason": outcome.reason}
        try:
            value = outcomes.checked(outcome.value)
        except InputError as error:
            return "failed", {"reason": str(error)}
        if "infeasible" in value:
            return "infeasible", {"reason": str(value["infeasible"])}
        reward = outcomes.finite_number(value["reward"])
        if reward is None:
            return "infeasible", {"reason": f"its reward is {value['reward']!r}, not a finite number"}
        metrics = outcomes.json_ready(value.get("metrics") or {})
        return "finished", {"reward": reward, "metrics": metrics if isinstance(metrics, dict) else {"metrics": metrics}}

    def _write_outcome(self, event: str, values: dict, trial: Trial, **more) -> None:
        self._write(event, trial=trial.number, attempt=trial.attempts + 1, **values, **more)


def _merit(trial: Trial) -> tuple:
    """The larger, the better; as in `leaderboard`."""
    return len(trial.rung_rewards), trial.reward, -trial.number


def _is_trained(trial: Trial) -> bool:
    """Whether this search has trained it."""
    return trial.reused_from is None and not trial.taken_from


def _place(outcome: Outcome) -> dict:
    """Where an execution was, as far as it is known."""
    return ({"machine": outcome.machine} if outcome.machine else {}) | ({"lost": True} if outcome.lost else {})
