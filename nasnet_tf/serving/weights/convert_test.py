"""Tests that weights survive every conversion bit for bit, and that wrong or damaged files are refused."""

import functools
import shutil
import sys
import tarfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications.nasnet import NASNet

from nasnet_tf.base.errors import InputError
from nasnet_tf.layers.operations import Pool
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.serving.weights import keras_files
from nasnet_tf.serving.weights.convert import load_weights, save_weights, to_keras_applications
from nasnet_tf.serving.weights.names import keras_layers, keras_names, slim_names
from nasnet_tf.testing import tiny_genotype

SIZE = 45  # odd, so that padding matters
IMAGES = tf.random.stateless_uniform([2, SIZE, SIZE, 3], [1, 2], -1, 1)


def fresh(num_classes=1000, filters=8, **options):
    config = NetworkConfig(1, "imagenet", 1.0, filters=filters, **options)
    return build_network("nasnet_a", config, num_classes, SIZE)


_built = functools.cache(fresh)


def network(*arguments, **options):
    """Returns the same network at each call, built once, with all weights 0."""
    model = _built(*arguments, **options)
    for weight in model.weights:
        weight.assign(tf.zeros_like(weight))
    return model


def keras_network(include_top=True, classes=1000, skip=False, blocks=1):
    return NASNet((SIZE, SIZE, 3), 192, blocks, 32, skip, include_top=include_top, weights=None, classes=classes)


def randomize(model, seed=0):
    """Sets weights as a training leaves them: all differ, so that none can be mistaken for another."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.path.split("/")[-1]
        values = rng.normal(size=weight.shape) * 0.1
        if "kernel" in name:
            fan_in = np.prod(weight.shape[:2]) if "depthwise" in name else np.prod(weight.shape[:-1])
            values *= 10 / np.sqrt(fan_in)
        weight.assign(values + (1.0 if name == "gamma" else 0.0) if "variance" not in name else 1 + np.abs(values))
    return model


def same_weights(one, two):
    first, second = ({weight.path: weight.numpy() for weight in model.weights} for model in (one, two))
    return set(first) == set(second) and all(np.array_equal(first[path], second[path]) for path in first)


def by_layer(keras_model):
    """Returns weights by layer, because paths of Keras' weights start with scopes that are not saved with a model."""
    return {f"{layer.name}/{weight.name}": weight.numpy() for layer in keras_model.layers for weight in layer.weights}


def same_keras_weights(one, two):
    first, second = by_layer(one), by_layer(two)
    return set(first) == set(second) and all(np.array_equal(first[name], second[name]) for name in first)


def assert_close(actual, expected, relative=1e-5):
    assert np.abs(np.asarray(actual) - np.asarray(expected)).max() <= relative * np.abs(expected).max()


@pytest.fixture(scope="module")
def ours():
    return randomize(fresh())


@pytest.fixture(scope="module")
def theirs():
    return randomize(keras_network(), seed=1)


@pytest.fixture(scope="module")
def checkpoint(ours, tmp_path_factory):
    path = tmp_path_factory.mktemp("slim") / "model.ckpt"
    save_weights(ours, path)
    return path


def rewrite(source, target, change):
    """Writes a copy of a checkpoint after `change`, which gets {name: value}, has changed its tensors."""
    reader = tf.train.load_checkpoint(str(source))
    tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    change(tensors)
    slices = [""] * len(tensors)
    tf.raw_ops.SaveV2(prefix=str(target), tensor_names=list(tensors), shape_and_slices=slices, tensors=list(tensors.values()))
    return target


def test_a_slim_checkpoint_survives_a_round_trip(ours, checkpoint, tmp_path):
    copy = network()
    load_weights(copy, checkpoint)
    assert same_weights(copy, ours)
    names = {name for name, _ in tf.train.list_variables(str(checkpoint))}
    assert names == {*slim_names(ours).values(), "global_step"}
    # Its folder, one of its files and an archive of it are the same checkpoint.
    with tarfile.open(tmp_path / "nasnet.tar.gz", "w:gz") as archive:
        for file in checkpoint.parent.iterdir():
            archive.add(file, file.name)
    for path in (checkpoint.parent, checkpoint.with_name("model.ckpt.index"), tmp_path / "nasnet.tar.gz"):
        copy = network()
        load_weights(copy, path)
        assert same_weights(copy, ours)


def test_slim_averages_are_preferred(ours, tmp_path):
    save_weights(ours, tmp_path / "model.ckpt", ema_names=True)

    def change(tensors):
        for name in list(tensors):
            if name.endswith("/ExponentialMovingAverage"):
                plain = name.removesuffix("/ExponentialMovingAverage")
                tensors[plain] = tensors[plain] + 1
                tensors[f"{plain}/RMSProp_1"] = tensors[plain]  # an optimizer's slot, which is ignored
            elif "final_layer/FC" in name:
                tensors[name.replace("FC", "fully_connected")] = tensors.pop(name)

    def second_upload(tensors):
        for name in [name for name in tensors if "/FC/" in name]:
            tensors[name.replace("/FC/", "/fully_connected/")] = tensors.pop(name)

    both = rewrite(tmp_path / "model.ckpt", tmp_path / "both.ckpt", change)
    averaged = network()
    load_weights(averaged, both)
    assert same_weights(averaged, ours)
    raw = network()
    load_weights(raw, both, use_ema=False)
    for weight, other in zip(raw.weights, ours.weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), other.numpy() + 1)
    renamed = network()
    load_weights(renamed, rewrite(tmp_path / "model.ckpt", tmp_path / "renamed.ckpt", second_upload))
    assert same_weights(renamed, ours)


def test_slim_background_is_dropped_or_kept(tmp_path):
    full = randomize(fresh(1001))
    save_weights(full, tmp_path / "model.ckpt")
    kept, dropped = network(1001), network(1000)
    for model in (kept, dropped):
        load_weights(model, tmp_path / "model.ckpt")
    assert same_weights(kept, full)
    assert_close(dropped(IMAGES), kept(IMAGES)[:, 1:])
    with pytest.raises(InputError, match=r"final_layer/FC/biases is \[1001\], expected \[999\]"):
        load_weights(network(999), tmp_path / "model.ckpt")


def test_an_extra_auxiliary_head_is_ignored_and_a_missing_one_is_an_error(tmp_path, ours, checkpoint):
    with_head = randomize(fresh(auxiliary_head=True))
    save_weights(with_head, tmp_path / "model.ckpt")
    plain, copy = network(), network(auxiliary_head=True)
    load_weights(plain, tmp_path / "model.ckpt")
    load_weights(copy, tmp_path / "model.ckpt")
    assert same_weights(copy, with_head)
    assert_close(plain(IMAGES), with_head(IMAGES)["logits"])
    with pytest.raises(InputError, match="12 missing: aux_1/aux_logits/proj/weights"):
        load_weights(with_head, checkpoint)


@pytest.mark.parametrize(("suffix", "include_top"), [(".weights.h5", True), (".h5", False), (".keras", True)])
def test_keras_files_round_trip(theirs, tmp_path, suffix, include_top):
    original = theirs if include_top else keras.Model(theirs.input, theirs.layers[-3].output)  # the last map
    path = tmp_path / f"theirs{suffix}"
    (original.save_weights if suffix == ".weights.h5" else original.save)(path)
    model = network(1000 if include_top else None)
    load_weights(model, path)
    assert_same_as_keras(model, original)
    if suffix == ".weights.h5":  # older versions use another name at the top, and give the layers by their order only
        with h5py.File(path, "a") as file:
            file.move("layers", "_layer_checkpoint_dependencies")
            file.visititems(lambda name, item: item.attrs.pop("name", None))
        older = fresh()
        load_weights(older, path)
        assert same_weights(older, model)
    save_weights(model, tmp_path / f"ours{suffix}")
    if suffix == ".keras":
        copy = keras.saving.load_model(tmp_path / "ours.keras")
    else:
        copy = keras_network(include_top)
        copy.load_weights(tmp_path / f"ours{suffix}")
    assert same_keras_weights(copy, original)


def assert_same_as_keras(model, original):
    names = keras_names(model)
    values = by_layer(original)
    assert set(names.values()) == set(values)
    for weight in model.weights:
        np.testing.assert_array_equal(weight.numpy(), values[names[weight.path]])


def test_a_legacy_weights_file_is_read(theirs, ours, tmp_path):
    """Keras 2 wrote scopes into the names and ":0" after them; its first files have "1" for "right1" of a reduction cell."""
    with h5py.File(tmp_path / "legacy.h5", "w") as file:
        for layer in theirs.layers:
            group = file.create_group(layer.name.replace("_reduction_right1_", "_reduction_1_"))
            for weight in layer.weights:
                group[f"reduction_A_block/{layer.name}/{weight.name}:0"] = weight.numpy()
    model = network()
    load_weights(model, tmp_path / "legacy.h5")
    assert_same_as_keras(model, theirs)


def test_a_larger_model_in_memory_is_read_and_made_again():
    original = randomize(keras_network(skip=True, blocks=2))
    model = build_network("nasnet_a", NetworkConfig(2, "imagenet", 1.0, filters=8, prev_skips_reduction=True), 1000, SIZE)
    assert list(keras_layers(model)) == [layer.name for layer in original.layers if layer.weights]
    load_weights(model, original)
    back = to_keras_applications(model)
    assert same_keras_weights(back, original)
    np.testing.assert_array_equal(back(IMAGES), original(IMAGES))


def zero_padded(pool, height, width):
    """Returns a pool as in keras.applications: it pads the image with zeros, which count like pixels."""
    pads = [(size % 2, 1) for size in (height, width)]

    def padded(hidden):
        hidden = tf.pad(hidden, [(0, 0), *pads, (0, 0)])
        return tf.nn.pool(hidden, (3, 3), pool.keywords["pooling_type"], (2, 2), "VALID")

    return padded


def test_keras_applications_pads_with_zeros(theirs):
    """Equal weights give different logits until we pad with zeros too. models/slim_parity_test.py compares ours with slim's."""
    model = fresh()  # not the shared one, because its layers are changed
    load_weights(model, theirs)
    expected = keras.Model(theirs.input, theirs.layers[-2].output)(IMAGES)  # pooled features: their classifier has no logits
    expected = expected @ theirs.layers[-1].kernel + theirs.layers[-1].bias
    difference = np.abs(model(IMAGES) - expected).max() / np.ptp(expected)
    assert difference > 1e-3
    for name in ("cell_stem_0", "cell_stem_1", "reduction_cell_0", "reduction_cell_1"):
        cell = model.get_layer(name)
        height, width = cell.input[0].shape[1:3] if isinstance(cell.input, list) else cell.input.shape[1:3]
        for pair in cell.branches:
            for layer in pair:
                if isinstance(layer, Pool) and layer.pool.keywords["strides"] == (2, 2):
                    layer.pool = zero_padded(layer.pool, height, width)
    assert_close(model(IMAGES), expected)


def test_a_keras_without_its_private_builder_is_refused(monkeypatch, ours):
    monkeypatch.setitem(sys.modules, "keras.src.applications.nasnet", None)
    with pytest.raises(InputError, match=r"keras .* has no keras.src.applications.nasnet.NASNet, .*keras 3.15 has it"):
        to_keras_applications(ours)


def test_data_in_other_files_is_not_read(theirs, tmp_path):
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    (tmp_path / "secret").write_bytes(bytes(128))
    with h5py.File(tmp_path / "theirs.weights.h5", "a") as file:
        del file["layers/batch_normalization/vars/0"]
        file.create_dataset("layers/batch_normalization/vars/0", (32,), "f4", external=[(str(tmp_path / "secret"), 0, 128)])
    with pytest.raises(InputError, match="refers to data in other files, which is not read"):
        load_weights(network(), tmp_path / "theirs.weights.h5")


def test_networks_that_keras_applications_cannot_build_are_refused():
    config = NetworkConfig(1, "cifar", 3.0, filters=8)
    for model, message in (
        (build_network("nasnet_a", config, 10, 32), "no counterpart in keras.applications"),
        (build_network(tiny_genotype(), config, 10, 32), "no counterpart in keras.applications"),
        (network(filters=10), "expected a multiple of 4 filters"),
        (network(batch_norm_epsilon=1e-5), "batch_norm_epsilon"),
        (network(bounded_activation=True), "bounded_activation"),
    ):
        with pytest.raises(InputError, match=message):
            to_keras_applications(model)


def test_every_wrong_tensor_is_listed(checkpoint, tmp_path):
    def change(tensors):
        del tensors["cell_0/1x1/weights"]
        tensors["cell_0/surprise"] = np.zeros(3, np.float32)
        tensors["conv0_bn/gamma"] = np.zeros(5, np.float32)

    path = rewrite(checkpoint, tmp_path / "changed.ckpt", change)
    model = network()
    before = [weight.numpy() for weight in model.weights]
    with pytest.raises(InputError) as caught:
        load_weights(model, path)
    for words in (
        "1 missing: cell_0/1x1/weights",
        "1 of another shape: conv0_bn/gamma is [5], expected [32]",
        "1 unexpected: cell_0/surprise",
    ):
        assert words in str(caught.value)
    assert all(np.array_equal(old, weight.numpy()) for old, weight in zip(before, model.weights, strict=True))


def test_weights_of_another_network_are_refused(theirs, checkpoint, tmp_path):
    theirs.save(tmp_path / "theirs.h5")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    wider = network(filters=12)
    for source in (checkpoint, tmp_path / "theirs.h5", tmp_path / "theirs.weights.h5", theirs):
        with pytest.raises(InputError, match="does not fit this network"):
            load_weights(wider, source)
    with pytest.raises(InputError, match="does not fit this network"):
        load_weights(network(), keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    with h5py.File(tmp_path / "theirs.h5", "a") as file:
        file["model_weights"].move("stem_conv1", "stem_conv9")
    with pytest.raises(InputError, match=r"1 missing: stem_conv1/kernel; 1 unexpected: stem_conv9/kernel"):
        load_weights(network(), tmp_path / "theirs.h5")


def test_files_cut_short_are_refused(theirs, checkpoint, tmp_path):
    theirs.save(tmp_path / "whole.h5")
    theirs.save_weights(tmp_path / "whole.weights.h5")
    theirs.save(tmp_path / "whole.keras")
    with tarfile.open(tmp_path / "whole.tar.gz", "w:gz") as archive:
        for file in checkpoint.parent.iterdir():
            archive.add(file, file.name)
    model = network()
    before = [weight.numpy() for weight in model.weights]
    for name in ("whole.h5", "whole.weights.h5", "whole.keras", "whole.tar.gz"):
        content = (tmp_path / name).read_bytes()
        for part in (0, 100, len(content) // 2, len(content) - 50):
            path = tmp_path / f"cut_{name}"
            path.write_bytes(content[:part])
            with pytest.raises(InputError, match=f"cut_{name}"):
                load_weights(model, path)
    for name, part in (("model.ckpt.index", 100), ("model.ckpt.data-00000-of-00001", 1000)):
        folder = tmp_path / name
        shutil.copytree(checkpoint.parent, folder)
        (folder / name).write_bytes((folder / name).read_bytes()[:part])
        with pytest.raises(InputError, match="cannot be read as a checkpoint|cut short"):
            load_weights(model, folder / "model.ckpt")
    assert all(np.array_equal(old, weight.numpy()) for old, weight in zip(before, model.weights, strict=True))


def test_a_missing_file_is_refused(tmp_path):
    for name in ("none.h5", "none.keras", "none.ckpt", "none.tar.gz"):
        with pytest.raises(InputError, match=f"{name}: no such"):
            load_weights(network(), tmp_path / name)


def test_public_file_is_read_in_the_order_of_layers(theirs, tmp_path, monkeypatch):
    """Names in the public files may come from older code, so the files are recognized by their MD5."""
    path = tmp_path / "public.h5"
    theirs.save(path)
    with h5py.File(path, "a") as file:
        root = file["model_weights"]
        names = [name for name in root.attrs["layer_names"] if len(root[name].attrs["weight_names"])]
        for index, name in enumerate(names):  # reversed, so that each name means another layer
            root.move(name, f"was_{index}")
        for index, name in enumerate(reversed(names)):
            root.move(f"was_{index}", name)
        del root.attrs["layer_names"]
        for part, chunk in enumerate((names[::-1][:50], names[::-1][50:])):  # Keras splits lists that are too long for one attribute
            root.attrs[f"layer_names{part}"] = [name.encode() for name in chunk]
    monkeypatch.setattr(keras_files, "PUBLIC_KERAS_FILES", {keras_files._md5(path): ("mobile", True)})
    model = network()
    load_weights(model, path)
    assert_same_as_keras(model, theirs)


def test_a_classifier_starts_fresh_if_the_file_has_another_number_of_classes(checkpoint, ours):
    options = {"image_size": SIZE, "stem": "imagenet"}
    model = load_nasnet("1 @ 192", weights=checkpoint, num_classes=7, **options)
    features = {weight.path: weight.numpy() for weight in ours.weights}
    for weight in model.weights:
        if not weight.path.startswith("logits"):
            np.testing.assert_array_equal(weight.numpy(), features[weight.path])
    assert model(IMAGES).shape == (2, 7)
    assert same_weights(load_nasnet("1 @ 192", weights=checkpoint, num_classes=1000, **options), ours)
