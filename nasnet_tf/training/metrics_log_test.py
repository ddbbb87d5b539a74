"""Tests of the logs in a work folder, as TensorBoard reads them."""

import numpy as np
import tensorflow as tf

from nasnet_tf.training.metrics_log import MetricsLog, read_metrics


def events(folder):
    """Returns [(step, tag)] of a TensorBoard run."""
    (path,) = folder.iterdir()
    records = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    return [(event.step, value.tag) for event in records for value in event.summary.value]


def test_training_and_evaluation_are_runs_with_the_same_tags(tmp_path):
    log = MetricsLog(tmp_path, start_step=0)
    log.write("train", 10, 0.5, loss=2.0, accuracy=0.1)
    log.write("train", 20, 1.0, loss=1.5, accuracy=0.2)
    log.write("evaluation", 20, 1.0, split="validation", loss=1.0, accuracy=0.4)
    log.write_images("evaluation", "boxes", tf.constant(np.random.default_rng(0).random((2, 4, 4, 3)), tf.float32), 20)
    log.close()
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["evaluation", "train"]
    assert events(tmp_path / "logs" / "train") == [(10, "loss"), (10, "accuracy"), (20, "loss"), (20, "accuracy")]
    assert events(tmp_path / "logs" / "evaluation") == [(20, "loss"), (20, "accuracy"), (20, "boxes")]
    assert [(row["kind"], row["loss"]) for row in read_metrics(tmp_path)] == [("train", 2.0), ("train", 1.5), ("evaluation", 1.0)]
