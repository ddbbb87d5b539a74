"""Trains a network.

  # Trains on handwritten digits, which ship with the package.
  nasnet train --gin_file=quickstart_train.gin --workdir=runs/digits
  # Fine-tunes public weights on your own pictures in photos/train/CLASS/.
  nasnet train --gin_file=finetune.gin --workdir=runs/mine --data=folder:photos

If the training is stopped or killed, run the same command again to resume it
exactly. SIGTERM saves it and exits with code 0, Ctrl-C with code 130.

Guides: docs/train.md, docs/fine_tune.md
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
        raise InputError(f"--profile_steps: expected two step numbers such as 100,120, got {text!r}")
    first, last = map(int, text.split(","))
    return first, last


def define_flags() -> None:
    """Defines the flags of this command."""
    flags.define_gin_flags()
    flags.define_flags()
    flags.define_workdir_flag("The folder for checkpoints and metrics.")
    text = "Print what the training would do, and write nothing. It builds the network, counts its costs and reads one batch."
    flags.DEFINE_boolean("dry_run", False, text)
    text = "Steps to profile for TensorBoard, such as 100,120. The profile, in the logs of the work folder, begins after step 100 and ends "
    flags.DEFINE_string("profile_steps", None, f"{text}after step 120.")


if __name__ == "__main__":
    command.run(main, define_flags)
