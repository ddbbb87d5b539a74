"""Tests that nasnet_tf.search does the same search as the command, with data, limits and strategy as arguments."""

import json
import shutil

import gin
import numpy as np
import pytest
import tensorflow as tf

import nasnet_tf
from nasnet_tf.api import running, searching
from nasnet_tf.api.running import configured
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import read_bindings
from nasnet_tf.genotype import genotype_hash, load_genotype, parse_genotype
from nasnet_tf.nas.children.zero_cost import ZeroCost
from nasnet_tf.testing import png, run_door, smallest_genotype

IMAGES = np.random.default_rng(0).integers(0, 256, [24, 8, 8, 3]).astype(np.uint8)
LABELS = np.arange(24)[:, None] % 2
QUICK = {
    "search.engine": "@InProcess",
    "search.evaluator": "@ZeroCost()",
    "ZeroCost.network": "@NetworkConfig()",
    "ZeroCost.data": "@ImageData()",
    "SearchSpace.num_blocks": 1,
}


@pytest.fixture(autouse=True)
def scored(monkeypatch):
    """Gives architectures rewards by their hash, without training; returns the texts of those that got one."""
    texts = []

    def score(self, text, request):
        texts.append(text)
        return {"reward": int(genotype_hash(parse_genotype(text))[:4], 16) / 2**16, "metrics": {"mult_adds": 1}}

    monkeypatch.setattr(ZeroCost, "__call__", score)
    return texts


def quick(workdir, data=(IMAGES, LABELS), validation=0.25, bindings=None, **arguments):
    arguments = {"max_trainings": 3} | arguments
    return nasnet_tf.search(data, validation, workdir=workdir, bindings=QUICK | (bindings or {}), **arguments)


def configuration(workdir):
    return read_bindings(workdir / "config.gin")


def test_a_call_and_the_command_resume_each_other(tmp_path, scored, capsys):
    workdir = tmp_path / "run"
    found = quick(workdir)
    assert len(found.trials) == len(scored) == 3
    assert len(quick(workdir).trials) == len(scored) == 3
    assert "continuing: 3 trials in the journal" in capsys.readouterr().out
    run_door("search", f"--gin_file={workdir / 'config.gin'}", f"--workdir={workdir}", "--gin_param=search.num_trials = 4")
    gin.clear_config()
    found = quick(workdir, max_trainings=5, data=tf.data.Dataset.from_tensor_slices((IMAGES / 255, LABELS)).shuffle(24).batch(7))
    assert len(found.trials) == len(scored) == 5
    run_door("report", f"--workdir={workdir}")
    assert found.report() == workdir / "report.html"


def test_a_refused_call_leaves_the_configuration_of_the_search(tmp_path):
    quick(tmp_path)
    before = (tmp_path / "config.gin").read_text()
    with pytest.raises(InputError, match="SearchSpace.num_blocks was 1, is 2"):
        quick(tmp_path, bindings={"SearchSpace.num_blocks": 2})
    assert (tmp_path / "config.gin").read_text() == before


def test_a_folder_is_bound_as_by_the_flag_data(tmp_path, scored):
    for number in range(20):
        path = tmp_path / "photos" / "train" / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(IMAGES[number]))
    data, workdir = f"folder:{tmp_path / 'photos'}", tmp_path / "run"
    params = [f"--gin_param={name}={value}" for name, value in QUICK.items()]
    command = ("search", f"--gin_file={searching.DEFAULT_RECIPE}", f"--workdir={workdir}", f"--data={data}", *params)
    run_door(*command, "--gin_param=search.num_trials=2")
    gin.clear_config()
    assert len(quick(workdir, data, None).trials) == len(scored) == 3
    assert not (workdir / "data").exists()


def test_calls_share_no_bindings_with_each_other_or_the_caller(tmp_path):
    @gin.configurable(module="test_two_calls")
    def mine(value):
        return value

    gin.parse_config("mine.value = 7")
    first = quick(tmp_path / "a", bindings={"SearchSpace.operations": ["IDENTITY", "CONV_1X1"]}, seed=1)
    second = quick(tmp_path / "b", strategy="random")
    assert mine() == 7
    gin.clear_config()
    assert configuration(tmp_path / "a")["SearchSpace.operations"] == "['IDENTITY', 'CONV_1X1']"
    assert "SearchSpace.operations" not in configuration(tmp_path / "b")
    assert first.trials.space.operations != second.trials.space.operations


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {"search.strategy": "@ModelGuided", "ModelGuided.seed": "0", "search.num_trials": "3"}),
        ({"strategy": "evolution"}, {"search.strategy": "@RegularizedEvolution", "RegularizedEvolution.seed": "0"}),
        ({"strategy": "random", "seed": 5}, {"RandomSearch.seed": "5", "TrainingConfig.seed": "5"}),
        ({"seed": 5}, {"ModelGuided.seed": "5", "TrainingConfig.seed": "5"}),
        ({"seed": 5, "bindings": {"ModelGuided.seed": 6}}, {"ModelGuided.seed": "6"}),
        ({"workers": 3}, {"LocalPool.num_workers": "3", "RayTasks.num_workers": "3"}),
        ({"max_hours": 1e-5, "max_trainings": None}, {"search.max_hours": "1e-05", "search.num_trials": "1000000"}),
        ({"max_hours": 8}, {"search.max_hours": "8", "search.num_trials": "3"}),
        ({"recipe": "quickstart_search.gin"}, {"search.strategy": "@ModelGuided", "CifarPreprocessing.flip": "False"}),
    ],
)
def test_arguments_are_bindings(arguments, expected, tmp_path):
    quick(tmp_path, **arguments)
    found = configuration(tmp_path)
    assert expected.items() <= found.items()


def test_seeds_are_tried_first(tmp_path):
    found = quick(tmp_path / "first")
    again = quick(tmp_path / "second", seed=3, seeds=[found.best.path])
    assert again.trials[0].hash == found.best.trial.hash


@pytest.mark.parametrize("seeds", [None, (), iter(["nasnet_a"])])
def test_seeds_may_be_any_collection(seeds, tmp_path):
    found = quick(tmp_path, seeds=seeds, bindings={"SearchSpace.num_blocks": 5})
    assert ("nasnet_a" in configuration(tmp_path).get("search.seeds", "")) == (seeds not in (None, ()))
    assert len(found.trials) == 3


def test_an_interrupted_search_is_resumed(tmp_path, monkeypatch, scored, capsys):
    score, interruptions = ZeroCost.__call__, [True]

    def interrupted(self, text, request):
        if len(scored) == 2 and interruptions:
            interruptions.pop()
            raise KeyboardInterrupt
        return score(self, text, request)

    monkeypatch.setattr(ZeroCost, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        quick(tmp_path)
    assert "the search is paused; repeat the call to resume it" in capsys.readouterr().err
    assert gin.config_str() == ""
    assert len(quick(tmp_path).trials) == len(scored) == 3


def test_other_data_in_the_same_folder_is_refused_once_something_was_rewarded(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ZeroCost, "__call__", lambda *_: {"infeasible": "bad luck"})
        with pytest.raises(InputError, match="none of 3 trials got a reward; the last reason: bad luck"):
            quick(tmp_path)
    quick(tmp_path, (255 - IMAGES, LABELS))
    with pytest.raises(InputError, match="data: the images or labels are not those that .* was begun with"):
        quick(tmp_path)
    assert len(quick(tmp_path, (255 - IMAGES, LABELS)).trials) == 3


def test_the_result_of_a_search_has_its_best_cells(tmp_path):
    found = quick(tmp_path, max_trainings=12)
    best = found.best
    assert best.accuracy == max(trial.reward for trial in found.trials)
    assert genotype_hash(best.genotype) == genotype_hash(load_genotype(str(best.path))) == best.trial.hash
    assert best.draw().get_figwidth() > 1
    assert best._repr_svg_().startswith("<svg")
    assert found.table()["reward"] == [trial.reward for trial in found.trials]
    assert found.importance().num_trials == len({trial.hash for trial in found.trials})
    page = found._repr_html_()
    assert page.count("<img") == 2
    assert f"12 trials, 12 rewarded; best: trial {best.trial.number}, validation accuracy {best.accuracy:.4f}" in page
    assert repr(found) in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"strategy": "model_guidet"}, "strategy: expected 'model_guided', .*, got 'model_guidet'; did you mean model_guided"),
        ({"engine": "dask"}, "engine: expected 'local', 'ray', got 'dask'"),
        ({"bindings": {"ModelGuided.sed": 3}}, "^bindings 'ModelGuided.sed = 3'.*did you mean seed"),
        ({"bindings": {"ModelGuided": 3}}, "^bindings: expected .*'name.parameter': value.*, got 'ModelGuided' without a parameter"),
        ({"bindings": {"ModelGuided.seed": IMAGES}}, "bindings: ModelGuided.seed: expected numbers, texts"),
        ({"bindings": {"retrain/ImageData.source": "digits"}}, "^bindings: expected no 'retrain/ImageData.source', because the arg"),
        ({"recipe": "none.gin"}, "none.gin: no such file"),
        ({"max_trainings": 0}, "^max_trainings: expected an integer of 1 or more, or None, got 0"),
        ({"max_hours": "8"}, "^max_hours: expected a positive number or None, got .8."),
        ({"workers": 1.5}, "^workers: expected an integer"),
        ({"seed": -1}, "^seed: expected an integer of 0 or more"),
        ({"seeds": ["nasnet_q"]}, "nasnet_q"),
        ({"seeds": "best.textproto"}, "^seeds: expected a list of names or paths of genotypes, .*, got 'best.textproto'"),
        ({"seeds": [smallest_genotype()]}, "^seeds: expected a list of names or paths .*, got '?Genotype"),
        ({"bindings": {"NetworkConfig.filterz": 3}}, "^bindings 'NetworkConfig.filterz = 3'.*did you mean filters"),
        ({"data": "folder:nowhere"}, "folder:nowhere"),
        ({"data": (IMAGES, LABELS * 0)}, "expected 2 classes or more"),
    ],
)
def test_mistakes_give_one_line_errors_that_name_arguments(arguments, words, tmp_path):
    with pytest.raises(InputError, match=words) as error:
        quick(tmp_path / "run", **arguments)
    assert "\n" not in str(error.value)
    assert gin.config_str() == ""
    is_found_first = "data" not in arguments and "seeds" not in arguments
    assert {path.name for path in (tmp_path / "run").glob("*")} <= (set() if is_found_first else {"data", "lock"})


def test_only_one_call_at_a_time(tmp_path):
    with configured("quickstart_search.gin", {}, tmp_path / "other"):
        with pytest.raises(InputError, match="another search or training is running in this process; wait until it ends"):
            quick(tmp_path / "run")
        assert gin.query_parameter("search.num_trials") == 80
    assert not (tmp_path / "run").exists()


def test_mistakes_about_the_folder_and_the_recipe(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="^workdir: expected a folder, but .*file is a file"):
        quick(tmp_path / "file")
    quick(tmp_path / "run")
    with pytest.raises(InputError, match="restore the old value, use another workdir"):
        quick(tmp_path / "run", seed=9)
    (tmp_path / "short.gin").write_text("search.space = @SearchSpace()\nsearch.engine = @InProcess\nsearch.strategy = @RandomSearch\n")
    (tmp_path / "shorter.gin").write_text("search.space = @SearchSpace()\nsearch.strategy = @RandomSearch\n")
    with pytest.raises(InputError, match="@ImageData\\(\\) needs a binding for ImageData.preprocessing"):
        quick(tmp_path / "short", recipe=tmp_path / "short.gin")
    with pytest.raises(InputError, match="^the configuration lacks a binding for search.engine"):
        nasnet_tf.search("digits", workdir=tmp_path / "short", max_trainings=1, recipe=tmp_path / "shorter.gin")


def test_a_warning_if_this_process_may_hold_the_gpu(monkeypatch, capsys):
    def refuse(*_):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    running.leave_gpus_to_children()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    running.leave_gpus_to_children()
    assert "may have taken the memory of the GPU" in capsys.readouterr().err


def test_the_number_of_retrained_is_checked(tmp_path):
    with pytest.raises(InputError, match="^top: expected an integer of 1 or more, got 0"):
        quick(tmp_path).retrain(top=0)


def test_the_best_are_retrained_into_a_model(tmp_path):
    """Trains for real, on few images, and then resumes without training again."""
    found = quick(tmp_path)
    how = {"epochs": 1, "filters": 4, "bindings": {"TrainingConfig.batch_size": 8, "CifarPreprocessing.image_size": 8}}
    model = found.retrain(1, **how)
    assert model(tf.zeros([3, 8, 8, 3])).shape == (3, 2)
    bound = configuration(tmp_path)
    assert (bound["retrain/TrainingConfig.epochs"], bound["TrainingConfig.epochs"]) == ("1", "1")
    assert bound["retrain/NetworkConfig.filters"] == "4"
    metrics = next(tmp_path.glob("retrain/trained/*/metrics.jsonl"))
    before = metrics.read_bytes()
    again = quick(tmp_path).retrain(1, **how)
    assert metrics.read_bytes() == before
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not (tmp_path / "retrain" / "test.json").exists()
    shutil.rmtree(tmp_path / "retrain")
    rows = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert sum(row.get("event") == "finished" for row in rows) == 3
