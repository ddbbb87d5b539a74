"""Tests of weights as .safetensors: exact round trips, the network's description in the metadata, and damaged files."""

import json
import pathlib
import struct

import keras
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from nasnet_tf.base.errors import InputError
from nasnet_tf.models.description import network_from_json
from nasnet_tf.models.network import NetworkConfig, build_network
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.serving.weights.convert import load_weights, save_weights
from nasnet_tf.serving.weights.recognition import recognized
from nasnet_tf.testing import run_door, tiny_genotype


def network(filters=4):
    return build_network(tiny_genotype(), NetworkConfig(1, "cifar", 2.0, filters=filters), 3, 8)


@pytest.fixture(scope="module")
def model():
    model, rng = network(), np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    return model


@pytest.fixture
def path(model, tmp_path):
    save_weights(model, tmp_path / "ours.safetensors")
    return tmp_path / "ours.safetensors"


def values_of(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def assert_same(one, two):
    first, second = values_of(one), values_of(two)
    assert set(first) == set(second)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_round_trip_bit_for_bit(model, path):
    other = network()
    load_weights(other, path)
    assert_same(other, model)
    # The file can be read without this package, and describes the network like a .keras file.
    values = safetensors.numpy.load_file(path)
    assert all(np.array_equal(values[name], value) for name, value in values_of(model).items())
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["package"].startswith("nasnet_tf ")
    described = network_from_json(metadata["model.json"], str(path))
    assert {weight.path: weight.shape for weight in described.weights} == {weight.path: weight.shape for weight in model.weights}


def test_the_command_converts_in_and_out(tmp_path):
    size = "1 @ 192"
    original = load_nasnet(size, None)
    original.save_weights(tmp_path / "a.weights.h5")
    run_door("convert", tmp_path / "a.weights.h5", f"--model={size}", f"--output={tmp_path / 'b.safetensors'}")
    run_door("convert", tmp_path / "b.safetensors", f"--model={size}", f"--output={tmp_path / 'c.weights.h5'}")
    for name in ("b.safetensors", "c.weights.h5"):
        assert_same(load_nasnet(size, tmp_path / name), original)


def test_a_network_of_the_zoo_is_recognized(tmp_path):
    model = load_nasnet("cifar", None)
    save_weights(model, tmp_path / "x.safetensors")
    assert recognized(tmp_path / "x.safetensors") == "cifar"


def damaged(content):
    size = struct.unpack("<Q", content[:8])[0]
    yield "empty", b"", "damaged, cut short, or not a .safetensors file"
    yield "in its header", content[: size // 2], "damaged, cut short, or not a .safetensors file"
    yield "in its numbers", content[:-4], "damaged, cut short, or not a .safetensors file"
    yield "longer", content + b"rest", "damaged, cut short, or not a .safetensors file"
    yield "no header", b"x" * 100, "damaged, cut short, or not a .safetensors file"
    yield "an HDF5 file", b"\x89HDF\r\n\x1a\n" + bytes(100), "damaged, cut short, or not a .safetensors file"
    yield "huge header", struct.pack("<Q", 2**60) + content[8:], "damaged, cut short, or not a .safetensors file"
    header = json.loads(content[8 : 8 + size])
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"] = [2**40]
    text = json.dumps(header).encode()
    yield "a shape that lies", struct.pack("<Q", len(text)) + text + content[8 + size :], "damaged, cut short, or not a .safetensors file"


def test_damaged_files_give_one_line_errors(path, tmp_path):
    other = network()
    before = values_of(other)
    for called, content, message in damaged(path.read_bytes()):
        bad = tmp_path / "bad.safetensors"
        bad.write_bytes(content)
        with pytest.raises(InputError, match=f"bad.safetensors: {message}") as caught:
            load_weights(other, bad)
        assert "\n" not in str(caught.value), called
    assert all(np.array_equal(before[name], value) for name, value in values_of(other).items())
    with pytest.raises(InputError, match=r"none.safetensors: no such file; expected .*, a .safetensors file, or"):
        load_weights(other, tmp_path / "none.safetensors")


def test_other_tensors_and_types_are_refused(model, tmp_path):
    import ml_dtypes

    values, place = values_of(model), tmp_path / "other.safetensors"
    name = "logits/bias"
    for changed, message in (
        ({**values, "more": np.zeros(3, np.float32)}, "does not fit this network: 1 unexpected: more"),
        ({key: value for key, value in values.items() if key != name}, f"does not fit this network: 1 missing: {name}"),
        ({**values, name: np.zeros(4, np.float32)}, rf"does not fit this network: 1 of another shape: {name} is \[4\], expected \[3\]"),
        ({**values, name: values[name].astype(ml_dtypes.bfloat16)}, f"expected tensors of type F32; 1 of .* the first: {name} is BF16"),
        ({**values, name: values[name].astype(np.float16)}, f"expected tensors of type F32; 1 of .* the first: {name} is F16"),
        ({**values, name: np.zeros(3, np.int64)}, f"expected tensors of type F32; 1 of .* the first: {name} is I64"),
    ):
        safetensors.numpy.save_file(changed, place)
        with pytest.raises(InputError, match=f"other.safetensors: {message}"):
            load_weights(network(), place)


def test_a_failed_write_keeps_the_old_file(model, path, monkeypatch):
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"ours.safetensors cannot be written \(No space left"):
        save_weights(model, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_compiled_network_is_written_without_its_optimizer(tmp_path):
    model = network()
    model.compile(keras.optimizers.SGD(momentum=0.9))
    save_weights(model, tmp_path / "x.safetensors")
    with safetensors.safe_open(tmp_path / "x.safetensors", "numpy") as file:
        assert set(file.keys()) == set(values_of(network()))
