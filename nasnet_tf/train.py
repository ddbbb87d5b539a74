"""Trains a network: python -m nasnet_tf.train --gin_file=cifar10_nasnet_a.gin --workdir=runs/cifar.

Repeating the command continues a training that was stopped or killed, exactly. SIGTERM saves and ends with exit code 0.
"""

import os
import signal

from nasnet_tf import cli


def _stop(*_) -> None:
    """For SIGTERM before the training begins and after it ended, when there is nothing to save."""
    print("stopped as asked; repeat the command to go on", flush=True)
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Trains as a recipe says."""
    signal.signal(signal.SIGTERM, _stop)
    config_text = cli.configuration()
    from nasnet_tf import configurables
    from nasnet_tf.training.interruption import TrainingInterrupted

    train = configurables.bound_training()
    with cli.claimed_workdir(config_text, "training") as workdir:
        try:
            _, evaluation = train(workdir)
        except TrainingInterrupted:
            cli.write_operative_config(workdir)
            raise
        cli.write_operative_config(workdir)
    if evaluation:
        print(f"{evaluation} watched in training")
    print(f"trained: {workdir}")


def define_flags() -> None:
    """The flags of this door."""
    cli.define_gin_flags()
    cli.define_workdir_flag("Keeps checkpoints and metrics.")


if __name__ == "__main__":
    cli.run(main, define_flags)
