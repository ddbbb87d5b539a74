"""How long a checkpoint interrupts training, for the paper's large network with RMSProp and averaged weights."""

import pathlib

from nasnet_tf.training.checkpoints import Checkpoints
from nasnet_tf.training.optimizers import RMSProp
from nasnet_tf.training.patience import Patience
from nasnet_tf.training.state import TrainingState
from tools.bench.networks import find_case
from tools.bench.timing import Options, Row, alone, timed, total


def measure(options: Options) -> list[Row]:
    """Returns the rows, measured in one process: the pause, and for comparison the time until the checkpoint is written.

    The first checkpoint has a row of its own, because it copies all variables.
    """
    samples = alone(pauses, options.rounds, options.quick, options.workdir)
    pair = {"ours": samples["pause"], "waiting until it is written": samples["whole"]}
    return [
        Row("checkpoint of large: pause", "s", pair, "0.1 s"),
        Row("first checkpoint of a process: pause", "s", {"ours": samples["first"]}),
    ]


def pauses(rounds: int, quick: bool, workdir: str):
    """Returns the samples of the first pause, of later pauses, and of later pauses with the time until the checkpoint is written."""
    model = find_case("large", quick).ours()
    state = TrainingState.fresh(model, RMSProp(), 0.9999)
    saved = Checkpoints(pathlib.Path(workdir), state, [0.0], Patience(None))
    samples = {"first": [timed(lambda: saved.save(1, [0.0]))], "pause": [], "whole": []}
    saved.wait()
    for number in range(rounds):
        for variable in (*model.variables, *state.optimizer.variables):
            variable.assign(variable)  # like training, moves it out of the buffer that the checkpoint shares
        pause = timed(lambda step=number + 2: saved.save(step, [0.0]))
        rest = timed(saved.wait)
        samples["pause"].append(pause)
        samples["whole"].append(total(pause, rest))
    saved.close()
    return samples
