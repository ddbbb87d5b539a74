"""Trains a tiny detector, and checks resuming, two devices and the commands `evaluate`, `export` and `detect`."""

import dataclasses
import json
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from nasnet_tf.base.errors import InputError
from nasnet_tf.data.detection import DetectionData
from nasnet_tf.detection.evaluation import NUMBERS, DetectionEvaluator
from nasnet_tf.detection.model import DetectorConfig, build_detector
from nasnet_tf.detection.task import Detection, DetectionLosses
from nasnet_tf.models.description import network_from_json
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.hub.detector import load_detector
from nasnet_tf.serving.hub.load import load_features, load_nasnet
from nasnet_tf.testing import REPOSITORY, fork_door, run_door, smallest_genotype
from nasnet_tf.training.config import TrainingConfig
from nasnet_tf.training.distribution import make_strategy
from nasnet_tf.training.loop import train_and_evaluate
from nasnet_tf.training.optimizers import Momentum
from nasnet_tf.viz.report.report import Report

NETWORK = NetworkConfig(1, "imagenet", 0.25, filters=8, batch_norm_momentum=0.9)
DETECTOR = DetectorConfig(anchor_base=32.0, anchor_scales=(0.5, 1.0), proposal_filters=8, num_proposals=12, crop_size=4, num_detections=10)
STEPS = 24  # each batch has all four images
CONFIG = TrainingConfig(epochs=STEPS, batch_size=4, log_every_steps=1, evaluate_every_epochs=STEPS / 2, seed=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Images of white and red rectangles: numbers and a text as ids, gaps in the ids of categories, a crowd and an empty box."""
    root, random = tmp_path_factory.mktemp("shapes"), np.random.RandomState(0)
    (root / "annotations").mkdir()
    for split, count in (("train", 4), ("val", 3)):
        (root / split).mkdir()
        images, annotations, ids = [], [], [10, 11, 12 if split == "train" else "twelve", 13]
        for number in range(count):
            pixels = random.randint(0, 60, [70, 90, 3]).astype(np.uint8)
            for label, color in ((2, (255, 255, 255)), (9, (255, 0, 0))):
                top, left = random.randint(0, 40, 2)
                pixels[top : top + 24, left : left + 30] = color
                annotations.append({"image_id": ids[number], "category_id": label, "bbox": [int(left), int(top), 30, 24], "iscrowd": 0})
            (root / split / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())
            images.append({"id": ids[number], "file_name": f"{number}.png", "height": 70, "width": 90})
        for box, is_crowd in (([5, 5, 0, 9], 0), ([60, 50, 30, 20], 1)):
            annotations.append({"image_id": 11, "category_id": 9, "bbox": box, "iscrowd": is_crowd})
        for number, row in enumerate(annotations, start=1):
            row |= {"id": number, "area": row["bbox"][2] * row["bbox"][3]}
        content = {"images": images, "annotations": annotations, "categories": [{"id": 2, "name": "white"}, {"id": 9, "name": "red"}]}
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return DetectionData(f"coco:{root}", 64, validation_split="val", test_split="val", max_boxes=5)


def detector(num_classes=2, image_size=64):
    return build_detector(build_network(smallest_genotype(), NETWORK, None, (None, None)), DETECTOR, num_classes)


def task(data, config):
    return Detection(data, config, DetectionLosses(True, 32, region_sample=8, add_objects=True))


def train(data, workdir):
    rate = lambda *_: 0.01  # noqa: E731
    return train_and_evaluate(detector, data, keras.optimizers.Adam, rate, CONFIG, workdir, show_progress=False, task=task)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """(work folder of a training that was evaluated after half of its steps, model)."""
    workdir = tmp_path_factory.mktemp("trained")
    return workdir, train(data, workdir)[0]


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """Folder of an export."""
    folder = tmp_path_factory.mktemp("exports") / "shapes"
    exporting = fork_door("export", f"--workdir={trained[0]}", f"--output={folder}", "--checkpoint=last")
    assert exporting.returncode == 0, exporting.stderr
    return folder


def by_pycocotools(data, split, results):
    """Returns the twelve metrics that pycocotools alone computes from the annotations and a file of results."""
    truth = COCO(f"{data.source.removeprefix('coco:')}/annotations/instances_{split}.json")
    evaluation = COCOeval(truth, truth.loadRes(str(results)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


def test_model_takes_any_size_and_survives_its_description():
    model = detector()
    copy = network_from_json(model.to_json(), "here")
    values = {weight.path: weight.numpy() for weight in model.weights}
    assert {weight.path for weight in copy.weights} == set(values)
    for weight in copy.weights:
        weight.assign(values[weight.path])
    for size in ((64, 64), (49, 83)):
        images = tf.random.stateless_uniform([2, *size, 3], [1, 2], -1.0, 1.0)
        for (name, value), other in zip(model(images).items(), copy(images).values(), strict=True):
            assert value.shape[:1] == (2,)
            np.testing.assert_array_equal(other, value, name)


def test_a_resumed_training_equals_the_uninterrupted_one(data, trained, tmp_path):
    """The training resumes after the first evaluation, as if it had been killed there."""
    workdir = tmp_path / "killed"
    shutil.copytree(trained[0], workdir)
    for path in [*workdir.glob(f"checkpoints/*-{STEPS}.*")]:
        path.unlink()
    assert list(workdir.glob(f"checkpoints/last-{STEPS // 2}.index"))
    model, _ = train(data, workdir)
    for weight, expected in zip(model.weights, trained[1].weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), expected.numpy(), weight.path)
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "train"] == [*range(1, STEPS + 1)]
    assert {"proposal_loss", "proposal_box_loss", "class_loss", "box_loss"} <= set(rows[0])
    assert [row["step"] for row in rows if row["kind"] == "evaluation"] == [STEPS // 2, STEPS]


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
    for part in ("stem", "proposal_head", "reduction_cell_1", "box_head"):  # the gradients of all four losses reach these parts
        assert any(float(tf.reduce_max(abs(gradient))) > 0 for path, gradient in gradients.items() if path.startswith(part))


def test_two_devices_share_the_batch(data):
    """Losses are means over the global batch, so a step of two replicas equals that of one. The settings exclude random samples."""
    settings = DetectionLosses(proposal_sample=1000, proposal_object_share=1.0, region_sample=17, region_object_share=1.0, add_objects=True)
    config = dataclasses.replace(CONFIG, epochs=1)
    keras.utils.set_random_seed(config.seed)
    model, batch = detector(), next(iter(data.train(4, config.seed)))
    with tf.GradientTape() as tape:
        loss = Detection(data, config, settings).losses(model, batch)["loss"]
    for weight, gradient in zip(model.trainable_weights, tape.gradient(loss, model.trainable_weights), strict=True):
        weight.assign_sub(0.01 * gradient)
    mirrored, evaluation = train_and_evaluate(
        detector,
        data,
        lambda: Momentum(0.0),
        lambda *_: 0.01,
        config,
        strategy=make_strategy("mirrored"),
        show_progress=False,
        task=lambda data, config: Detection(data, config, settings),
    )
    assert evaluation.examples == 3
    for weight, expected in zip(mirrored.trainable_weights, model.trainable_weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), expected.numpy(), atol=1e-6, err_msg=weight.path)


def test_evaluate_prints_the_numbers_of_pycocotools(data, trained):
    workdir, model = trained
    # In a process of its own, because this one has registered the detector's layers with Keras.
    evaluating = fork_door("evaluate", f"--workdir={workdir}", "--split=train", "--checkpoint=last", "--batch_size=3")
    assert evaluating.returncode == 0, evaluating.stderr
    assert "data: train: 1 x boxes without height or width" in evaluating.stderr
    assert "data: train: 1 x crowds" in evaluating.stderr
    numbers = by_pycocotools(data, "train", workdir / "detections-train-last.json")
    assert numbers[1] > 0.3  # the detector has learned something
    for text, number in zip(NUMBERS.values(), numbers, strict=True):
        line = next(line for line in evaluating.stdout.splitlines() if line.startswith(f"{text} "))
        assert line.split()[-1] == ("-" if number < 0 else f"{number:.4f}")
    written = json.loads((workdir / "evaluation-train-last.json").read_text())
    np.testing.assert_allclose([written[name] for name in NUMBERS], numbers)
    assert set(written["per_class"]) == {"white", "red"}
    np.testing.assert_allclose(np.mean([*written["per_class"].values()]), numbers[0])
    for name in ("precision", "pictures", "misses"):
        assert (workdir / f"{name}-train-last.svg").read_text().startswith("<?xml")
    evaluator = DetectionEvaluator(model)  # another batch size gives equal results
    assert dataclasses.asdict(evaluator.on_split(data, "train", 4)) == {name: written[name] for name in (*NUMBERS, "per_class", "examples")}
    page = Report(workdir).write().read_text()
    for text in ("mAP on validation", "proposal box loss"):
        assert text in page


def test_export_works_with_tensorflow_alone(data, trained, exported):
    picture = data.objects("test")[0].path
    pixels = tf.io.decode_png(picture.read_bytes())
    loaded = tf.saved_model.load(str(exported))
    found = loaded.signatures["serving_default"](input_tensor=pixels[None])
    encoded = loaded.signatures["detect_encoded"](encoded=tf.constant([picture.read_bytes()] * 2))
    ours = load_detector(exported)
    for weight, expected in zip(ours.model.weights, trained[1].weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), expected.numpy())
    expected = ours(pixels.numpy(), least_score=0.0)
    count = int(found["num_detections"][0])
    assert count == len(expected) > 0
    np.testing.assert_allclose(found["detection_boxes"][0, :count] * [70, 90, 70, 90], [each.box for each in expected], atol=1e-2)
    assert found["detection_classes"][0, :count].numpy().tolist() == [each.category_id for each in expected]
    np.testing.assert_allclose(encoded["detection_scores"][1], found["detection_scores"][0], atol=1e-4)


def test_export_has_a_manifest_that_is_checked(exported, tmp_path):
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["task"] == "detection"
    assert manifest["classes"] == [{"name": "white", "category_id": 2}, {"name": "red", "category_id": 9}]
    assert manifest["configuration"]["cells_per_stack"] == 1
    assert manifest["checks"]["."]["largest_difference"] < 1e-3
    assert manifest["evaluations"][-1]["split"] == "validation"
    assert manifest["evaluations"][-1]["step"] == STEPS
    damaged = tmp_path / "damaged"
    shutil.copytree(exported, damaged)
    (damaged / "data.json").write_text((damaged / "data.json").read_text().replace("white", "black"))
    with pytest.raises(InputError, match=r"data.json: is not the file of this export"):
        load_detector(damaged)
    (damaged / "manifest.json").unlink()
    (damaged / "data.json").write_text((exported / "data.json").read_text().replace('"white"', '"white", "black"'))
    with pytest.raises(InputError, match="data.json names 3 classes, the detector of model.json has 2"):
        load_detector(damaged)


def test_detect_draws_and_writes_the_objects(data, exported, tmp_path, capsys):
    paths = [picture.path for picture in data.objects("test")]
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    options = [f"--model={exported}", f"--output={tmp_path / 'found'}", "--batch_size=2", "--least_score=0"]
    with pytest.raises(InputError, match=r"1 of 4 files cannot be decoded as images: .*bad.png .expected a JPEG"):
        run_door("detect", bad, paths[0].parent, *options)
    expected = load_detector(exported)(paths, least_score=0.0)
    rows = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert [row["file"] for row in rows] == [str(path) for path in (bad, *paths)]
    for row, answer in zip(rows[1:], expected, strict=True):
        assert [each["class"] for each in row["found"]] == [each.name for each in answer]
        np.testing.assert_allclose([each["box"] for each in row["found"]], [each.box for each in answer], atol=0.01)
        assert tf.io.decode_png((tmp_path / "found" / row["picture"]).read_bytes()).shape[-1] in (3, 4)
    assert capsys.readouterr().out.count("red") >= 3


def test_load_detector_finds_objects_and_refuses_what_is_no_detector(data, trained):
    found = load_detector(trained[0])
    paths = [picture.path for picture in data.objects("test")]
    assert found([]) == []
    nothing, something = found.answers([b"no picture", paths[0].read_bytes()], 0.0)
    assert str(nothing) == "expected a JPEG, PNG, GIF, BMP or WebP file, got another kind"
    text, fields = found.describe(something, 2)
    assert len(fields["found"]) == 2
    assert fields["found"][0]["class"] in text
    with pytest.raises(InputError, match="cannot be decoded"):
        found(b"no picture")
    with pytest.raises(InputError, match="no trained detectors are public"):
        load_detector("mobile")
    with pytest.raises(InputError, match="holds a network for detection; expected one for classification"):
        load_nasnet(trained[0])


def test_the_first_snippet_of_the_page_runs(data, trained, capsys):
    path = data.objects("test")[0].path
    exec(compile(snippets()[0].replace("runs/cells", str(trained[0])).replace("photo.jpg", str(path)), "detect.md", "exec"), {})
    assert "box_head" in capsys.readouterr().out


def snippets() -> list[str]:
    """Returns the Python snippets in docs/detect.md."""
    return re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs" / "detect.md").read_text(), re.DOTALL)


def test_a_backbone_can_start_from_a_detector(trained):
    network = build_network(smallest_genotype(), NETWORK, None, (None, None))
    load_features(network, trained[0])
    expected = {weight.path: weight.numpy() for weight in trained[1].weights}
    for weight in network.weights:
        np.testing.assert_array_equal(weight.numpy(), expected[weight.path])


def test_a_second_head_in_one_file(data):
    """Runs the snippet in docs/detect.md with smaller cells."""
    shown = snippets()[1].split("data = ")[0].replace('"nasnet_a"', "genotype")
    names = {"genotype": smallest_genotype()}
    exec(compile(shown, "detect.md", "exec"), names)
    model = names["network"](data.num_classes, data.image_size)
    batch = next(iter(data.train(4, 0)))

    class AllFound(names["WithQuality"]):  # few proposals of an untrained network are near an object
        def region_losses(self, model, regions):
            return super().region_losses(model, regions._replace(labels=tf.zeros_like(regions.labels)))

    values = [task(data, CONFIG).losses(model, batch)["quality_loss"] for task in (names["WithQuality"], AllFound)]
    assert float(values[1]) > max(0.0, float(values[0]))
    assert model(batch.images)["quality"].shape[-1] == 1
