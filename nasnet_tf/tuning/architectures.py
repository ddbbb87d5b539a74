"""For users of KerasTuner: the NASNet search space as a HyperModel, and our search strategies as an Oracle.

keras_tuner.Tuner(NASNetOracle(PPOSearch, space, ...), NASNetHyperModel(space, ...)).search(...) searches on one machine. The command
`nasnet search` is more robust: KerasTuner's files can be damaged if the process is killed.
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
    """Returns a name and the possible values of each decision, in order, such as {"normal_cell.block_0.left_input": [0, 1], ...}."""
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
    """Converts decisions to values of hyperparameters, {name: value}."""
    return {name: values[decision] for (name, values), decision in zip(decision_choices(space).items(), decisions, strict=True)}


def decisions_of(space: SearchSpace, values: Mapping[str, int | str]) -> tuple[int, ...]:
    """Converts values of hyperparameters to decisions; the inverse of `values_of`."""
    return tuple(choices.index(values[name]) for name, choices in decision_choices(space).items())


class NASNetHyperModel(keras_tuner.HyperModel):
    """Builds networks for the genotypes of a space, compiled for classification with integer labels and the metric "accuracy".

    Args:
      space: the search space; its decisions are the hyperparameters.
      network: sizes of the networks, without auxiliary head.
      num_classes: number of classes.
      image_size: height and width in pixels.
      optimizer: function without arguments that returns a new optimizer; called for each network.

    Raises:
      InputError: `network` has an auxiliary head.
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
        """Returns the network for the values in `hp`, from images float [batch, size, size, 3] to logits float32 [batch, num_classes]."""
        values = {name: hp.Choice(name, choices) for name, choices in decision_choices(self._space).items()}
        genotype = self._space.decode(decisions_of(self._space, values))
        model = self._build_network(genotype)
        # XLA makes this network many times slower on CPUs. "auto" would turn it on for other devices, where we have not measured it.
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(self._optimizer(), loss, metrics=["accuracy"], jit_compile=False)
        return model


class NASNetOracle(keras_tuner.Oracle):
    """An oracle that passes on the proposals of a search strategy, and rewards them with the objective.

    An objective that is minimized is negated. Each trial that ends with a finite objective is rewarded once; others are not rewarded. The
    saved state is the list of calls to the strategy, and `reload` repeats these calls on a new strategy.

    Args:
      strategy: function (space) that returns a strategy, see nasnet_tf.nas.strategies.protocol; its initial state must always be the same.
      space: the search space.
      **kwargs: arguments of keras_tuner.Oracle, such as objective and max_trials.

    Raises:
      InputError: on reload, if the strategy makes other proposals than before.
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
        self._calls: list[dict] = []  # {"trial", "decisions", "log_probs"} for a proposal, {"trial", "reward"} for a reward
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
        """Returns the status and the values of a new trial; KerasTuner calls this."""
        return {"status": "RUNNING", "values": values_of(self._search_space, self._propose(trial_id).decisions)}

    def score_trial(self, trial: keras_tuner.engine.trial.Trial) -> None:
        """Rewards a trial that has ended. KerasTuner calls this before it saves, and so saves the trial and the reward together."""
        super().score_trial(trial)
        if math.isfinite(trial.score) and trial.trial_id not in self._rewarded:
            self._reward(trial.trial_id, float(trial.score if self.objective.direction == "max" else -trial.score))

    def get_state(self) -> dict:
        """Returns KerasTuner's state together with the calls to the strategy."""
        return super().get_state() | {"calls": self._calls}

    def set_state(self, state: dict) -> None:
        """Restores KerasTuner's state, and repeats the saved calls on a new strategy."""
        super().set_state(state)
        # A kill between two writes of KerasTuner can leave two inconsistencies. A trial that the state does not list is dropped, and is
        # proposed again under the same number. A trial that is listed as running although it has ended is taken off that list.
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
                        f"trial {call['trial']} differs from what this strategy proposes: the oracle was saved with other arguments, by "
                        "another version, or on a machine with other floating-point results; reload it as it was saved, or start a "
                        "new oracle"
                    )
