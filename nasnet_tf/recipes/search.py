"""Builds the search that a recipe configures."""

import dataclasses
import functools
import pathlib

import gin

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.files import check_local, replace_file
from nasnet_tf.base.identity import CONFIG_NAME, Identity, bindings
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas import retraining
from nasnet_tf.nas.children.caps import Caps
from nasnet_tf.nas.children.evaluator import ChildTraining
from nasnet_tf.nas.children.folders import FOLDER as CHILDREN
from nasnet_tf.nas.config import SearchConfig
from nasnet_tf.nas.search import search as run_search
from nasnet_tf.nas.strategies.given import Allowed
from nasnet_tf.nas.strategies.protocol import Strategy
from nasnet_tf.nas.trials import earlier
from nasnet_tf.nas.trials.trial import Trial, leaderboard
from nasnet_tf.recipes import folders, table
from nasnet_tf.recipes.children import ChildTask, ScoringTask, WithinLatency, measure_on_test
from nasnet_tf.recipes.jobs import Retrained, SearchJob
from nasnet_tf.recipes.table import RETRAIN_SCOPE
from nasnet_tf.training.classification import Classification


def search_job(config: SearchConfig, config_text: str) -> SearchJob:
    """Returns a search with the retraining of its best architectures, ready to run.

    Args:
      config: the bindings of `search` in the recipe.
      config_text: the gin configuration with which children evaluate genotypes.

    Raises:
      InputError: the configuration has a mistake.
    """
    scorer = "trained as children" if config.evaluator is None else f"scored by {type(config.evaluator).__name__}"
    # Created here so that mistakes in the configuration are reported before the work folder is used or a child starts.
    child = table.bound("evaluate_genotype")()
    if config.evaluator is not None and getattr(child.task, "kind", Classification.kind) != Classification.kind:
        raise InputError(f"search.evaluator: expected None for the task {child.task.kind}, got {type(config.evaluator).__name__}")
    evaluations = {f"at most {config.num_trials} architectures, {scorer}": child}
    retrained = None
    if config.retrain_top:
        with gin.config_scope(RETRAIN_SCOPE):
            retrained = evaluations[f"at most {config.retrain_top} architectures, retrained"] = table.bound("evaluate_genotype")()
    identity, retrain_identity = _identities(config_text, config.space)
    strategy = _strategy(config)
    config = dataclasses.replace(config, strategy=lambda space: strategy, seeds=())

    def write_configuration(workdir: pathlib.Path) -> None:
        """Writes config.gin; raises InputError, and keeps the file, if the folder holds another search."""
        begun = folders.begun_with(workdir)
        if begun is not None:
            identity.check(workdir, begun, "search")
        replace_file(workdir / CONFIG_NAME, config_text)

    def search(workdir: pathlib.Path) -> list[Trial]:
        check_local(workdir)
        workdir = workdir.absolute()  # children on other machines have another current folder
        earlier.check_folders(config.take_over, workdir)
        if config.evaluator is None:
            task = ChildTask(config_text, workdir / CHILDREN)
        else:
            task = ScoringTask(config_text, workdir, config.evaluator)
        if config.max_latency_seconds is not None:
            task = WithinLatency(task, config_text, config.cap_scope, config.max_latency_seconds)
        with work_folders.at_work(workdir, "search"):
            write_configuration(workdir)
            if config.prior:
                for decisions, rewards in earlier.read_prior(config.prior, config.space, workdir):
                    strategy.prime(decisions, rewards)
            taken = earlier.trials_of(config.take_over, identity.without(table.choices()), config.space)
            return run_search(workdir, config, task, identity, taken, scalars=True)

    def retrain(workdir: pathlib.Path, trials: list[Trial]) -> Retrained:
        write_configuration(workdir)
        with gin.config_scope(RETRAIN_SCOPE):
            folder = retraining.folder_of(workdir.absolute(), retrain_identity)
            task = ChildTask(config_text, folder / CHILDREN, RETRAIN_SCOPE, folder)
            measure = measure_on_test if retrained.adapted_data.has_test else None
            winner, test = retraining.retrain_top(folder, config, trials, task, measure, retrain_identity)
            return winner, test, folder

    return SearchJob(config.space, evaluations, search, retrain if retrained else None)


def best_of(workdir: pathlib.Path, trials: list[Trial]) -> Trial:
    """Returns the best trial of a search; raises InputError if no trial has a reward."""
    best = next(iter(leaderboard(trials)), None)
    if best is None:
        reasons = [trial.reason for trial in trials if trial.reason]
        raise InputError(f"{workdir}: none of {len(trials)} trials got a reward; the last reason: {reasons[-1] if reasons else 'none'}")
    return best


def _strategy(config: SearchConfig) -> Strategy:
    """Returns the strategy; with max_parameters or max_mult_adds, it proposes only architectures within them."""
    strategy, caps = config.new_strategy(), {"max_parameters": config.max_parameters, "max_mult_adds": config.max_mult_adds}
    known = {name: cap for name, cap in caps.items() if cap is not None}
    if not known:
        return strategy

    @functools.cache
    def child() -> ChildTraining:
        with gin.config_scope(config.cap_scope or None):
            return table.bound("evaluate_genotype")()

    within = Caps(config.space, lambda: child().network, lambda: child().adapted_data, **known)
    return Allowed(strategy, within, ", ".join(f"search.{name} = {cap:g}" for name, cap in known.items()))


def _identities(config_text: str, space: SearchSpace) -> tuple[Identity, Identity]:
    """Returns the identity of a search, which excludes the bindings of the scope `retrain`, and the identity of its retraining."""
    # Bindings have only the names of the files of fixed cells, so the identity includes the content of these files.
    fixed = {key: text for key, text in space.description().items() if key.startswith("fixed ")}
    values = bindings(config_text) | fixed
    retrain = Identity(values, table.may_change(is_search=True), table.default_at_start)
    own = {name: value for name, value in values.items() if not name.startswith(f"{RETRAIN_SCOPE}/")}
    return dataclasses.replace(retrain, values=own), retrain
