"""For users of KerasTuner: the NASNet search space as a HyperModel, and a strategy of ours as an Oracle.

keras_tuner.Tuner(NASNetOracle(PPOSearch, space, ...), NASNetHyperModel(space, ...)).search(...) searches on one machine. The door
`search` is the sturdier way: KerasTuner's files do not survive every kill.
"""

import math
from collections.abc import Callable, Mapping

import keras
import keras_tuner

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.nas.strategies.protocol import Proposal, Strategy


def decision_choices(space: SearchSpace) -> dict[str, list]:
    """{"normal_cell.block_0.left_input": [0, 1], ...}: a name and the values for each decision of the space, in their order."""
    result = {}
    for cell in space.searched:
        for block in range(space.num_blocks):
            inputs, operations = list(range(space.num_input_states + block)), list(space.operations)
            parts = {
                "left_input": inputs,
                "right_input": inputs,
                "left_operation": operations,
                "right_operation": operations,
                "combine": list(space.combines),
            }
            result |= {f"{cell}.block_{block}.{part}": values for part, values in parts.items()}
    return result


def values_of(space: SearchSpace, decisions: tuple[int, ...]) -> dict[str, int | str]:
    """Decisions as values of hyperparameters."""
    return {name: values[decision] for (name, values), decision in zip(decision_choices(space).items(), decisions, strict=True)}


def decisions_of(space: SearchSpace, values: Mapping[str, int | str]) -> tuple[int, ...]:
    """Values of hyperparameters as decisions."""
    return tuple(choices.index(values[name]) for name, choices in decision_choices(space).items())


class NASNetHyperModel(keras_tuner.HyperModel):
    """Networks of all genotypes of a space, compiled for classification with integer labels; metric "accuracy".

    Args:
      space: its decisions are the hyperparameters.
      network: sizes, without an auxiliary head.
      num_classes: of the classifier.
      image_size: height and width.
      optimizer: () -> optimizer, a fresh one for each network.
    """

    def __init__(
        self,
        space: SearchSpace,
        network: NetworkConfig,
        num_classes: int,
        image_size: int,
        optimizer: Callable[[], keras.optimizers.Optimizer],
    ):
        super().__init__()
        if network.auxiliary_head:
            raise InputError("NASNetHyperModel: expected a network without auxiliary head, got auxiliary_head=True")
        self._space, self._optimizer = space, optimizer
        self._build_network = lambda genotype: build_network(genotype, network, num_classes, image_size)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The network of hp's values: images float [batch, size, size, 3] -> logits float32 [batch, num_classes]."""
        values = {name: hp.Choice(name, choices) for name, choices in decision_choices(self._space).items()}
        genotype = self._space.decode(decisions_of(self._space, values))
        model = self._build_network(genotype)
        # XLA makes this network many times slower on CPUs, and "auto" turns it on elsewhere unmeasured.
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(self._optimizer(), loss, metrics=["accuracy"], jit_compile=False)
        return model


class NASNetOracle(keras_tuner.Oracle):
    """Proposes what a strategy proposes, and rewards it with the objective (negated where that is to be minimized).

    Only trials that end with a finite objective are rewarded, each once. Its state is the calls made to the strategy, in their order;
    `reload` repeats them on a fresh one.

    Args:
      strategy: (space) -> strategy, as those of nasnet_tf.nas.strategies.protocol; always made in the same state.
      space: what it searches.
      **kwargs: of keras_tuner.Oracle: objective, max_trials, ...

    Raises:
      InputError: on reload, if the strategy does not propose again what it did.
    """

    def __init__(self, strategy: Callable[[SearchSpace], Strategy], space: SearchSpace, **kwargs):
        hyperparameters = keras_tuner.HyperParameters()
        for name, choices in decision_choices(space).items():
            hyperparameters.Choice(name, choices)
        super().__init__(hyperparameters=hyperparameters, **kwargs)
        self._make_strategy, self._search_space = strategy, space
        self._start()

    def _start(self) -> None:
        self._strategy = self._make_strategy(self._search_space)
        self._calls: list[dict] = []  # {"trial", "decisions", "log_probs"} of a proposal, {"trial", "reward"} of a feedback
        self._proposals: dict[str, Proposal] = {}
        self._rewarded: set[str] = set()

    def _propose(self, trial_id: str) -> Proposal:
        proposal = self._proposals[trial_id] = self._strategy.propose()
        self._calls.append({"trial": trial_id, "decisions": list(proposal.decisions), "log_probs": list(proposal.log_probs)})
        return proposal

    def _reward(self, trial_id: str, reward: float) -> None:
        self._strategy.feedback(self._proposals[trial_id], reward)
        self._rewarded.add(trial_id)
        self._calls.append({"trial": trial_id, "reward": reward})

    def populate_space(self, trial_id: str) -> dict:
        """KerasTuner's call for the values of a new trial."""
        return {"status": "RUNNING", "values": values_of(self._search_space, self._propose(trial_id).decisions)}

    def score_trial(self, trial: keras_tuner.engine.trial.Trial) -> None:
        """KerasTuner's call at the end of a trial, before it saves: so trial and reward are on disk both, or neither."""
        super().score_trial(trial)
        if math.isfinite(trial.score) and trial.trial_id not in self._rewarded:
            self._reward(trial.trial_id, float(trial.score if self.objective.direction == "max" else -trial.score))

    def get_state(self) -> dict:
        """KerasTuner's state and the calls to the strategy."""
        return super().get_state() | {"calls": self._calls}

    def set_state(self, state: dict) -> None:
        """Makes a fresh strategy and repeats the calls to it."""
        super().set_state(state)
        # What a kill between two of KerasTuner's writes leaves: a trial that its state does not know, which is proposed again under its
        # number; and a trial that has ended and would run again, as if it were still under way.
        self.trials = {trial_id: self.trials[trial_id] for trial_id in self.start_order}
        self.ongoing_trials = {tuner: trial for tuner, trial in self.ongoing_trials.items() if trial.trial_id not in self.end_order}
        self._start()
        for call in state["calls"]:
            if "reward" in call:
                self._reward(call["trial"], call["reward"])
            else:
                self._propose(call["trial"])
                if self._calls[-1] != call:
                    raise InputError(
                        f"trial {call['trial']} is not what this strategy proposes: the oracle was saved with other arguments, by another "
                        "version or on a machine with other arithmetic"
                    )
