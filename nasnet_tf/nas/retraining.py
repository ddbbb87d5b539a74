"""After the search: its best architectures are trained longer, at their final size, and the best of these is the result.

The paper retrains the best 250 of 20,000 (appendix A.3) and reports the winner's accuracy on the test split, which nothing has seen before.
"""

import json
import pathlib
import re
from collections.abc import Callable, Sequence

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import replace_file
from nasnet_tf.base.identity import Identity
from nasnet_tf.genotype import Genotype, SearchSpace, genotype_hashes
from nasnet_tf.nas.children.folders import architecture_folder
from nasnet_tf.nas.search import search
from nasnet_tf.nas.strategies.given import GivenOrder
from nasnet_tf.nas.trials import journal, pareto
from nasnet_tf.nas.trials.trial import Trial, leaderboard

FOLDER = "retrain"
WINNER_NAME = "winner.textproto"
TEST_NAME = "test.json"


def folders(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Of all retrainings of a search that have begun, the first one first: `retrain`, `retrain-2`, ..."""
    found = [path.parent for path in workdir.glob(f"{FOLDER}*/{journal.NAME}") if _place(path.parent) is not None]
    return sorted(found, key=_place)


def _place(folder: pathlib.Path) -> int | None:
    match = re.fullmatch(rf"{FOLDER}(?:-(\d+))?", folder.name)
    return match and int(match[1] or 1)


def folder_of(workdir: pathlib.Path, identity: Identity) -> pathlib.Path:
    """Where the best of a search are trained in this way: with other bindings, beside those that are there."""
    known = folders(workdir)
    for folder in known:
        if not work_folders.has_saved(folder) or identity.difference(journal.read_identity(folder)) is None:
            return folder
    number = max(map(_place, known), default=0) + 1
    folder = workdir / (FOLDER if number == 1 else f"{FOLDER}-{number}")
    if known:
        print(f"{folder}: begun beside {known[-1].name}, whose bindings were others")
    return folder


def trained_folder(folder: pathlib.Path, genotype: Genotype) -> pathlib.Path:
    """Where an architecture is retrained."""
    return architecture_folder(folder / "trained", genotype)


def retrain_top(
    folder: pathlib.Path,
    space: SearchSpace,
    trials: Sequence[Trial],
    count: int,
    engine: Callable,
    evaluate: Callable[[str, None], dict],
    measure: Callable[[pathlib.Path], dict],
    identity: Identity,
    front: bool = False,
    **rules,
) -> tuple[Trial, dict]:
    """Trains the best architectures of a search again, and tests the winner once.

    Killed at any moment, it goes on by repeating the call; so it does with a larger count, or after the search has gone on.

    Args:
      folder: `folder_of` a search; keeps everything, like a search of its own.
      space: of the search.
      trials: of the search.
      count: architectures to train, or all where there are fewer; only those whose reward was measured, not predicted.
      engine: () -> engine, as in nasnet_tf.nas.engines.local.
      evaluate: as for `search`; trains in `trained_folder`.
      measure: that folder -> {"accuracy": float, ...} on the test split; called in a child, for the winner alone.
      identity: as for `search`.
      front: those of the Pareto front of accuracy and cost, the highest rewards first, instead of the best of all.
      rules: more arguments of `search`.

    Returns:
      The trial of the highest validation accuracy, and what `measure` said of it.

    Raises:
      InputError: the search has rewarded nothing, or no architecture could be trained.
    """
    choice = pareto.pareto_front(trials) if front else trials
    best = [trial for trial in leaderboard(choice) if not trial.is_predicted][:count]
    if not best:
        raise InputError(f"{folder.parent}: nothing to retrain, no trial of the search has a reward")
    # What was begun comes first: the search may have found better ones since.
    begun = journal.read_trials(folder) if (folder / journal.NAME).is_file() else []
    new = [trial for trial in best if trial.hash not in {other.hash for other in begun}]
    order = [trial.decisions for trial in (*begun, *new)]
    with work_folders.at_work(folder, "search"):
        trained = search(folder, space, GivenOrder(order), engine, evaluate, len(order), identity, **rules)
    retrained = leaderboard(trained)
    if not retrained:
        raise InputError(f"{folder}: none of the {len(order)} architectures could be trained; see the reasons in {folder / journal.NAME}")
    winner = retrained[0]
    comment = f"# validation accuracy {winner.reward} after retraining, trial {winner.number} there\n"
    replace_file(folder / WINNER_NAME, comment + winner.text)
    result = _read_test(folder / TEST_NAME)
    if result.get("hash") not in genotype_hashes(winner.genotype):
        result = {"trial": winner.number, "hash": winner.hash, **_run_one(engine, measure, trained_folder(folder, winner.genotype))}
        replace_file(folder / TEST_NAME, json.dumps(result, indent=1))
    return winner, result


def _read_test(path: pathlib.Path) -> dict:
    """What the last test said; nothing where there was none, or where its file is damaged, for it can be measured again."""
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


def _run_one(engine: Callable, function: Callable, *args) -> dict:
    pool = engine()
    try:
        pool.submit(0, function, *args)
        outcomes = []
        while not outcomes:
            outcomes = pool.poll(timeout_seconds=5.0)
    finally:
        pool.close()
    if outcomes[0].reason is not None:
        raise InputError(f"testing the winner failed: {outcomes[0].reason}")
    return outcomes[0].value
