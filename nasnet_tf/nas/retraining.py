"""Retrains the best architectures of a search longer and at their final size; the best of these is the result.

The paper retrains the best 250 of 20,000 (appendix A.3) and reports the winner's accuracy on the test split, which was not used before.
"""

import json
import pathlib
import re
from collections.abc import Callable, Sequence

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import Genotype, genotype_hashes
from nasnet_tf.nas.children.folders import architecture_folder
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.engines.protocol import Engine
from nasnet_tf.nas.search import Evaluate, search
from nasnet_tf.nas.strategies.given import GivenOrder
from nasnet_tf.nas.trials import journal, pareto
from nasnet_tf.nas.trials.trial import Trial, leaderboard, measured

FOLDER = "retrain"
WINNER_NAME = "winner.textproto"
TEST_NAME = "test.json"


def folders(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Returns the folders of all retrainings of a search that have begun, the first one first: `retrain`, `retrain-2`, ..."""
    found = [path.parent for path in workdir.glob(f"{FOLDER}*/{journal.NAME}") if _place(path.parent) is not None]
    return sorted(found, key=_place)


def _place(folder: pathlib.Path) -> int | None:
    match = re.fullmatch(rf"{FOLDER}(?:-(\d+))?", folder.name)
    return match and int(match[1] or 1)


def folder_of(workdir: pathlib.Path, identity: Identity) -> pathlib.Path:
    """Returns the folder for this retraining configuration: the matching one, else the next free `retrain-N`."""
    known = folders(workdir)
    for folder in known:
        if not work_folders.has_saved(folder) or identity.difference(journal.read_identity(folder)) is None:
            return folder
    number = max(map(_place, known), default=0) + 1
    folder = workdir / (FOLDER if number == 1 else f"{FOLDER}-{number}")
    if known:
        print(f"{folder}: started a new retraining, because {known[-1].name} has other bindings")
    return folder


def trained_folder(folder: pathlib.Path, genotype: Genotype) -> pathlib.Path:
    """Returns the folder in which an architecture is retrained."""
    return architecture_folder(folder / "trained", genotype)


def retrain_top(
    folder: pathlib.Path,
    config: SearchConfig,
    trials: Sequence[Trial],
    evaluate: Evaluate,
    measure: Callable[[pathlib.Path], dict] | None,
    identity: Identity,
) -> tuple[Trial, dict]:
    """Retrains the best architectures of a search, and tests the winner once.

    If it is killed, repeat the call to resume it. You can also repeat it with a larger config.retrain_top, or after the search has
    continued.

    Args:
      folder: the folder for its results, from `folder_of`; it is the work folder of a search of its own.
      config: the configuration of the search. Only architectures with a measured reward are retrained, not those with a predicted one.
      trials: trials of the search.
      evaluate: function that trains an architecture in its `trained_folder`, with the signature that `search` expects.
      measure: function that evaluates the network in a `trained_folder` on the test split and returns {"accuracy": float, ...}. It is
        called in a child, only for the winner. None for no test.
      identity: the settings that must be the same to resume the retraining.

    Returns:
      The trial with the highest validation accuracy, and the result of `measure` for it; {} without a test.

    Raises:
      InputError: no trial of the search has a measured reward, or no architecture could be trained.
    """
    choice = pareto.pareto_front(trials) if config.retrain_front else trials
    best = leaderboard(measured(choice))[: config.retrain_top]
    if not best:
        raise InputError(f"{folder.parent}: nothing to retrain, because no trial of the search has a measured reward")
    # Architectures whose retraining has begun come first, even if the search has found better ones since.
    begun = journal.read_trials(folder) if (folder / journal.NAME).is_file() else []
    new = [trial for trial in best if trial.hash not in {other.hash for other in begun}]
    order = [trial.decisions for trial in (*begun, *new)]
    plain = SearchConfig(config.space, lambda space: GivenOrder(order), config.engine, len(order), tolerance=config.tolerance)
    with work_folders.at_work(folder, "search"):
        trained = search(folder, plain, evaluate, identity)
    retrained = leaderboard(trained)
    if not retrained:
        raise InputError(f"{folder}: none of the {len(order)} architectures could be trained; see the reasons in {folder / journal.NAME}")
    winner = retrained[0]
    comment = f"# validation accuracy {winner.reward}, trial {winner.number} of the retraining\n"
    replace_file(folder / WINNER_NAME, comment + winner.text)
    if measure is None:
        return winner, {}
    result = _read_test(folder / TEST_NAME)
    if result.get("hash") not in genotype_hashes(winner.genotype):
        tested = _run_one(config.engine(), measure, trained_folder(folder, winner.genotype))
        result = {"trial": winner.number, "hash": winner.hash, **tested}
        replace_file(folder / TEST_NAME, json.dumps(result, indent=1))
    return winner, result


def _read_test(path: pathlib.Path) -> dict:
    """Returns the result of the last test; {} if there is none or the file is damaged, because the test can be repeated."""
    if not path.is_file():
        return {}
    try:
        result = json.loads(path.read_bytes())
    except ValueError:
        result = None
    if not isinstance(result, dict):
        print(f"{path}: damaged; the winner is tested again")
        return {}
    return result


def _run_one(engine: Engine, function: Callable[..., dict], *args) -> dict:
    try:
        engine.submit(0, function, *args)
        outcomes = []
        while not outcomes:
            outcomes = engine.poll(timeout_seconds=5.0)
    finally:
        engine.close()
    if outcomes[0].reason is not None:
        raise InputError(f"testing the winner failed: {outcomes[0].reason}")
    return outcomes[0].value
