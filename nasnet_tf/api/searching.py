"""`nasnet_tf.search`: the search of the command `nasnet search`, as a function."""

import functools
import os
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from nasnet_tf.api.data import check_bindings, data_bindings
from nasnet_tf.api.results import Search
from nasnet_tf.api.running import ANY_DATA, configured, leave_gpus_to_children, own_processes, worded_for_python
from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError, did_you_mean
from nasnet_tf.base.files import user_path
from nasnet_tf.base.identity import bindings as read_configuration
from nasnet_tf.base.values import Count, Positive, Seed, check_value, expect
from nasnet_tf.nas.trials.table import read_search
from nasnet_tf.recipes import folders, table
from nasnet_tf.recipes.search import best_of, search_job

DEFAULT_RECIPE = "cifar10_search_small.gin"
STRATEGIES = {
    "model_guided": "ModelGuided",
    "evolution": "RegularizedEvolution",
    "local_search": "LocalSearch",
    "ppo": "PPOSearch",
    "random": "RandomSearch",
}
ENGINES = {"local": "LocalPool", "ray": "RayTasks"}
_ANY_NUMBER = 10**6  # number of trials if time is the limit


# It has many parameters, but they are public, named and independent; everything else is a binding.
def search(
    data: Any,
    validation: Any = None,
    *,
    workdir: str | os.PathLike,
    max_hours: float | None = None,
    max_trainings: int | None = None,
    strategy: str | None = None,
    workers: int | None = None,
    engine: str | None = None,
    seed: int | None = None,
    seeds: Sequence[str] = (),
    recipe: str | os.PathLike = DEFAULT_RECIPE,
    bindings: Mapping[str, Any] | None = None,
) -> Search:
    """Searches for cells that classify your images well, as `nasnet search` does, in the same kind of work folder.

    An interrupted call leaves no process behind. Repeat the call to resume the search.

    Args:
      data: training data: (images, labels), a tf.data.Dataset of (image, label), "folder:PATH", "table:FILE", the name of a data set of
        TensorFlow Datasets, or an ImageData. Images of arrays and pipelines are integers in [0, 255], or floats in [0, 1] or [0, 255], with
        1 or 3 channels; labels are integers from 0, one-hot, or names of classes. The data are written once into the work folder.
      validation: data of the same kinds to measure architectures on, or a fraction of `data` to hold out, in whole percents. None for the
        split `validation` of a folder or table, else a tenth.
      workdir: work folder, which keeps the search.
      max_hours: maximum time in hours during which children run, over all calls; None for no limit. Pauses do not count.
      max_trainings: number of architectures to try. None for the recipe's number, or for no limit if max_hours is given.
      strategy: "model_guided", "evolution", "local_search", "ppo" or "random"; None for the recipe's.
      workers: number of children at a time, each of which tries one architecture; None for the recipe's.
      engine: "local" for processes on this machine, "ray" for a Ray cluster; None for the recipe's.
      seed: seed of the strategy and of the children; None for the recipe's.
      seeds: names or paths of genotypes to try first.
      recipe: name of a shipped recipe or path of a gin file.
      bindings: {"name.parameter": value} for anything else that a recipe can bind; a text that begins with "@" is a gin reference.

    Returns:
      The result: the best architecture, all trials, and methods to report and retrain them.

    Raises:
      InputError: an argument is wrong, or no architecture got a reward.
      SearchPaused: the search cannot continue at the moment; repeat the call to resume it.
      KeyboardInterrupt: the call was interrupted; repeat it to resume the search.
    """
    for name, value, kind in (
        ("max_hours", max_hours, Positive),
        ("max_trainings", max_trainings, Count),
        ("workers", workers, Count),
        ("seed", seed, Seed),
    ):
        check_value(name, value, kind | None)
    folder = user_path(workdir).absolute()
    limits = {} if max_hours is None else {"search.max_hours": max_hours, "search.num_trials": _ANY_NUMBER}
    limits |= {} if max_trainings is None else {"search.num_trials": max_trainings}
    chosen = {} if strategy is None else {"search.strategy": f"@{_named('strategy', strategy, STRATEGIES)}"}
    chosen |= {} if engine is None else {"search.engine": f"@{_named('engine', engine, ENGINES)}"}
    chosen |= {} if workers is None else {f"{name}.num_workers": workers for name in ENGINES.values()}
    chosen |= {"search.seeds": _paths(seeds)} if seeds else {}
    with worded_for_python():
        check_bindings(bindings or {})
        folders.check_workdir(folder, "workdir")
        work_folders.check_kind(folder, "search")
        # Finds mistakes in the recipe and in the bindings before any data are read.
        seed_bindings = _seeded(recipe, ANY_DATA | limits | chosen, dict(bindings or {}), seed, folder)
        leave_gpus_to_children()
        values = data_bindings(data, validation, folder, "search") | limits | chosen | seed_bindings | dict(bindings or {})
    run = functools.partial(_run, folder, recipe, values)
    run(lambda job, folder: job.search(folder), {})
    with worded_for_python():
        trials = read_search(folder)
        best_of(folder, trials)
        return Search(folder, trials, run)


def _run(
    folder: pathlib.Path, recipe: str | os.PathLike, values: Mapping[str, Any], work: Callable[..., Any], more: Mapping[str, Any]
) -> Any:
    """Returns work(the configured search job, folder); more: bindings that override `values`."""
    try:
        with worded_for_python(), configured(recipe, {**values, **more}, folder) as text, own_processes(), tf.device("cpu:0"):
            result = work(search_job(table.bound("search")(), text), folder)
            folders.write_operative_config(folder)
            return result
    except KeyboardInterrupt:
        print(f"{folder}: the search is paused; repeat the call to resume it", file=sys.stderr, flush=True)
        raise


def _paths(seeds: Sequence[str | os.PathLike]) -> list[str]:
    """Returns names or paths of genotypes as texts; raises InputError for a single one and for anything else."""
    expected = "a list of names or paths of genotypes, such as ['runs/other/best.textproto']"
    expect(not isinstance(seeds, (str, os.PathLike)), "seeds", expected, seeds)
    found = list(seeds)
    for each in found:
        expect(isinstance(each, (str, os.PathLike)), "seeds", expected, type(each).__name__)
    return list(map(os.fspath, found))


def _named(argument: str, name: str, known: Mapping[str, str]) -> str:
    if name not in known:
        raise InputError(f"{argument}: expected {', '.join(map(repr, known))}, got {name!r}{did_you_mean(str(name), known)}")
    return known[name]


def _seeded(
    recipe: str | os.PathLike, values: Mapping[str, Any], more: Mapping[str, Any], seed: int | None, folder: pathlib.Path
) -> dict[str, Any]:
    """Returns the bindings of seeds. The strategy's parameter starts with the strategy's name, which may only be in the recipe."""
    with configured(recipe, {**values, **more}, folder) as text:
        bound = read_configuration(text)
    strategy = f"{bound.get('search.strategy', '').strip('@()')}.seed"
    if seed is not None:
        return {strategy: seed, "TrainingConfig.seed": seed}
    return {} if strategy in bound else {strategy: 0}
