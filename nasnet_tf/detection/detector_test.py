"""The whole detector in a tiny network: training, resuming, two devices, evaluation, export, use."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from nasnet_tf import kinds
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.detection.evaluation import DetectionEvaluator
from nasnet_tf.detection.model import DetectorConfig, build_detector
from nasnet_tf.detection.task import Detection, DetectionLosses
from nasnet_tf.errors import InputError
from nasnet_tf.models.description import network_from_json
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.detector import load_detector
from nasnet_tf.testing import tiny_genotype
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.distribution import make_strategy
from nasnet_tf.training.loop import train_and_evaluate
from nasnet_tf.training.optimizers import Momentum
from nasnet_tf.viz.diagram import save_figure
from nasnet_tf.viz.report import Report

NETWORK = NetworkConfig(1, "imagenet", 0.25, filters=8, batch_norm_momentum=0.9)
DETECTOR = DetectorConfig(anchor_base=32.0, anchor_scales=(0.5, 1.0), proposal_filters=8, num_proposals=12, crop_size=4, num_detections=10)
CONFIG = TrainingConfig(epochs=1, batch_size=4, log_every_steps=1, seed=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Eight training and three validation pictures of white and red rectangles; ids with a gap."""
    root, random = tmp_path_factory.mktemp("shapes"), np.random.RandomState(0)
    (root / "annotations").mkdir()
    for split, count in (("train", 8), ("val", 3)):
        (root / split).mkdir()
        images, annotations = [], []
        for number in range(count):
            pixels = random.randint(0, 60, [70, 90, 3]).astype(np.uint8)
            for label, color in ((2, (255, 255, 255)), (9, (255, 0, 0))):
                top, left = random.randint(0, 40, 2)
                pixels[top : top + 24, left : left + 30] = color
                row = {"id": len(annotations), "image_id": 10 + number, "category_id": label, "bbox": [int(left), int(top), 30, 24]}
                annotations.append(row | {"area": 720, "iscrowd": 0})
            (root / split / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())
            images.append({"id": 10 + number, "file_name": f"{number}.png", "height": 70, "width": 90})
        for row in annotations:
            row["id"] += 1
        content = {"images": images, "annotations": annotations, "categories": [{"id": 2, "name": "white"}, {"id": 9, "name": "red"}]}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return DetectionData(f"coco:{root}", 64, validation_split="val", test_split="val", max_boxes=5)


def detector(num_classes=2, image_size=64):
    return build_detector(build_network(tiny_genotype(), NETWORK, None, (None, None)), DETECTOR, num_classes)


def task(data, config):
    return Detection(data, config, DetectionLosses(True, 32, region_sample=8, add_objects=True))


def train(data, workdir, config=CONFIG, strategy=None, **options):
    rate = lambda *_: 0.01  # noqa: E731
    return train_and_evaluate(detector, data, lambda: Momentum(0.9), rate, config, workdir, strategy, False, task=task, **options)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A work folder of four steps with an evaluation in the middle, and the model."""
    workdir = tmp_path_factory.mktemp("trained")
    model, _ = train(data, workdir, dataclasses.replace(CONFIG, epochs=2))
    return workdir, model


def test_model_takes_any_size_and_survives_its_description():
    model = detector()
    copy = network_from_json(model.to_json(), "here")
    values = {weight.path: weight.numpy() for weight in model.weights}
    assert {weight.path for weight in copy.weights} == set(values)
    for weight in copy.weights:
        weight.assign(values[weight.path])
    for size in ((64, 64), (49, 83)):
        images = tf.random.stateless_uniform([2, *size, 3], [1, 2], -1.0, 1.0)
        for name, value in model(images).items():
            assert value.shape[:1] == (2,)
            np.testing.assert_array_equal(copy(images)[name], value)


def test_resumed_training_is_the_uninterrupted_one(data, trained, tmp_path):
    config = dataclasses.replace(CONFIG, epochs=2)
    train(data, tmp_path, config, goes_on=lambda epochs, evaluation: False)  # ends after the first evaluation
    model, _ = train(data, tmp_path, config)
    for weight, expected in zip(model.weights, trained[1].weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), expected.numpy(), weight.path)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "train"] == [1, 2, 3, 4]
    assert {"proposal_loss", "proposal_box_loss", "class_loss", "box_loss"} <= set(rows[0])
    assert {"white", "red"} == set(next(row for row in rows if row["kind"] == "evaluation")["per_class"])


def test_frozen_batch_norm_learns_gains_and_keeps_statistics(data):
    keras.utils.set_random_seed(0)
    model, batch = detector(), next(iter(data.train(4, 0)))
    frozen = Detection(data, CONFIG, DetectionLosses(proposal_sample=32, region_sample=8, add_objects=True))
    before = {weight.path: weight.numpy() for weight in model.non_trainable_weights}
    with tf.GradientTape() as tape:
        loss = frozen.losses(model, batch)["loss"]
    gradients = dict(zip((w.path for w in model.trainable_weights), tape.gradient(loss, model.trainable_weights), strict=True))
    assert all((weight.numpy() == before[weight.path]).all() for weight in model.non_trainable_weights)
    assert any(float(tf.reduce_max(abs(gradient))) > 0 for path, gradient in gradients.items() if path.endswith("gamma"))
    for part in ("stem", "proposal_head", "reduction_cell_1", "box_head"):  # all four losses reach what they should
        assert any(float(tf.reduce_max(abs(gradient))) > 0 for path, gradient in gradients.items() if path.startswith(part))


def test_two_devices_share_the_batch(data):
    """Losses are over the global batch: of two replicas the sum is what one has, but for what each draws at random."""
    settings = DetectionLosses(proposal_sample=1000, proposal_object_share=1.0, region_sample=17, region_object_share=1.0, add_objects=True)
    strategy = make_strategy("mirrored")
    results = []
    for place in (tf.distribute.get_strategy(), strategy):
        with place.scope():
            keras.utils.set_random_seed(0)
            _, evaluation = train_and_evaluate(
                detector,
                data,
                lambda: Momentum(0.0),
                lambda *_: 0.01,
                dataclasses.replace(CONFIG, epochs=0.5),
                None,
                place,
                False,
                task=lambda data, config: Detection(data, config, settings),
            )
        results.append((_.get_layer("box_head").weights[0].numpy(), evaluation.examples))
    assert results[0][1] == results[1][1] == 3
    np.testing.assert_allclose(results[0][0], results[1][0], atol=1e-5)


def test_evaluation_is_pycocotools_run_by_hand(data, trained, tmp_path):
    workdir, model = trained
    evaluator = DetectionEvaluator(model)
    results = [evaluator.on_split(data, "validation", batch_size) for batch_size in (2, 3)]
    assert results[0] == results[1]
    (tmp_path / "results.json").write_text(json.dumps(evaluator.results))
    truth = COCO(data.source.removeprefix("coco:") + "/annotations/instances_val.json")
    by_hand = COCOeval(truth, truth.loadRes(str(tmp_path / "results.json")), "bbox")
    by_hand.evaluate()
    by_hand.accumulate()
    by_hand.summarize()
    numbers = [value for name, value in vars(results[0]).items() if name not in ("per_class", "examples")]
    np.testing.assert_allclose(numbers, by_hand.stats)
    assert "AP of red" in results[0].table()
    figures = kinds.KINDS["detection"].figures(evaluator, data)
    assert list(figures) == ["precision", "pictures", "misses"]
    for name, figure in figures.items():
        save_figure(figure, workdir / f"{name}-validation.svg")
    page = Report(workdir).write().read_text()
    for text in ("mAP on validation", "proposal box loss"):
        assert text in page


def test_export_is_read_by_tensorflow_alone(data, trained, tmp_path):
    workdir, _ = trained
    folder = tmp_path / "export"
    ours = load_detector(workdir)
    kinds.kind_of(workdir).export(ours.model, json.loads((workdir / "data.json").read_text()), folder)
    picture = data.objects("test")[0].path
    pixels = tf.io.decode_png(picture.read_bytes())
    loaded = tf.saved_model.load(str(folder))
    found = loaded.signatures["serving_default"](input_tensor=pixels[None])
    encoded = loaded.signatures["detect_encoded"](encoded=tf.constant([picture.read_bytes()] * 2))
    expected = ours(pixels.numpy(), least_score=0.0)
    count = int(found["num_detections"][0])
    assert count == len(expected) > 0
    np.testing.assert_allclose(found["detection_boxes"][0, :count] * [70, 90, 70, 90], [each.box for each in expected], atol=1e-2)
    assert found["detection_classes"][0, :count].numpy().tolist() == [each.category_id for each in expected]
    np.testing.assert_allclose(encoded["detection_scores"][1], found["detection_scores"][0], atol=1e-4)
    again = load_detector(folder)(picture, least_score=0.0)
    np.testing.assert_allclose([each.score for each in again], [each.score for each in expected], atol=1e-5)


def test_use(data, trained):
    found = load_detector(trained[0])
    paths = [picture.path for picture in data.objects("test")]
    answers = found(paths, least_score=0.0)
    assert len(answers) == 3
    assert {each.name for each in answers[0]} <= {"white", "red"}
    assert found([]) == []
    predictor = kinds.kind_of(trained[0]).predictor(trained[0], "trained")
    nothing, something = predictor([b"no picture", paths[0].read_bytes()], 0.0)
    assert nothing is None
    text, fields = predictor.describe(something, 2)
    assert len(fields["found"]) == 2
    assert fields["found"][0]["class"] in text
    with pytest.raises(InputError, match="cannot be decoded"):
        found(b"no picture")
    with pytest.raises(InputError, match="no trained detectors are public"):
        load_detector("mobile")


class WithQuality(Detection):
    """A second head, as a stranger would add it: how well a region fits its object."""

    names = (*Detection.names, "quality_loss")

    def region_losses(self, model, regions):
        quality = tf.reshape(model.get_layer("quality")(regions.features), tf.shape(regions.labels))
        target = tf.cast(regions.labels >= 0, tf.float32)
        return {**super().region_losses(model, regions), "quality_loss": tf.reduce_mean(tf.square(quality - target), 1)}


def test_a_second_head_in_one_file(data):
    def with_head(model):
        features = model.get_layer("box_head").input
        quality = keras.layers.Dense(1, name="quality")(features)
        return keras.Model(model.input, {**model.output, "quality": quality})

    model = with_head(detector())
    batch = next(iter(data.train(4, 0)))
    values = WithQuality(data, CONFIG).losses(model, batch)
    assert float(values["quality_loss"]) > 0
    assert model(batch.images)["quality"].shape == (4 * 12, 1)
