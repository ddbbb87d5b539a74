"""Trains a network: python -m nasnet_tf.train --gin_file=cifar10_nasnet_a.gin --workdir=runs/cifar.

If a training was stopped or killed, repeat the command to resume it exactly. SIGTERM saves and ends with exit code 0, Ctrl-C with 130.
"""

import os
import pathlib
import re
import signal

from nasnet_tf.base.errors import InputError
from nasnet_tf.cli import command, flags, work
from nasnet_tf.recipes import folders


def _stop(*_) -> None:
    """Handles SIGTERM before the training begins and after it has ended, when there is nothing to save."""
    print("stopped as requested; repeat the command to resume", flush=True)
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Trains a network as the recipe says; with --dry_run, prints what the training would do."""
    signal.signal(signal.SIGTERM, _stop)
    profile_steps = _profile_steps()
    config_text = work.configuration()
    from nasnet_tf.recipes import table
    from nasnet_tf.training.metrics_log import read_stopped

    train = table.bound("train")(profile_steps=profile_steps)
    workdir = pathlib.Path(flags.FLAGS.workdir)
    if flags.FLAGS.dry_run:
        print(train.plan(workdir))
        return
    evaluation = folders.train_in(workdir, config_text, train)
    if evaluation:
        print(f"last evaluation during training: {evaluation}")
    if stopped := read_stopped(workdir):
        print(stopped)
    print(f"trained: {workdir}")


def _profile_steps() -> tuple[int, int] | None:
    text = flags.FLAGS.profile_steps
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]+,[0-9]+", text):
        raise InputError(f"--profile_steps: expected two numbers of steps such as 100,120, got {text!r}")
    first, last = map(int, text.split(","))
    return first, last


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_gin_flags()
    flags.define_flags()
    flags.define_workdir_flag("The work folder for checkpoints and metrics.")
    text = "Build the network, read one batch, print what the training would do, and write nothing."
    command.flags.DEFINE_boolean("dry_run", False, text)
    text = "Two step numbers, such as 100,120: write a TensorBoard profile of the steps between them to the work folder's logs."
    command.flags.DEFINE_string("profile_steps", None, text)


if __name__ == "__main__":
    command.run(main, define_flags)
