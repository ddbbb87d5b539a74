"""Checks tasks in recipes and commands, and bindings of older versions."""

import gin
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import bindings
from nasnet_tf.detection.model import DetectorConfig
from nasnet_tf.detection.task import Detection
from nasnet_tf.recipes import renamed, table
from nasnet_tf.recipes.reading import parse_gin
from nasnet_tf.recipes.tasks import task_of, tasks
from nasnet_tf.training.classification import Classification
from nasnet_tf.training.multi_label import MultiLabel


def test_commands_find_a_task_and_its_parts():
    assert tasks() == {"classification": Classification, "multi_label": MultiLabel, "detection": Detection}
    for task in tasks().values():
        for part in (task.figures, task.export, task.predictor, task.evaluator_class, task.data.from_description):
            assert callable(part)
    assert task_of({}, "data.json") is Classification  # work folders of the first version do not name their task
    with pytest.raises(InputError, match="run/data.json: unknown task 'grading'; expected one of classification, multi_label, detection"):
        task_of({"task": "grading"}, "run/data.json")


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("train.task = @RMSProp", "train.task: expected one of @Classification, @MultiLabel, @Detection, got @RMSProp"),
        ("train.data = @TrainingConfig()", r"train.data: expected @ImageData\(\) or @DetectionData\(\), got @TrainingConfig\(\)"),
        ("train.detector = @DetectorConfig()", "bind train.task = @Detection and Detection.detector = ... instead"),
        ("train.detection_losses = @DetectionLosses()", "bind Detection.losses = ... instead"),
    ],
)
def test_wrong_tasks_and_old_bindings_are_reported_in_one_line(binding, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_gin(["digits.gin"], [binding])
    assert "\n" not in str(caught.value)


def test_an_old_config_is_translated():
    text = parse_gin(["detect_small.gin"], ["DetectionData.source = 'coco:shapes'"])
    gin.clear_config()
    meant = bindings(text)
    old = {name: value for name, value in meant.items() if not name.startswith(("train.task", "Detection."))}
    old |= {"train.detector": "@DetectorConfig()", "train.detection_losses": "@DetectionLosses()"}
    assert renamed.translated(old) == meant
    assert renamed.translated({"train.detector": "None", "train.training": "@TrainingConfig()"}) == {"train.training": "@TrainingConfig()"}


def test_settings_of_a_task_are_bound():
    parse_gin(["detect_small.gin"], ["DetectionData.source = 'coco:shapes'", "DetectorConfig.crop_size = 5"])
    detector = gin.get_bindings("Detection")["detector"]
    assert isinstance(detector, DetectorConfig)
    assert detector.crop_size == 5
    assert table.default("train.task") == "@Classification"
