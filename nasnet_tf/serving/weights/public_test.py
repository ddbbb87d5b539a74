"""Tests that public weights are downloaded once, checked and shared by processes, and of a classifier with them."""

import dataclasses
import functools
import hashlib
import http.server
import pathlib
import shutil
import socketserver
import threading

import numpy as np
import pytest
import tensorflow as tf

import nasnet_tf
from nasnet_tf.base.errors import InputError
from nasnet_tf.data import imagenet_classes
from nasnet_tf.models.network import NetworkConfig
from nasnet_tf.models.zoo import ZOO
from nasnet_tf.serving.hub.load import load_nasnet
from nasnet_tf.serving.hub.naming import resolve
from nasnet_tf.serving.weights import convert, keras_files, public


def images(size):
    return tf.random.stateless_uniform([2, size, size, 3], [1, 2], -1, 1)


SMALL = dataclasses.replace(ZOO["mobile"], config=NetworkConfig(1, "imagenet", 1.0, penultimate_filters=192), image_size=32)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Returns (a small network, the folder of its files, named like the public ones)."""
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ZOO, "mobile", SMALL)
        source = load_nasnet("mobile", weights=None)
        for weight in source.weights:
            weight.assign(tf.random.stateless_uniform(weight.shape, [len(weight.path), 1]) / 3)
        convert.save_weights(source, folder / "NASNet-mobile.h5")
        convert.save_weights(load_nasnet("mobile", None, include_top=False), folder / "NASNet-mobile-no-top.h5")
    return source, folder


@pytest.fixture
def server(made, tmp_path, monkeypatch):
    """Runs a server with those files; yields (the network, the served folder)."""
    source, folder = made
    monkeypatch.setitem(ZOO, "mobile", SMALL)
    served = pathlib.Path(shutil.copytree(folder, tmp_path / "server"))
    hashes = {
        hashlib.md5((served / f"NASNet-mobile{suffix}.h5").read_bytes()).hexdigest(): ("mobile", not suffix) for suffix in ("", "-no-top")
    }
    for module in (keras_files, public):
        monkeypatch.setattr(module, "PUBLIC_KERAS_FILES", hashes)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)  # HTTPServer would look up its own host name
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(public, "BASE_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    yield source, served
    server.shutdown()
    thread.join()
    server.server_close()


def test_public_weights_are_fetched_once_and_checked(server, tmp_path):
    source, served = server
    cached = tmp_path / "keras" / "models" / "nasnet_mobile.h5"
    model = load_nasnet("mobile")
    np.testing.assert_array_equal(model(images(32)), source(images(32)))
    assert hashlib.md5(cached.read_bytes()).digest() == hashlib.md5((served / "NASNet-mobile.h5").read_bytes()).digest()
    (served / "NASNet-mobile.h5").unlink()
    again = load_nasnet("mobile", "imagenet")
    np.testing.assert_array_equal(again(images(32)), source(images(32)))
    # With another number of classes, the smaller file is enough.
    assert load_nasnet("mobile", num_classes=7)(images(32)).shape == (2, 7)
    assert (tmp_path / "keras" / "models" / "nasnet_mobile_no_top.h5").is_file()
    cached.write_bytes(b"something else")
    with pytest.raises(InputError) as caught:
        load_nasnet("mobile")
    assert all(words in str(caught.value) for words in (str(cached), "has md5", "expected", "put the file from http", "weights=None"))
    assert cached.read_bytes() == b"something else"  # the user may need it


def test_a_download_that_fails_leaves_nothing_behind(server, tmp_path):
    _, served = server
    whole = (served / "NASNet-mobile.h5").read_bytes()
    (served / "NASNet-mobile.h5").write_bytes(whole[:1000])
    with pytest.raises(InputError, match="has md5"):
        load_nasnet("mobile")
    (served / "NASNet-mobile.h5").unlink()
    with pytest.raises(InputError, match=r"cannot download the ImageNet weights of 'mobile' .*404.*put the file from"):
        load_nasnet("mobile")
    assert not (tmp_path / "keras" / "models" / "nasnet_mobile.h5").exists()
    (served / "NASNet-mobile.h5").write_bytes(whole)
    assert load_nasnet("mobile").output.shape == (None, 1000)


def test_a_file_that_another_process_finished_is_taken(server, tmp_path, monkeypatch, capfd):
    _, served = server
    content = (served / "NASNet-mobile.h5").read_bytes()
    cached = tmp_path / "keras" / "models" / "nasnet_mobile.h5"
    download = public._download

    def meanwhile(url, path):
        download(url, path)
        assert path.parent.parent == cached.parent  # in a folder that no other process writes to
        cached.write_bytes(content)
        path.write_bytes(b"ours came too late")

    monkeypatch.setattr(public, "_download", meanwhile)
    assert public.public_weights("mobile", True) == cached
    assert cached.read_bytes() == content
    assert [path.name for path in cached.parent.iterdir()] == [cached.name]
    assert f"downloading {public.BASE_URL}/NASNet-mobile.h5, {len(content) / 1e6:.1f} MB" in capfd.readouterr().err


def test_a_server_that_never_answers_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(public, "TIMEOUT_SECONDS", 0.2)
    listener = socketserver.socket.create_server(("127.0.0.1", 0))  # which never answers
    monkeypatch.setattr(public, "BASE_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
    with pytest.raises(InputError, match=r"cannot download the ImageNet weights of 'mobile' \(.*timed out.*put the file from"):
        load_nasnet("mobile")
    listener.close()
    assert not list((tmp_path / "keras" / "models").iterdir())


def test_a_proxy_is_used(server, monkeypatch):
    _, served = server
    whole = (served / "NASNet-mobile.h5").read_bytes()
    (served / "example").mkdir()
    asked = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(whole)

        def log_message(self, *_):
            pass

    with socketserver.TCPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_address[1]}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(public, "BASE_URL", "http://weights.invalid")
        assert public.public_weights("mobile", True).read_bytes() == whole
    assert asked == ["http://weights.invalid/NASNet-mobile.h5"]


def test_a_named_network_classifies_and_refuses_what_is_no_image(server, tmp_path):
    source, _ = server
    pixels = tf.random.stateless_uniform([40, 60, 3], [1, 2], maxval=256, dtype=tf.int32)
    encoded = tf.io.encode_png(tf.cast(pixels, tf.uint8)).numpy()
    classifier = nasnet_tf.load_classifier("mobile")
    good, bad = classifier.probabilities([encoded, b"no image"])
    assert str(bad) == "expected a JPEG, PNG, GIF, BMP or WebP file, got another kind"
    preprocessing, names = resolve("mobile").classes()
    np.testing.assert_allclose(good, tf.nn.softmax(source(preprocessing.evaluate(encoded)[None]))[0], rtol=1e-3, atol=1e-6)
    assert list(classifier.class_names) == names
    assert names[:2] == ["tench", "goldfish"]
    assert classifier.preprocessing == preprocessing.config()
    assert classifier.preprocessing["central_fraction"] == 0.875
    # From a photo's path to names and probabilities.
    photo = tmp_path / "photo.png"
    photo.write_bytes(encoded)
    answer = classifier(str(photo))
    assert [name for name, *_ in answer] == [names[index] for index in np.argsort(-good, kind="stable")[:5]]
    np.testing.assert_allclose([each.probability for each in answer], np.sort(good)[::-1][:5], rtol=1e-5)
    assert all(dict(imagenet_classes())[each.wordnet_id] == each.name for each in answer)
    others = classifier([photo, encoded, tf.cast(pixels, tf.uint8).numpy()], top=5)
    assert [[each.name for each in other] for other in others] == [[each.name for each in answer]] * 3
    assert len(classifier(encoded, top=2)) == 2
    for wrong, message in (
        (tmp_path / "none.jpg", "none.jpg: cannot be read"),
        (b"no image", "image 0: cannot be decoded"),
        (np.zeros([4, 4]), r"expected uint8 \[height, width, 3\], got 'float64 \[4\]'"),
        (np.zeros([4, 4, 3]), r"expected uint8 \[height, width, 3\], got 'float64 \[4, 4, 3\]'"),
        ([7], "expected a path, a file's content or pixels, got 'int'"),
    ):
        with pytest.raises(InputError, match=message):
            classifier(wrong)
    with pytest.raises(InputError, match="top: expected an integer of 1 or more, or None, got 0"):
        classifier(photo, top=0)
