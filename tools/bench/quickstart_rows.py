"""Measures the commands of `make quickstart` after its environment is installed."""

import pathlib
import re
import shlex
import subprocess
import sys

from tools.bench.timing import ROOT, Options, Row, timed_process, total


def measure(options: Options) -> list[Row]:
    """Returns a row for each command, run once in a new folder, and one for all commands. With --quick, they only print their help."""
    commands = phases(pathlib.Path(options.workdir) / "quickstart")
    if options.quick:
        commands = {name: re.sub(r"( -m nasnet_tf\.\w+)", r"\1 --help", command) for name, command in commands.items()}
    rows = [Row(f"quickstart: {name}", "s", {"ours": [timed_process(["bash", "-c", command])]}) for name, command in commands.items()]
    return [*rows, Row("quickstart without its environment", "s", {"ours": [total(*(row.samples["ours"][0] for row in rows))]}, "120 s")]


def phases(run: pathlib.Path) -> dict[str, str]:
    """Returns {name: shell command} of `make quickstart`. The name is that of the nasnet command, or of the two that run at once.

    Args:
      run: work folder of the quickstart.
    """
    make = ["make", "--just-print", "--assume-old=.venv/installed", "--no-print-directory", "quickstart", f"RUN={run}"]
    printed = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout.replace("\\\n", " ")
    lines = [line.replace(".venv/bin/python", shlex.quote(sys.executable)) for line in printed.splitlines() if "nasnet_tf." in line]
    return {" and ".join(re.findall(r" -m nasnet_tf\.(\w+)", line)): line for line in lines}
