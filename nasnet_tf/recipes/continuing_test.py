"""Checks trainings that start from another one: the classifier is kept if the classes are equal, and refusals tell how to start."""

import gin
import numpy as np
import pytest

from nasnet_tf.base.errors import InputError
from nasnet_tf.genotype import format_genotype
from nasnet_tf.models.network import inference_model
from nasnet_tf.recipes import reading, table
from nasnet_tf.serving.hub.load import load_features
from nasnet_tf.serving.hub.naming import resolve
from nasnet_tf.testing import run_door, smallest_genotype
from nasnet_tf.training import checkpoints, work_folder

DIGITS = [str(digit) for digit in range(10)]
RECIPE = ["--gin_file=quickstart_train.gin"]
TINY = [
    f"--gin_param={binding}"
    for binding in (
        "NetworkConfig.cells_per_stack=1",
        "NetworkConfig.filters=4",
        "TrainingConfig.epochs=1",
        "ImageData.train_split='train[:96]'",
        "ImageData.validation_examples=32",
    )
]


@pytest.fixture(autouse=True)
def _no_bindings():
    gin.clear_config()
    yield
    gin.clear_config()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Flags of a training with the smallest cells."""
    path = tmp_path_factory.mktemp("cells") / "smallest.textproto"
    path.write_text(format_genotype(smallest_genotype()))
    return [*TINY, f"--gin_param=train.genotype={str(path)!r}"]


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """The work folder of a training on digits, with an auxiliary head."""
    workdir = tmp_path_factory.mktemp("runs") / "one"
    gin.clear_config()
    run_door("train", *RECIPE, f"--workdir={workdir}", *tiny)
    return workdir


def values_of(workdir):
    model, _ = work_folder.read_description(workdir)
    checkpoints.load_trained(workdir, model)
    return model, {weight.path: weight.numpy() for weight in model.weights}


def test_a_recipe_continues_with_the_classifier(trained, tiny, capsys):
    files, params = [flag.partition("=")[2] for flag in RECIPE], [flag.partition("=")[2] for flag in tiny]
    reading.parse_gin(files, [*params, f"train.initial_weights = {str(trained)!r}"])
    model = table.bound("train")().build(10, 8)
    note = f"train.initial_weights: {trained}: its classifier is kept, because its 10 classes have the same names\n"
    assert note in capsys.readouterr().err
    _, values = values_of(trained)
    assert {weight.path for weight in model.weights} == set(values)
    for weight in model.weights:
        np.testing.assert_array_equal(weight.numpy(), values[weight.path], err_msg=weight.path)


@pytest.mark.parametrize("kind", ["workdir", "export", "model.keras"])
def test_a_classifier_with_classes_in_another_order_is_kept(trained, kind, tmp_path):
    source = trained
    if kind != "workdir":
        run_door("export", f"--workdir={trained}", f"--output={tmp_path / 'export'}", "--format=saved_model", "--format=keras")
        source = tmp_path / "export" / kind if kind == "model.keras" else tmp_path / "export"
    old, values = values_of(trained)
    model, _ = work_folder.read_description(trained)
    has_auxiliary = kind == "workdir"
    note = load_features(model if has_auxiliary else inference_model(model), source, DIGITS[::-1])
    assert note == f"{source}: its classifier is kept, because its 10 classes have the same names, in another order"
    images = np.random.default_rng(0).uniform(-1, 1, [4, 8, 8, 3]).astype(np.float32)
    new, expected = model(images), old(images)
    for head in ("logits", "auxiliary_logits") if has_auxiliary else ("logits",):
        np.testing.assert_allclose(new[head].numpy()[:, ::-1], expected[head].numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["cat", *DIGITS[1:]], "it has no class 'cat'"),
        (None, "the names of the classes to train are not known"),
        (DIGITS[:9], "the names of the classes to train are not known"),  # a task whose outputs are not one logit per class
    ],
)
def test_other_classes_start_fresh(trained, names, why):
    model, _ = work_folder.read_description(trained)
    assert load_features(model, trained, names) == f"{trained}: its weights are loaded, and the classifier starts fresh: {why}"
    _, values = values_of(trained)
    assert not np.array_equal(model.get_layer("logits").kernel, values["logits/kernel"])
    assert np.abs(model.get_layer("logits").kernel).max() <= 0.02
    np.testing.assert_array_equal(model.get_layer("stem").conv.kernel, values["stem/conv/kernel"])


def test_public_weights_keep_the_classifier_for_imagenet():
    source = resolve("mobile")
    assert len(source.own_class_names()) == 1000
    assert resolve("cifar").own_class_names() is None  # has no public weights


def test_the_refusal_tells_how_to_start_from_the_training(trained, tiny):
    with pytest.raises(InputError, match=rf"another --workdir \(train.initial_weights = '{trained}' makes it start from these weights\)"):
        run_door("train", *RECIPE, f"--workdir={trained}", *tiny, "--gin_param=cosine_decay.initial_rate=0.01")
