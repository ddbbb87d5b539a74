"""Tests of images with several labels as a person uses them: all commands, with class weights and patience as bindings."""

import json

import gin
import numpy as np
import pytest
import tensorflow as tf

import nasnet_tf
from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import format_genotype
from nasnet_tf.nas.children.evaluator import ChildTraining
from nasnet_tf.nas.children.fidelity import Request
from nasnet_tf.recipes import children, reading, table
from nasnet_tf.testing import png, run_door, smallest_genotype

NAMES = ("blue", "green", "red")
SMALL = ["NetworkConfig.cells_per_stack=1", "NetworkConfig.filters=4", "CifarPreprocessing.upsample=1.0", "CifarPreprocessing.flip=False"]
TRAIN = ["train.task=@MultiLabel", "train.genotype='smallest.textproto'", "TrainingConfig.evaluate_every_epochs=1"]


def params(*bindings):
    return [f"--gin_param={binding}" for binding in bindings]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Yields a folder with labels.csv, its images and a genotype. Commands run in it."""
    folder, random, rows = tmp_path_factory.mktemp("labels"), np.random.default_rng(3), ["file,labels,split"]
    for number in range(56):
        present = random.random(3) < 0.5
        (folder / f"{number}.png").write_bytes(png(np.clip(200 * present[::-1] + random.integers(0, 50, [8, 8, 3]), 0, 255)))
        labels = "|".join(name for name, is_there in zip(NAMES, present, strict=True) if is_there)
        rows.append(f"{number}.png,{labels},{'train' if number < 32 else 'validation' if number < 44 else 'test'}")
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "smallest.textproto").write_text(format_genotype(smallest_genotype()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder
    gin.clear_config()


def train(workdir, *bindings):
    gin.clear_config()
    arguments = params(*SMALL, *TRAIN, "MultiLabel.label_separator='|'", "TrainingConfig.batch_size=8", *bindings)
    run_door("train", "--gin_file=quickstart_train.gin", f"--workdir={workdir}", "--data=table:labels.csv", "--epochs=1", *arguments)


@pytest.fixture(scope="module")
def trained(place):
    train("run", "TrainingConfig.class_weights='balanced'")
    return place / "run"


def test_evaluate_prints_and_draws_each_class(trained, capsys):
    run_door("evaluate", f"--workdir={trained}", "--split=test")
    out = capsys.readouterr().out
    row = json.loads((trained / "evaluation-test.json").read_text())
    assert f"mAP {row['mean_average_precision']:.4f}, F1 {row['f1']:.4f}" in out
    assert list(row["average_precision"]) == list(row["positives"]) == list(NAMES)
    assert row["examples"] == 12
    for name in NAMES:
        assert f"{row['average_precision'][name]:.4f}" in next(line for line in out.splitlines() if line.startswith(f"{name} "))
    details = json.loads((trained / "details-test.json").read_text())
    assert [each["average_precision"] for each in details["by_class"]] == list(row["average_precision"].values())
    for picture in ("precision-recall-test.svg", "average-precision-test.svg", "reliability-test.svg", "mistakes-test.svg"):
        assert (trained / picture).read_text().startswith("<?xml")
    run_door("report", "--workdir=run")
    report = (trained / "report.html").read_text()
    assert f"{row['mean_average_precision']:.4f}" in report
    assert "By class on test" in report


def test_exports_have_sigmoids_and_name_their_task(trained, place):
    run_door(
        "export", f"--workdir={trained}", "--output=export", "--format=saved_model", "--format=serving", "--format=keras", "--format=tflite"
    )
    manifest = json.loads((place / "export" / "manifest.json").read_text())
    assert (manifest["task"], manifest["probabilities"]) == ("multi_label", "sigmoid, one for each class")
    assert all(check["label_agreement"] > 0.9 for check in manifest["checks"].values())
    images = np.random.default_rng(0).random([3, 8, 8, 3], np.float32)
    for folder in ("export", "export/serving/1"):
        answers = tf.saved_model.load(folder).signatures["serving_default"](images=tf.constant(images))
        np.testing.assert_allclose(answers["probabilities"], tf.sigmoid(answers["logits"]), rtol=1e-5)
    run_door("evaluate", "--model=export", "--data=table:labels.csv", "--output=again.json")
    again, before = (json.loads(path.read_text()) for path in (place / "again.json", trained / "evaluation-test.json"))
    assert again["mean_average_precision"] == pytest.approx(before["mean_average_precision"], abs=1e-3)


def test_predict_and_the_classifier_give_all_labels_above_a_threshold(trained, place, capsys):
    classifier = nasnet_tf.load_classifier(trained)
    probabilities = classifier.probabilities([(place / f"{number}.png").read_bytes() for number in range(6)])
    expected = tf.sigmoid(nasnet_tf.load_nasnet(trained)(tf.stack([decoded(place / f"{number}.png") for number in range(6)])))
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4)
    assert any(abs(row.sum() - 1) > 0.1 for row in probabilities)
    for number, row in enumerate(probabilities):
        found = classifier(place / f"{number}.png")
        assert {each.name for each in found} == {name for name, value in zip(NAMES, row, strict=True) if value >= 0.5}
        # One picture alone may differ from its row of a batch in the last bit, depending on the processor.
        assert [each.probability for each in found] == pytest.approx(
            sorted((value for value in row if value >= 0.5), reverse=True), rel=1e-5
        )
    threshold = float(np.sort(probabilities[0])[:2].mean())
    assert len(classifier(place / "0.png", threshold=threshold)) == 2
    assert len(classifier(place / "0.png", top=1, threshold=0.0)) == 1
    assert classifier(place / "0.png", threshold=1.0) == []
    capsys.readouterr()
    run_door("predict", "0.png", "1.png", f"--model={trained}", "--threshold=0", "--output=predictions.json")
    rows = [json.loads(line) for line in (place / "predictions.json").read_text().splitlines()]
    assert [len(row["top"]) for row in rows] == [3, 3]
    run_door("predict", "0.png", f"--model={trained}", "--threshold=1")
    assert capsys.readouterr().out.splitlines()[-1] == "0.png: nothing"


def decoded(path):
    from nasnet_tf.data import CifarPreprocessing

    return CifarPreprocessing(8, upsample=1.0).evaluate(path.read_bytes())


def test_a_work_folder_is_resumed_with_the_same_weights_only(trained, capsys):
    train("run", "TrainingConfig.class_weights='balanced'")
    with pytest.raises(InputError, match=r"TrainingConfig.class_weights was 'balanced', is not bound|is None"):
        train("run")
    gin.clear_config()
    arguments = params(*SMALL, *TRAIN, "TrainingConfig.class_weights={'cat': 2.0}", "MultiLabel.label_separator='|'")
    with pytest.raises(InputError, match="expected names of classes, got 'cat'; the classes are blue, green, red"):
        run_door("train", "--gin_file=quickstart_train.gin", "--workdir=other", "--data=table:labels.csv", "--dry_run", *arguments)
    gin.clear_config()
    arguments[-2] = "--gin_param=TrainingConfig.class_weights={'red': 2.0}"
    run_door("train", "--gin_file=quickstart_train.gin", "--workdir=other", "--data=table:labels.csv", "--dry_run", *arguments)
    assert "class weights: blue 1, green 1, red 2" in capsys.readouterr().out


def test_a_training_may_start_from_another_one(trained, capsys):
    gin.clear_config()
    arguments = params(*SMALL, *TRAIN, "MultiLabel.label_separator='|'", "train.initial_weights='run'")
    run_door("train", "--gin_file=quickstart_train.gin", "--workdir=next", "--data=table:labels.csv", "--dry_run", *arguments)
    captured = capsys.readouterr()
    assert "3 classes; 32 training examples" in captured.out
    assert "train.initial_weights: " in captured.err


def test_the_command_reports_that_patience_ended_a_training(place, capsys):
    train("stopped", "TrainingConfig.patience=1", "TrainingConfig.epochs=8", "cosine_decay.initial_rate=1e-30")
    assert "stopped early: no improvement in 1 evaluation; the best score was" in capsys.readouterr().out


def child(*bindings):
    gin.clear_config()
    lines = ["ImageData.source='table:labels.csv'", "ImageData.train_split='train'", "ImageData.validation_examples=0", *SMALL]
    lines += ["evaluate_genotype.task=@MultiLabel", "MultiLabel.label_separator='|'", "TrainingConfig.batch_size=8", *bindings]
    return reading.parse_gin(["quickstart_search.gin"], [*lines, "TrainingConfig.epochs=2", "TrainingConfig.evaluate_every_epochs=1"])


def test_children_are_rewarded_by_the_mean_average_precision(place):
    text = format_genotype(smallest_genotype())
    config = child()
    slow = children.WithinLatency(None, config, "", 1e-9)(text)
    assert "search.max_latency_seconds = 1e-09" in slow["infeasible"]
    outcome = children.ChildTask(config)(text)
    assert outcome["metrics"]["measure"] == "mean_average_precision"
    assert outcome["reward"] == pytest.approx(outcome["metrics"]["curve"][-1], abs=1e-6)
    assert outcome["metrics"]["num_classes"] == 3
    first = children.ChildTask(config)(text, Request(None, 0.5, place / "rungs", None, 0))
    whole = children.ChildTask(config)(text, Request(None, 1.0, place / "rungs", None, 1))
    assert whole["metrics"]["curve"] == outcome["metrics"]["curve"]
    assert first["reward"] == pytest.approx(outcome["metrics"]["curve"][0], abs=1e-6)
    test = children.measure_on_test(place / "rungs")
    assert (test["measure"], test["examples"]) == ("mean_average_precision", 12)


def test_children_end_when_validation_stops_improving(place):
    config = child("TrainingConfig.patience=1", "cosine_decay.initial_rate=1e-30", "TrainingConfig.class_weights='balanced'")
    outcome = children.ChildTask(config.replace("TrainingConfig.epochs = 2", "TrainingConfig.epochs = 6"))(
        format_genotype(smallest_genotype())
    )
    assert outcome["metrics"]["epochs"] == len(outcome["metrics"]["curve"]) == 2


def test_tasks_that_children_cannot_have_are_refused(place):
    config = child("search.evaluator=@ZeroCost()", "ZeroCost.network=@NetworkConfig()", "ZeroCost.data=@ImageData()")
    from nasnet_tf.recipes.search import search_job

    with pytest.raises(InputError, match="search.evaluator: expected None for the task multi_label, got ZeroCost"):
        search_job(table.bound("search")(), config)
    from nasnet_tf.detection.task import Detection

    with pytest.raises(InputError, match="evaluate_genotype.task: expected a task that reads @ImageData.*, got detection"):
        ChildTraining(None, None, None, None, None, task=Detection)
    gin.clear_config()
    reading.parse_gin(["detect_small.gin"], ["DetectionData.source='coco:none'", "train.task=@MultiLabel"])
    with pytest.raises(InputError, match=r"train.data: expected @ImageData\(\) for the task multi_label, got @DetectionData\(\)"):
        table.bound("train")()
