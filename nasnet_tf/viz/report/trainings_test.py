"""Checks the report's sections about trainings, tunings and predictions."""

import html
import json
import re

import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.viz.report.report import Report
from nasnet_tf.viz.report.searches_test import check
from nasnet_tf.viz.report.training_plots import curve_names, plot_curve, plot_tuned

ROWS = [
    {"kind": "train", "step": 5, "epoch": 0.5, "loss": 2.0, "accuracy": 0.1, "learning_rate": 0.05, "images_per_second": 300.0},
    {"kind": "train", "step": 10, "epoch": 1.0, "loss": 1.5, "accuracy": 0.3, "learning_rate": 0.02, "images_per_second": 320.0},
    {"kind": "evaluation", "step": 10, "epoch": 1.0, "split": "validation", "loss": 1.0, "accuracy": 0.625, "raw_loss": 1.2, "examples": 9},
]


@pytest.fixture
def trained(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS) + '{"kind": "tr')
    evaluation = {"split": "test", "accuracy": 0.9812, "examples": 360, "step": 10, "ema": True}
    (folder / "evaluation-test.json").write_text(json.dumps(evaluation))
    (folder / "confusion-test.svg").write_text("<svg><script>alert(1)</script></svg>")
    (folder / "confusion-train.svg").write_text("<svg/>")  # without an evaluation of this split
    (folder / "corrupt_images.txt").write_text("a.jpg\nb<i>.jpg\n")
    (folder / "data.json").write_text(json.dumps({"class_names": list("abcde")}))
    (folder / "config.gin").write_text("a = '<x>'")
    return folder


def test_the_report_of_a_training_shows_its_results(trained):
    page = Report(trained.parent).write().read_text()
    checker = check(page)
    for text in ("0.9812", "0.6250", "&lt;x&gt;", "b&lt;i&gt;.jpg", "<b>0.2</b><span>chance level", "<b>2</b><span>images left out"):
        assert text in page
    assert checker.cells == ["test", "0.9812", "360", "10", "True"]
    assert checker.tags.count("svg") == 4  # loss, accuracy, learning rate, speed
    assert page.count('<img alt="confusion test" src="data:image/svg+xml;base64,') == page.count("<img") == 1
    assert "alert" not in page


@pytest.mark.parametrize("damaged", [b"{x\n", b"[1]\n", b"\xff\x00\n", b'{"kind": "train", "step": 3}\n'])
def test_a_damaged_row_is_named(trained, damaged):
    path = trained / "metrics.jsonl"
    path.write_bytes(damaged + path.read_bytes())
    with pytest.raises(InputError, match=r"metrics.jsonl: line 1 is damaged; expected a JSON object with kind, step, epoch$"):
        Report(trained.parent).write()


def test_a_row_without_an_epoch_is_damaged(trained):
    path = trained / "metrics.jsonl"
    path.write_bytes(b'{"kind": "train", "step": 3, "epoch": null}\n' + path.read_bytes())
    with pytest.raises(InputError, match=r"metrics.jsonl: damaged; expected numbers as step and epoch"):
        Report(trained.parent).write()


def test_evaluations_of_other_weights_have_their_pictures_and_figures(trained):
    for choice, accuracy in (("test-last", 0.5), ("test-raw", 0.4)):
        row = {"split": "test", "accuracy": accuracy, "examples": 360, "step": 10, "ema": True}
        (trained / f"evaluation-{choice}.json").write_text(json.dumps(row))
        (trained / f"confusion-{choice}.svg").write_text("<svg/>")
    page = Report(trained.parent).write().read_text()
    assert [page.count(f'alt="confusion {choice}"') for choice in ("test", "test last", "test raw")] == [1, 1, 1]
    for choice, accuracy in (("test", "0.9812"), ("test-last", "0.5000"), ("test-raw", "0.4000")):
        assert f"<b>{accuracy}</b><span>accuracy on {choice}, 360 examples" in page


@pytest.mark.parametrize("damaged", ["[3]", "{", '{"split": "test", "accuracy": "high", "examples": 3}'])
def test_a_damaged_evaluation_is_named(trained, damaged):
    (trained / "evaluation-test.json").write_text(damaged)
    with pytest.raises(InputError, match=r"evaluation-test.json: damaged; expected (an object with split|a JSON file)"):
        Report(trained.parent).write()


def _figures(name, examples, found, precision, recall, f1):
    scores = {"accuracy": 0.5, "precision": precision, "recall": recall, "f1": f1, "average_precision": None}
    return {"name": name, "examples": examples, "found": found, **scores}


DETAILS = {
    "by_class": [_figures("a<i>", 9, 3, 1.0, 0.25, 0.4), _figures("b", 2, 0, None, 0.0, 0.0), _figures("c", 0, 1, None, None, None)],
    "mistakes": [{"place": 3, "expected": "b", "found": "a<i>", "confidence": 0.987, "name": "b/<3>.png"}],
}


def test_the_report_shows_the_details_of_an_evaluation(trained):
    evaluation = {"split": "test", "accuracy": 0.9812, "examples": 360, "expected_calibration_error": 0.0421}
    (trained / "evaluation-test.json").write_text(json.dumps(evaluation))
    (trained / "details-test.json").write_text(json.dumps(DETAILS))
    (trained / "reliability-test.svg").write_text("<svg/>")
    report = Report(trained.parent)
    content = report.write().read_text()
    cells = check(content).cells
    classes = ["b", "2", "0", "0.5000", "-", "0.0000", "0.0000", "a<i>", "9", "3", "0.5000", "1.0000", "0.2500", "0.4000"]
    assert cells[4:] == [*classes, "b/<3>.png", "b", "a<i>", "98.7%"]
    assert "F1 are undefined for classes without images: c." in content
    assert "<b>0.0421</b><span>expected calibration error on test" in content
    assert '<img alt="reliability test"' in content
    (trained / "details-test.json").write_text('{"by_class": []}')  # it changed, so it is read again
    with pytest.raises(InputError, match="details-test.json: damaged; expected by_class and mistakes"):
        report.write()


def test_details_of_many_classes_are_bounded(trained):
    rows = [{**DETAILS["by_class"][0], "name": f"class {number}", "f1": number / 1000} for number in range(1000)]
    rows += [{**DETAILS["by_class"][2], "name": f"absent {number}"} for number in range(100)]
    (trained / "details-test.json").write_text(json.dumps({"by_class": rows, "mistakes": []}))
    content = Report(trained.parent).write().read_text()
    assert content.count("class 49<") == 1
    assert "class 50<" not in content
    assert "950 more classes have an equal or higher F1" in content
    assert "absent 9 and 90 more." in content


def test_curves_show_training_and_evaluation():
    assert curve_names(ROWS) == ["loss", "accuracy", "learning_rate", "images_per_second"]
    axes = plot_curve(ROWS, "loss").axes[0]
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[0.5, 2.0], [1.0, 1.5]], [[1.0, 1.0]], [[1.0, 1.2]]]
    assert [line.get_marker() for line in axes.lines[1:]] == [".", "."]  # a single point is drawn as a dot
    axes = plot_curve([*ROWS, {"kind": "evaluation", "epoch": 2.0, "accuracy": float("nan")}], "accuracy", chance=0.2).axes[0]
    assert axes.lines[1].get_xydata().tolist() == [[1.0, 0.625]]
    assert list(axes.lines[2].get_ydata()) == [0.2, 0.2]
    once = {"kind": "evaluation", "step": 1, "epoch": 1.0, "raw_loss": 2.0}
    assert curve_names([once, {**once, "step": 2, "accuracy": 0.5}]) == ["raw_loss"]  # a single point is not drawn
    assert [plot_tuned("rate", values, [0.5, 0.6]).axes[0].get_xscale() for values in ([0.001, 1.0], [0.1, 0.2])] == ["log", "linear"]


def test_the_report_of_a_tuning_shows_its_trials(tmp_path):
    results = [{"accuracy": 0.8}, {"accuracy": 0.9}, {"reason": "the loss is <nan>"}, None]
    for number, result in enumerate(results):
        folder = tmp_path / "tune" / "trials" / f"{number:04d}"
        folder.mkdir(parents=True)
        (folder / "config.gin").write_text(f"a.rate = 0.{number}123456\na.name = '{'xyzu'[number]}'\na.epochs = 3\n")
        if result:
            (folder / "result.json").write_text(json.dumps(result))
    (tmp_path / "tune" / "best.gin").write_text("a.rate = 0.1\n")
    page = Report(tmp_path).write().read_text()
    checker = check(page)
    assert checker.cells == [
        *["1", "0.1123", "'y'", "0.9000", "finished"],
        *["0", "0.01235", "'x'", "0.8000", "finished"],
        *["2", "0.2123", "'z'", "-", "the loss is <nan>"],
    ]
    choices = [["finished", 2], ["failed", 1], ["failed: the loss is <nan>", 1]]
    assert html.unescape(re.findall(r'<table data-groups="(.*?)">', page)[0]) == json.dumps(choices)
    assert re.findall(r'<tr data-groups="(.*?)">', page) == ["0", "0", "1 2"]
    assert checker.tags.count("svg") == 2  # accuracy over trials and against the rate; names are not plotted
    for text in ("<b>0.9000</b><span>best validation accuracy, trial 1", "<b>1</b><span>running or waiting", "a.rate = 0.1\n"):
        assert text in page
    (folder / "result.json").write_text("{")
    with pytest.raises(InputError, match=r"0003/result.json: damaged; expected"):
        Report(tmp_path).write()


def test_predictions_are_marked_right_or_wrong(tmp_path):
    def row(file, *classes):
        return {"file": file, "top": [{"class": name, "probability": 0.75} for name in classes], "image": "data:image/png;base64,AA"}

    rows = [row("in/cat/1.png", "cat"), row("in/dog/1.png", "cat", "dog"), row("in/<b>/1.png", "dog"), {"file": "in/x.png", "objects": []}]
    rows.append({"file": "in/bad.png", "error": "cannot be decoded"})
    (tmp_path / "predictions.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows) + '{"file": "half')
    page = Report(tmp_path).write().read_text()
    check(page)
    for name in ("cat/1.png", "dog/1.png", "&lt;b&gt;/1.png"):  # file names alone would be equal
        assert f"<b>{name}</b>" in page
    assert [page.count(f'<div class="{kind}"') for kind in ("right", "wrong")] == [1, 1]
    assert "1 of 2 images whose class is known are classified correctly." in page
    assert page.count("true class: dog") == 1
    assert page.count('src="data:image/png;base64,AA"') == 3
    assert page.count("<script>") == 1  # the page's own
    assert "<b>bad.png</b><br>cannot be decoded" in page
    for damaged in ("[{\n", "[]\n", '{"file": 3}\n', '{"file": "a", "top": [{}]}\n', '{"file": "a", "top": 7}\n'):
        (tmp_path / "predictions.json").write_text(damaged)
        with pytest.raises(InputError, match="predictions.json: .*damaged; expected"):
            Report(tmp_path).write()
