"""Checks the plans that dry runs print."""

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.recipes import reading, table
from nasnet_tf.recipes.search import search_job


def parse(recipe, *bindings):
    reading.parse_gin([recipe], bindings)


def test_the_plan_of_a_training_writes_nothing(tmp_path):
    parse("quickstart_train.gin", "train.genotype = 'nasnet_a'", "TrainingConfig.epochs = 2", "TrainingConfig.batch_size = 30")
    plan = table.bound("train")().plan(tmp_path / "run")
    assert "first batch: float32 [30, " in plan
    assert "training: 2 epochs of " in plan
    assert f"would begin {tmp_path / 'run'}" in plan
    assert not list(tmp_path.iterdir())


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    parse("quickstart_train.gin", "train.genotype = 'nasnet_a'", "TrainingConfig.batch_size = 1301")
    with pytest.raises(InputError, match="TrainingConfig.batch_size: expected at most the 1,300 training examples, got 1,301"):
        table.bound("train")().plan(tmp_path / "run")


def test_the_plan_of_a_search_describes_both_trainings(tmp_path):
    more = (
        "search.evaluator = None",
        "search.num_trials = 7",
        "search.retrain_top = 2",
        "TrainingConfig.batch_size = 25",
        "retrain/TrainingConfig.batch_size = 50",
    )
    parse("quickstart_search.gin", *more, "NetworkConfig.filters = 4", "retrain/NetworkConfig.filters = 8")
    plan = search_job(table.bound("search")(), "").plan(tmp_path / "run").splitlines()
    titles = [line for line in plan if not line.startswith("  ")]
    assert [title.split(";")[0] for title in titles] == [
        "at most 7 architectures, trained as children",
        "at most 2 architectures, retrained",
        "dry run: would begin " + str(tmp_path / "run"),
    ]
    batches = [line.split(" [")[1][:2] for line in plan if "first batch" in line]
    assert batches == ["25", "50"]
    child, retrained = (int(line.split()[1].replace(",", "")) for line in plan if "parameters" in line)
    assert 2 * child < retrained < 4 * child
    assert not list(tmp_path.iterdir())


def test_plan_of_a_search_to_resume(tmp_path):
    parse("quickstart_search.gin")
    (tmp_path / "journal.jsonl").touch()
    assert "would resume" in search_job(table.bound("search")(), "").plan(tmp_path)


def test_plan_names_the_evaluator(tmp_path):
    parse("quickstart_search.gin")
    assert "scored by SpaceChildren" in search_job(table.bound("search")(), "").plan(tmp_path)


def test_a_mistake_in_the_data_is_found(tmp_path):
    parse("quickstart_search.gin", f"ImageData.source = 'folder:{tmp_path}/missing'")
    with pytest.raises(InputError, match="missing"):
        search_job(table.bound("search")(), "").plan(tmp_path)
