"""Checks a machine with GPUs or a TPU: whether it computes correctly, and how fast compared with keras.applications.

    python tools/accelerator_check.py
    python tools/accelerator_check.py --rows '^mobile training' --seconds 600
    python tools/accelerator_check.py --strategy=tpu

A speed row is training (the package's own step) or inference of NASNet-A mobile or large, in float32 or mixed_bfloat16, with or without
XLA. It is measured for "ours" and its "peer", the network of keras.applications with the same optimizer, on one device, and for ours on
"all" devices if there are several. Rows without XLA come first, then those with XLA, bfloat16 before float32. The last row compares losses:
one device with all, and half precision with float32.

Each row is a process of its own. The next rows build and trace their networks while one is timed, and a row that takes too long is ended.
Each result goes to standard error at once. The table, for docs/benchmarks/devices.md, is printed at the end, also after Ctrl-C. The exit
code is 1 if a comparison does not hold or there is no TPU for --strategy=tpu, and 130 after Ctrl-C. Without an accelerator a small network
runs on the CPU.
"""

import argparse
import contextlib
import datetime
import itertools
import json
import os
import pathlib
import queue
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

from nasnet_tf.base.cpus import available_cpus

ROOT = pathlib.Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "tools.accelerator_rows")
COMPARISONS = "comparisons"
TRACE_SECONDS = 300.0  # maximum time to build and trace a network
ROW_SECONDS = {"off": 120.0, "on": 300.0, COMPARISONS: 300.0}  # maximum time on the device; XLA compiles for minutes
_STRATEGY = "auto: GPUs, or the CPU where there are none; tpu: the TPU that the environment variable TPU_NAME names, such as local"
_HEADER = ("network", "kind", "precision", "XLA", "images/s", "keras.applications", "ratio", "peak GB", "its peak GB", "all devices")


def row_names(networks: Sequence[str], whose: Sequence[str], on_cpu: bool) -> list[str]:
    """Returns the names of all rows in the order in which they are measured."""
    # On a CPU, XLA with bfloat16 has never finished in our trials.
    policies = {"off": ("float32", "mixed_bfloat16"), "on": ("float32",) if on_cpu else ("mixed_bfloat16", "float32")}
    return [
        *(
            f"{network} {kind} {policy} {who} {xla}"
            for xla in ("off", "on")
            for network, policy, kind, who in itertools.product(networks, policies[xla], ("training", "inference"), whose)
        ),
        COMPARISONS,
    ]


class Row:
    """A row that runs in a process of its own; the constructor starts it.

    Args:
      name: the row's name.
      device: "auto" or "tpu".
      log: the file for everything that the process prints besides its answers.
    """

    def __init__(self, name: str, device: str, log: pathlib.Path):
        self.name, self._log = name, log
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        command = [*COMMAND, name, device]
        with open(log, "w") as file:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                start_new_session=True,
            )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def result(self, until: float) -> dict:
        """Returns the measurements of the row, or {"failed": reason}. Ends the row's process.

        Args:
          until: when the whole check must end, in seconds of time.monotonic.
        """
        try:
            answer = self._answer(min(until, time.monotonic() + TRACE_SECONDS), "it was not traced in time")
            if answer == "READY":
                with contextlib.suppress(BrokenPipeError):
                    print("go", file=self._process.stdin, flush=True)
                limit = ROW_SECONDS[self.name.split()[-1]]
                answer = self._answer(min(until, time.monotonic() + limit), "it took too long on the device")
            return json.loads(answer.removeprefix("RESULT "))
        except TimeoutError as error:
            return {"failed": f"ended: {error}"}
        finally:
            self.end()

    def _answer(self, until: float, late: str) -> str:
        try:
            line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise TimeoutError(late) from None
        if line is not None:
            return line.strip()
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
        return json.dumps({"failed": f"failed: the process died: {' '.join(last)[-200:]}".replace("|", "/")})

    def end(self) -> None:
        """Kills the process and its children if they are still alive."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def measured(names: Sequence[str], device: str, ahead: int, until: float, folder: pathlib.Path) -> Iterator[tuple[str, dict]]:
    """Yields each row's name and result, in order.

    Args:
      names: names of the rows.
      device: "auto" or "tpu".
      ahead: number of rows that are built and traced while one is timed.
      until: when the check must end, in seconds of time.monotonic; rows that have not begun by then fail.
      folder: folder for the logs.
    """
    started: list[Row] = []
    try:
        for number, name in enumerate(names):
            if time.monotonic() >= until:
                yield name, {"failed": "not begun: no time left"}
                continue
            for later in names[len(started) : number + 1 + ahead]:
                started.append(Row(later, device, folder / f"{len(started)}.log"))
            yield name, started[number].result(until)
    finally:
        for row in started:
            row.end()


def sentences(result: dict) -> list[str]:
    """Returns the sentences of a row without a speed: one for each comparison, or why the row failed."""
    return [result["failed"]] if "failed" in result else [text for _, text in result["comparisons"]]


def text_of(result: dict) -> str:
    """Returns a result in words."""
    if "speed" not in result:
        return "; ".join(sentences(result))
    speed, compiling, peak, batch_size = (result[key] for key in ("speed", "compile_s", "peak_gb", "batch_size"))
    return f"{speed:.4g} images/s, compiled in {compiling} s, peak {peak} GB, batch {batch_size}"


def table(results: dict[str, dict]) -> str:
    """Returns the speed rows as a Markdown table; ours, the peer's and that on all devices share a line."""
    lines = [_HEADER, ("---",) * len(_HEADER)]
    for key in dict.fromkeys(tuple(name.split()[i] for i in (0, 1, 2, 4)) for name in results):
        ours, peer, every = (results.get(" ".join((*key[:3], who, key[3])), {}) for who in ("ours", "peer", "all"))
        ratio = f"{ours['speed'] / peer['speed']:.2f}" if "speed" in ours and "speed" in peer else ""
        speeds = [f"{each['speed']:.4g}" if "speed" in each else each.get("failed", "") for each in (ours, peer, every)]
        lines.append((*key, *speeds[:2], ratio, *(str(each.get("peak_gb", "")) for each in (ours, peer)), speeds[2]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pattern(text: str) -> re.Pattern:
    """Returns the compiled regular expression; argparse reports the error if the text is not a valid one."""
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"expected a regular expression, got {text!r} ({error})") from error


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line; None for that of this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategy", choices=["auto", "tpu"], default="auto", help=_STRATEGY)
    parser.add_argument("--small", action="store_true", help="measure a small network; the default where there is no accelerator")
    parser.add_argument("--rows", type=pattern, default=".", metavar="REGEX", help="measure only rows whose name matches; see --list")
    parser.add_argument("--seconds", type=float, default=3600, help="end after this many seconds, and print the rows measured by then")
    parser.add_argument("--list", action="store_true", help="print the names of the rows, and measure nothing")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = arguments(argv)
    began = time.monotonic()

    def note(*words: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s]", *words, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder, is_tpu = pathlib.Path(name), args.strategy == "tpu"
        machine = Row("machine", args.strategy, folder / "machine.log").result(began + args.seconds)
        if "failed" in machine:
            sys.exit(f"error: {'no TPU' if is_tpu else 'TensorFlow'} can be used here: {machine['failed']}")
        on_cpu = machine["kind"] == "CPU"
        if on_cpu and not args.small:
            note("no accelerator found: a small network runs on the CPU to test the code; its speeds mean nothing")
        whose = ["all"] if is_tpu else ["ours", "peer", "all"] if machine["count"] > 1 else ["ours", "peer"]
        names = row_names(["small"] if args.small or on_cpu else ["mobile", "large"], whose, on_cpu)
        chosen = [each for each in names if args.rows.search(each)]
        if not chosen:
            sys.exit(f"error: --rows {args.rows.pattern!r}: expected it to match at least one row, such as {names[0]!r}")
        if args.list:
            print(*chosen, sep="\n")
            return 0
        results, is_interrupted = {}, False
        # Only one process at a time can use a TPU. On other devices, half of the cores prepare the next rows.
        ahead = 0 if is_tpu else max(1, available_cpus() // 2)
        try:
            for row, result in measured(chosen, args.strategy, ahead, began + args.seconds, folder):
                results[row] = result
                note(row, "|", text_of(result))
        except KeyboardInterrupt:
            is_interrupted = True
            note("interrupted")
    command = shlex.join(["python", "tools/accelerator_check.py", *(sys.argv[1:] if argv is None else argv)])
    compared = results.pop(COMPARISONS, {"comparisons": []})
    print(f"{datetime.date.today()}, `{command}`, {machine['text']}:\n")
    print(table(results), "", *(f"- {text}" for text in sentences(compared)), sep="\n")
    holds = "failed" not in compared and all(each for each, _ in compared["comparisons"])
    return 130 if is_interrupted else 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
