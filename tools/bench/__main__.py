"""Measures what a user waits for, ours and a peer's in turns, and the machine's limits.

    python -m tools.bench
    python -m tools.bench --rows machine training inference --rounds=5 --output=bench.json

Prints a table in Markdown: costs by the clock, and behind a stroke in processor time, which says more on a busy machine; medians over the
rounds, and how many times the peer's cost ours is, with the least and the most of the rounds. `shares` prints another: where the time goes.
"""

import argparse
import importlib
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator

from tools.bench.timing import HEADER, Options, Row

GROUPS = {
    "machine": "the machine's limits: matrix products, copying, decoding JPEG",
    "training": "training steps",
    "first_step": "the first training step and the memory that training takes",
    "inference": "inference in TensorFlow",
    "child": "a child of a search up to its first step",
    "space": "a child in the network of the whole search space",
    "search": "children per core-hour, and a proposal after many trials",
    "quickstart": "the phases of make quickstart",
    "detector": "the stages of a detector",
    "controller": "proposing and learning architectures",
    "loading": "load_nasnet with a file of weights",
    "start": "import, --help, predict up to its answer",
    "input": "preparing images for training and evaluation",
    "pause": "what a checkpoint of the large network halts training for",
    "shares": "what kinds of operations the time goes into",
}
_TFDS = "data/tensorflow_datasets"  # within NASNET_SHARED


def run(groups: list[str], options: Options) -> Iterator[Row]:
    """Measures, and prints each row as soon as it is there."""
    for group in groups:
        print(f"{group}: {GROUPS[group]}\n\n{HEADER}", flush=True)
        for row in importlib.import_module(f"tools.bench.{group}_rows").measure(options):
            print(row.line(), flush=True)
            yield row
        print()


def main(argv: list[str] | None = None) -> None:
    listed = "\n".join(f"  {name:<12}{what}" for name, what in GROUPS.items())
    parser = argparse.ArgumentParser(
        "python -m tools.bench", description=f"{__doc__}\nrows:\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="ROW", help="which; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=pathlib.Path, help="a JSON file with every sample")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the code")
    parser.add_argument("--data_dir", help=f"where TensorFlow Datasets has imagenet2012; default: $NASNET_SHARED/{_TFDS}, if there is one")
    args = parser.parse_args(argv)
    shared = pathlib.Path(os.environ.get("NASNET_SHARED", "")) / _TFDS
    data_dir = args.data_dir or (str(shared) if "NASNET_SHARED" in os.environ and shared.is_dir() else None)
    if data_dir is None and {"input", "machine"} & set(args.rows):
        print("no data_dir: photographs of ImageNet are replaced by pictures made here", file=sys.stderr)
    records = []
    with tempfile.TemporaryDirectory() as workdir:
        for row in run(args.rows, Options(args.rounds, args.quick, data_dir, workdir)):
            records.append(row.record())
            if args.output:  # after each, for a measurement of an hour may be interrupted
                args.output.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
