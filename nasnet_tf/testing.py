"""Helpers that several tests share: tiny genotypes, data, ways to run commands and other processes, ledgers of searches, a browser."""

import ast
import contextlib
import importlib
import json
import multiprocessing
import os
import pathlib
import runpy
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Mapping, Sequence

import nasnet_tf
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import Block, Branch, Genotype, SearchSpace, parse_genotype

REPOSITORY = pathlib.Path(__file__).parent.parent
SHARED = pathlib.Path(os.environ.get("NASNET_SHARED", REPOSITORY.parent / "shared"))

TIMEOUT_SECONDS = 240.0  # for work that takes seconds, because the machine may be busy

TINY_TEXT = """
name: "tiny"
num_input_states: 2
normal_cell {
  blocks { left { input: 0 operation: SEP_CONV_3X3 } right { input: 1 operation: IDENTITY } combine: ADD }
  blocks { left { input: 2 operation: MAX_POOL_3X3 } right { input: 1 operation: CONV_1X1 } combine: ADD }
  outputs { states: [3] }
}
reduction_cell {
  blocks { left { input: 0 operation: AVG_POOL_3X3 } right { input: 1 operation: CONV_3X3 } combine: ADD }
  outputs { states: [2] }
}
"""

ALL_COMBINES = ("ADD", "CONCAT", "LAYER_NORM_ADD", "INSTANCE_NORM_ADD")
SPACES = {
    "a": SearchSpace(),
    "b": SearchSpace(num_blocks=4, num_input_states=4, combines=ALL_COMBINES, outputs="each_block"),
    "c": SearchSpace(num_blocks=4, combines=ALL_COMBINES),
    "twins": SearchSpace(num_blocks=6, num_input_states=1, operations=("IDENTITY",)),  # many of its genotypes have equal blocks
}


def drawn_genotypes(names: Sequence[str] = tuple(SPACES)):
    """Returns a strategy of Hypothesis that draws genotypes from these spaces, by their names in SPACES."""
    from hypothesis import strategies as st

    def of(space: SearchSpace):
        return st.tuples(*(st.integers(0, size - 1) for size in space.sizes)).map(space.decode)

    return st.one_of(*(of(SPACES[name]) for name in names))


def tiny_genotype() -> Genotype:
    """Returns a small genotype with a bit of everything: two blocks in the normal cell, one in the reduction cell."""
    return parse_genotype(TINY_TEXT)


def smallest_genotype() -> Genotype:
    """Returns a genotype with one block in each cell, for tests that need any network of cells that is quick to trace.

    Normal cell: 1x1 convolution of h_i + h_{i-1}. Reduction cell: average pool of h_i + maximum pool of h_{i-1}.
    """
    space = SearchSpace(num_blocks=1, operations=("CONV_1X1", "IDENTITY", "AVG_POOL_3X3", "MAX_POOL_3X3"))
    return space.decode((0, 1, 0, 1, 0) + (0, 1, 2, 3, 0), "smallest")


def png(pixels) -> bytes:
    """Returns pixels, 0..255 [height, width, 1 or 3], as a PNG file."""
    import numpy as np
    import tensorflow as tf

    return tf.io.encode_png(np.asarray(pixels, np.uint8)).numpy()


def jpeg(pixels, quality: int = 100) -> bytes:
    """Returns pixels, 0..255 [height, width, 1 or 3], as a JPEG file."""
    import numpy as np
    import tensorflow as tf

    return tf.io.encode_jpeg(np.asarray(pixels, np.uint8), quality=quality).numpy()


def coco_folder(root: pathlib.Path, sizes: Mapping[str, int]) -> None:
    """Writes a data set in COCO's format to a folder, with `sizes[split]` pictures in each split and one box in each picture."""
    import numpy as np

    (root / "annotations").mkdir(parents=True)
    for split, count in sizes.items():
        (root / split).mkdir()
        for number in range(count):
            (root / split / f"{number}.png").write_bytes(png(np.zeros([40, 40, 3])))
        content = {
            "images": [{"id": number, "file_name": f"{number}.png", "height": 40, "width": 40} for number in range(count)],
            "annotations": [
                {"id": 1 + number, "image_id": number, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}
                for number in range(count)
            ],
            "categories": [{"id": 1, "name": "square"}],
        }
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def swap_sides(block: Block) -> None:
    """Exchanges the left and the right branch of a block."""
    left = Branch()
    left.CopyFrom(block.left)
    block.left.CopyFrom(block.right)
    block.right.CopyFrom(left)


def terminated_at(step: int, number: signal.Signals = signal.SIGTERM) -> type:
    """Returns a subclass of TrainStep that sends a signal to this process in the call that begins after `step` steps."""
    from nasnet_tf.training.step import TrainStep

    class Terminated(TrainStep):
        def __call__(self, batches, first, *arguments):
            if first == step:
                signal.raise_signal(number)
            return super().__call__(batches, first, *arguments)

    return Terminated


def until(condition: Callable[[], object]) -> None:
    """Waits until the condition holds; fails after TIMEOUT_SECONDS."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < TIMEOUT_SECONDS
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Returns whether a process runs. A zombie, which has ended but whose parent has not noticed, does not."""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it may end during the call
        return False


def hold_ports(count: int) -> list[socket.socket]:
    """Returns sockets that reserve ports: while they are open, the system gives the ports to nobody else, but servers can use them."""
    sockets = []
    for _ in range(count):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # for Python's servers
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # for gRPC's
        one.bind(("127.0.0.1", 0))
        sockets.append(one)
    return sockets


def run_door(name: str, *arguments) -> None:
    """Does the work of `python -m nasnet_tf.<name> arguments` in this process, which is much faster. Errors are raised unchanged."""
    from nasnet_tf.cli import flags

    door = importlib.import_module(f"nasnet_tf.{name}")
    if name in nasnet_tf.__all__:
        vars(nasnet_tf).pop(name, None)  # the imported module would hide the public function of the same name
    others, handler = set(flags.FLAGS), signal.getsignal(signal.SIGTERM)
    door.define_flags()
    try:
        door.main(flags.FLAGS([name, *map(str, arguments)])[1:])
    finally:
        signal.signal(signal.SIGTERM, handler)  # the command train sets its own handler
        for flag in set(flags.FLAGS) - others:
            delattr(flags.FLAGS, flag)


def uses(name: str) -> list[list[str]]:
    """Returns the commands in the docstring of a command, or of "__main__", each as a list of words."""
    document = ast.get_docstring(ast.parse((REPOSITORY / "nasnet_tf" / f"{name}.py").read_text()))
    lines = document.split("\n\n")[1].replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def fork_door(name: str, *arguments, cwd: pathlib.Path | None = None) -> subprocess.CompletedProcess:
    """Runs `python -m nasnet_tf.<name> arguments` in a new process that already has TensorFlow loaded, which saves four seconds.

    The process is a fork of the server from which searches fork their children, so it cannot run commands that start processes themselves.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["nasnet_tf.nas.engines.preload"])
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, stream) for stream in ("stdout", "stderr")]
        words = [name, *map(str, arguments)]
        process = context.Process(target=_as_main, args=(words, str(cwd or os.getcwd()), dict(os.environ), files))
        process.start()
        process.join(TIMEOUT_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(words, TIMEOUT_SECONDS)
        return subprocess.CompletedProcess(words, process.exitcode, *(pathlib.Path(file).read_text() for file in files))


def _as_main(words: list[str], cwd: str, environment: dict[str, str], files: list[str]) -> None:
    """Runs a command in a fork, with its own folder, environment, standard output and standard error."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.argv = words
    runpy.run_module(f"nasnet_tf.{words[0]}", run_name="__main__", alter_sys=True)


JOURNAL_SPACE = SearchSpace(num_blocks=2, operations=("IDENTITY", "SEP_CONV_3X3", "MAX_POOL_3X3"))
JOURNAL_IDENTITY = Identity({"seed": "1", "space": "small"})


def open_ledger(workdir: pathlib.Path, strategy=None, identity=None, **options):
    """Returns a ledger of a search of JOURNAL_SPACE with further options; by default a random search with JOURNAL_IDENTITY."""
    from nasnet_tf.nas.strategies.random_search import RandomSearch
    from nasnet_tf.nas.trials.ledger import Ledger

    return Ledger(workdir, JOURNAL_SPACE, strategy or RandomSearch(JOURNAL_SPACE, seed=1), identity or JOURNAL_IDENTITY, **options)


def finished(key: int, reward: float):
    """Returns the outcome of a trained child."""
    from nasnet_tf.nas.engines.outcome import Outcome

    return Outcome(key, 1.5, value={"reward": reward, "metrics": {"parameters": 7}})


def play(book, until: int) -> None:
    """Finishes all trials of a ledger, each with a reward that depends on its decisions, until it has `until` trials."""
    for trial in book.unfinished():
        book.record(finished(trial.number, sum(trial.decisions) / 100))
    while len(book.trials) < until:
        trial = book.propose()
        if trial.status == "running":
            book.record(finished(trial.number, sum(trial.decisions) / 100))


def content_of(book) -> list[tuple]:
    """Returns the content of all trials of a ledger: decisions, log probabilities, status and reward."""
    return [(trial.decisions, trial.log_probs, trial.status, trial.reward) for trial in book.trials]


SEVERAL_CLASSES = types.SimpleNamespace(num_classes=3)  # stands for data: enough to create a classification task


def parse_shipped(recipe: str, **changes) -> dict[str, str]:
    """Parses a shipped recipe, then binds `changes`, "name__parameter" for "name.parameter"; returns the recipe's own bindings."""
    import gin

    from nasnet_tf.base.identity import bindings
    from nasnet_tf.recipes import reading, table

    table.load()
    reading.parse_recipe(reading.read_recipe(reading.find_recipe(recipe)))
    shipped = bindings(gin.config_str(max_line_length=10**6))
    gin.parse_config([f"{name.replace('__', '.')} = {value!r}" for name, value in changes.items()])
    return shipped


def made_by_gin(name: str):
    """Returns the result of calling a configurable with its bindings."""
    import gin

    return gin.get_configurable(name)()


@contextlib.contextmanager
def chromium():
    """Yields Selenium's driver of a Chromium without a window, which keeps its logs; skips the test if there is no Chromium."""
    import pytest
    from selenium import webdriver

    browser = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs Chromium and its driver on the PATH, Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield opened
    finally:
        opened.quit()
