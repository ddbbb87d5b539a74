"""`search`: the search that a recipe binds."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence

import gin

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity, bindings
from nasnet_tf.base.values import Count, Natural, Positive
from nasnet_tf.genotype import SearchSpace
from nasnet_tf.nas import retraining
from nasnet_tf.nas.children.early_stopping import EarlyStopping
from nasnet_tf.nas.children.evaluator import measure_on_test
from nasnet_tf.nas.children.folders import FOLDER as CHILDREN
from nasnet_tf.nas.children.halving import SuccessiveHalving
from nasnet_tf.nas.children.objectives import CostReward, WithObjective
from nasnet_tf.nas.children.shared_weights import SharedWeights
from nasnet_tf.nas.children.space_training import SpaceChildren
from nasnet_tf.nas.children.zero_cost import ZeroCost
from nasnet_tf.nas.engines import local, ray_tasks
from nasnet_tf.nas.limits import Limits, Rates
from nasnet_tf.nas.search import search as run_search
from nasnet_tf.nas.strategies import given, protocol
from nasnet_tf.nas.trials import earlier
from nasnet_tf.nas.trials.faults import FaultTolerance
from nasnet_tf.nas.trials.trial import Trial
from nasnet_tf.recipes import table
from nasnet_tf.recipes.children import ChildTask, ScoringTask
from nasnet_tf.recipes.jobs import SearchJob
from nasnet_tf.recipes.table import RETRAIN_SCOPE


def search(
    config_text: str,
    space: SearchSpace,
    strategy: Callable[[SearchSpace], protocol.Strategy],
    engine: Callable[..., local.LocalPool | local.InProcess | ray_tasks.RayTasks],
    num_trials: Count,
    early_stopping: EarlyStopping | None = None,
    halving: SuccessiveHalving | None = None,
    evaluator: SharedWeights | SpaceChildren | ZeroCost | None = None,
    train_again: bool = False,
    max_trainings: Count | None = None,
    max_hours: Positive | None = None,
    max_child_hours: Positive | None = None,
    child_watts: Positive | None = None,
    child_hour_price: Positive | None = None,
    tolerance: FaultTolerance | None = None,
    deadline_reward: float | None = None,
    objective: CostReward | str | None = None,
    seeds: Sequence[str] = (),
    take_over: Sequence[str] = (),
    retrain_top: Natural = 0,
    retrain_front: bool = False,
) -> SearchJob:
    """The search, and the retraining of its best, to be called with its work folder.

    Arguments as in nasnet_tf.nas.search.search and nasnet_tf.nas.retraining.retrain_top.

    strategy: (space) -> strategy, such as @PPOSearch.
    config_text: the gin configuration that children evaluate genotypes with.
    retrain_top: how many of the best to retrain, with the bindings of the gin scope `retrain` where they differ.
    retrain_front: of the Pareto front of accuracy and cost instead.
    objective: what rewards are instead of the accuracy, as in nasnet_tf.nas.children.objectives or "module:function".
    seeds: names or paths of genotypes to try first.
    take_over: work folders of earlier searches, whose rewarded trials count.
    evaluator: scores architectures, in processes that are kept, in the place of children that evaluate_genotype trains.
    halving: short trainings first, of which the best go on.
    child_watts, child_hour_price: what a child's hour takes, for estimates only.

    The limits are those of the search without its retraining, and nasnet_tf.nas.limits.Limits.
    """
    scorer = "trained as children" if evaluator is None else f"scored by {type(evaluator).__name__}"
    # What is wrong with them comes up before any child, or the folder, is begun.
    evaluations = {f"at most {num_trials} architectures, {scorer}": table.bound("evaluate_genotype")()}
    if retrain_top:
        with gin.config_scope(RETRAIN_SCOPE):
            evaluations[f"at most {retrain_top} architectures, retrained"] = table.bound("evaluate_genotype")()
    identity, retrain_identity = _identities(config_text, space)
    searcher = strategy(space)
    if seeds:
        searcher = given.Seeded(searcher, given.seeds_of(space, seeds))
    if evaluator is not None and (early_stopping is not None or halving is not None):
        raise InputError("search.evaluator: expected neither search.early_stopping nor search.halving beside it")
    rules = {"tolerance": tolerance or FaultTolerance()}

    def run(workdir: pathlib.Path) -> tuple[list[Trial], tuple[Trial, dict, pathlib.Path] | None]:
        workdir = workdir.absolute()  # children on other machines have other current folders
        earlier.check_folders(take_over, workdir)
        task, search_engine, spent = ChildTask(config_text, workdir / CHILDREN), engine, ("", 0.0)
        if evaluator is not None:
            task, search_engine = ScoringTask(config_text, workdir, evaluator), functools.partial(engine, keep_processes=True)
        with work_folders.at_work(workdir, "search"):
            if isinstance(evaluator, SharedWeights):
                spent = ("shared weights", evaluator.train(workdir))
            trials = run_search(
                workdir,
                space,
                searcher,
                search_engine,
                task if objective is None else WithObjective(task, objective),
                num_trials,
                identity,
                early_stopping,
                train_again,
                Limits(max_trainings, max_hours, max_child_hours),
                deadline_reward=deadline_reward,
                take_over=earlier.trials_of(take_over, identity.without(table.choices())),
                rates=Rates(child_watts, child_hour_price),
                scalars=True,
                halving=halving,
                spent=spent,
                **rules,
            )
        if not retrain_top:
            return trials, None
        with gin.config_scope(RETRAIN_SCOPE):
            folder = retraining.folder_of(workdir, retrain_identity)
            task = ChildTask(config_text, folder / CHILDREN, RETRAIN_SCOPE, folder)
            winner, test = retraining.retrain_top(
                folder, space, trials, retrain_top, engine, task, measure_on_test, retrain_identity, retrain_front, **rules
            )
            return trials, (winner, test, folder)

    return SearchJob(space, evaluations, run)


def _identities(config_text: str, space: SearchSpace) -> tuple[Identity, Identity]:
    """Returns the identities of a search, without the bindings that only its retraining has, and of the retraining."""
    # Bindings name the files of fixed cells; the identity has their content.
    fixed = {key: text for key, text in space.description().items() if key.startswith("fixed ")}
    values = bindings(config_text) | fixed
    retrain = Identity(values, table.may_change(is_search=True), table.default)
    own = {name: value for name, value in values.items() if not name.startswith(f"{RETRAIN_SCOPE}/")}
    return dataclasses.replace(retrain, values=own), retrain
