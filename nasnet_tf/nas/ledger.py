"""The ledger: which trials there are, what they earned, which must run again. It alone speaks to the strategy and writes the journal.

A strategy's state is a pure function of the calls made to it, and the journal has them all in their order. So a restart repeats exactly
these calls, checks that every proposal comes out as it was, and thereby restores the strategy with no state file of its own.
"""

import math
import pathlib

from nasnet_tf.errors import InputError
from nasnet_tf.genotype import SearchSpace, format_genotype, genotype_hash
from nasnet_tf.nas.engines import Outcome
from nasnet_tf.nas.journal import Journal, Trial, apply_event
from nasnet_tf.nas.strategies import Proposal

MAX_ATTEMPTS = 3


class Ledger:
    """All trials of a search.

    Args:
      workdir: holds the journal.
      space: decodes decisions.
      strategy: propose() and feedback(proposal, reward), in the state its constructor left it in.
      identity: what makes this search this search and no other; JSON.
    """

    def __init__(self, workdir: pathlib.Path, space: SearchSpace, strategy, identity: dict):
        self._space, self._strategy = space, strategy
        self.trials: list[Trial] = []
        self._journal = Journal(workdir, identity)
        self.num_restored = len(self._journal.events) - 1
        try:
            for row in self._journal.events:
                self._replay(row)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Releases the work folder."""
        self._journal.close()

    def _replay(self, row: dict) -> None:
        if row["event"] == "proposed":
            proposal = self._strategy.propose()
            if proposal.decisions != tuple(row["decisions"]) or proposal.log_probs != tuple(row["log_probs"]):
                raise InputError(
                    f"the journal's trial {row['trial']} is not what this search would have proposed: it was written by another version or "
                    "on a machine with other arithmetic; continue there, or use another work folder"
                )
        apply_event(self.trials, row)
        if row["event"] == "finished":
            self._strategy.feedback(_proposal(self.trials[row["trial"]]), row["reward"])

    def _write(self, event: str, trial: Trial, **values) -> None:
        apply_event(self.trials, self._journal.append(event, trial=trial.number, attempt=trial.attempts + 1, **values))
        if event == "finished":
            self._strategy.feedback(_proposal(trial), trial.reward)

    def unfinished(self) -> list[Trial]:
        """Trials that were running when the search was killed, or failed with attempts left."""
        return [trial for trial in self.trials if trial.status == "running" or (trial.status == "failed" and trial.attempts < MAX_ATTEMPTS)]

    def propose(self) -> Trial:
        """The next trial; finished at once where its architecture was rewarded before."""
        number = len(self.trials)
        proposal = self._strategy.propose()
        genotype = self._space.decode(proposal.decisions, name=f"trial_{number}")
        row = self._journal.append(
            "proposed",
            trial=number,
            genotype=format_genotype(genotype),
            hash=genotype_hash(genotype),
            decisions=list(proposal.decisions),
            log_probs=list(proposal.log_probs),
        )
        apply_event(self.trials, row)
        trial = self.trials[number]
        twin = next((other for other in self.trials[:number] if other.hash == trial.hash and other.status == "finished"), None)
        if twin is not None:
            self._write("finished", trial, seconds=0.0, reward=twin.reward, metrics=twin.metrics, reused_from=twin.number)
        return trial

    def record(self, outcome: Outcome) -> Trial:
        """Writes down how an execution ended, and rewards the strategy if it ended well; a second outcome of a trial is ignored."""
        trial = self.trials[outcome.key]
        if trial.status in ("finished", "infeasible"):
            return trial
        seconds = round(outcome.seconds, 3)
        value = outcome.value or {}
        if outcome.reason is not None:
            self._write("failed", trial, seconds=seconds, reason=outcome.reason)
        elif "infeasible" in value:
            self._write("infeasible", trial, seconds=seconds, reason=value["infeasible"])
        elif not (isinstance(value.get("reward"), float) and math.isfinite(value["reward"])):
            self._write("infeasible", trial, seconds=seconds, reason=f"its reward is {value.get('reward')!r}, not a finite number")
        else:
            self._write("finished", trial, seconds=seconds, reward=value["reward"], metrics=value.get("metrics", {}))
        return trial

    def best(self) -> Trial | None:
        """The finished trial of the highest reward, the first of several."""
        finished = [trial for trial in self.trials if trial.status == "finished"]
        return max(finished, key=lambda trial: (trial.reward, -trial.number), default=None)


def _proposal(trial: Trial) -> Proposal:
    return Proposal(trial.decisions, trial.log_probs)
