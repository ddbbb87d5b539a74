"""Measures what a user waits for, compared with a peer implementation and with the machine's limits.

    python -m tools.bench
    python -m tools.bench --rows machine training inference --rounds=5 --output=bench.json

Prints a Markdown table. Before a slash, numbers are by wall time; after it, by processor time, which is more reliable on a busy machine.
The columns `ours` and `peer` hold medians over the rounds. The ratio is the peer's cost divided by ours: its median, and the least and the
most over the rounds. `shares` has no peer: its rows are the kinds of operations that take the time.
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
    "engines": "inference of exports by engine, ONNX Runtime against OpenVINO, on one thread",
    "child": "a child of a search up to its first step",
    "space": "a child in the network of the whole search space",
    "search": "children per core-hour, and a proposal after many trials",
    "quickstart": "the phases of make quickstart",
    "detector": "the stages of a detector",
    "controller": "proposing architectures and learning from their rewards",
    "loading": "load_nasnet with a weights file",
    "start": "import, --help, and predict up to its answer",
    "input": "preparing images for training and evaluation",
    "pause": "how long a checkpoint of the large network interrupts training",
    "shares": "the time that each kind of operation takes",
}
_TFDS = "data/tensorflow_datasets"  # in the folder $NASNET_SHARED


def run(groups: list[str], options: Options) -> Iterator[Row]:
    """Measures the rows of groups; prints and yields each as soon as it is measured."""
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
    parser.add_argument("--rows", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="ROW", help="rows to measure; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="number of measurements of each row; default: 5")
    parser.add_argument("--output", type=pathlib.Path, help="JSON file for all samples")
    parser.add_argument("--quick", action="store_true", help="test the code with tiny sizes; the numbers mean nothing")
    parser.add_argument("--data_dir", help=f"TensorFlow Datasets folder with imagenet2012; default: $NASNET_SHARED/{_TFDS}, if it exists")
    args = parser.parse_args(argv)
    shared = pathlib.Path(os.environ.get("NASNET_SHARED", "")) / _TFDS
    data_dir = args.data_dir or (str(shared) if "NASNET_SHARED" in os.environ and shared.is_dir() else None)
    if data_dir is None and {"input", "machine"} & set(args.rows):
        print("ImageNet was not found: random pictures are used; pass --data_dir to measure with ImageNet", file=sys.stderr)
    records = []
    with tempfile.TemporaryDirectory() as workdir:
        for row in run(args.rows, Options(args.rounds, args.quick, data_dir, workdir)):
            records.append(row.record())
            if args.output:  # after each row, because a measurement of an hour may be interrupted
                args.output.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
