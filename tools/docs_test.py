"""Checks README, docs and help: links, the flags, recipes and bindings of commands, snippets and diffs.

Nothing is trained. Commands are only parsed, with their recipes, and snippets run on tiny stand-ins for downloaded files.
"""

import contextlib
import functools
import importlib
import io
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import gin
import make_reference
import pytest
from absl.flags import Error as FlagsError

from nasnet_tf.__main__ import DOORS
from nasnet_tf.base.errors import InputError
from nasnet_tf.cli import explaining, flags
from nasnet_tf.genotype import parse_genotype
from nasnet_tf.recipes.bindables import NAMES
from nasnet_tf.recipes.reading import parse_gin
from nasnet_tf.testing import REPOSITORY, uses

PAGES = [
    REPOSITORY / "README.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *(REPOSITORY / f"{name}.md" for name in ("BENCHMARKS", "BUILD", "CONTRIBUTING")),
]
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OTHER_PROGRAMS = {"cp", "docker", "echo", "export", "git", "grep", "kill", "mkdir", "mypy", "ray", "tensorboard", "until", "while"}
LONGEST_README = 121
COMPILED = ("client", "hours")  # labels of snippets that need a server or hours, and are only compiled


def called(page):
    """Returns a page's path relative to docs/ or to the repository."""
    return page.relative_to(REPOSITORY).as_posix().removeprefix("docs/")


def blocks(language):
    """Yields (page, label after the language, text) of each code block in a language; "" for shell commands."""
    for page in PAGES:
        for head, text in BLOCK.findall(page.read_text()):
            kind, _, label = head.partition(" ")
            if kind == language:
                yield called(page), label, text


def commands():
    """Yields the words of each shell command."""
    for page, _, text in blocks(""):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield pytest.param(words, id=f"{page}: {line.strip()[:60]}")
    for words in (words for name in ("__main__", *DOORS) for words in uses(name)):
        yield pytest.param(words, id=f"--help: {' '.join(words)[:60]}")


def anchors(page):
    """Returns the anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_readme_is_short_and_links_lead_somewhere():
    assert len(PAGES[0].read_text().splitlines()) < LONGEST_README
    for page in [*PAGES, REPOSITORY / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text())):
            if not target.startswith("https://"):
                name, _, anchor = target.partition("#")
                path = (page.parent / name) if name else page
                assert path.exists(), f"{page.name}: {target}"
                assert not anchor or anchor in anchors(path), f"{page.name}: {target}"


def test_every_page_is_linked_from_the_readme_or_from_the_index_of_its_folder():
    for page in PAGES[1:]:
        index = page.with_name("README.md")
        index = index if index.exists() and index != page else PAGES[0]
        assert f"({page.relative_to(index.parent).as_posix()})" in index.read_text(), f"{index}: no link to {called(page)}"


@contextlib.contextmanager
def door(name):
    """Defines the flags of a door inside the `with`, and removes them again."""
    module = importlib.import_module(f"nasnet_tf.{name}")
    others = set(flags.FLAGS)
    module.define_flags()
    own = set(flags.FLAGS) - others
    try:
        yield
    finally:
        for flag in own:
            delattr(flags.FLAGS, flag)
        flags.FLAGS.unparse_flags()


@pytest.mark.parametrize("words", list(commands()))
def test_each_command_of_the_docs_is_valid(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[0] == "make":
        assert make(*words[1:]).returncode == 0
    elif words[0] == "pip" or words[0].endswith("/pip"):
        for extras in re.findall(r"\[(.*?)\]", " ".join(words)):
            assert set(extras.split(",")) <= known_extras()
    elif words[:3] == ["python", "-m", "nasnet_tf"] or words[0] == "nasnet":
        check_door(words[words.index("nasnet") + 1 :] if words[0] == "nasnet" else words[3:])
    elif words[:2] == ["python", "-m"] and words[2].startswith("nasnet_tf."):
        check_door([words[2].removeprefix("nasnet_tf."), *words[3:]])
    elif words[:2] == ["python", "-m"]:
        assert words[2] in ("pytest", "venv") or importlib.util.find_spec(words[2])
    elif words[0] == "python":
        check_tool(words[1], words[2:])
    elif words[0].startswith("tools/"):
        assert os.access(REPOSITORY / words[0], os.X_OK)
    else:
        assert words[0] in OTHER_PROGRAMS or "protoc" in words[0], words


def make(*words):
    """Returns the result of a dry run of make, independent of a make that runs these tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", "--dry-run", *words], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def test_make_runs_the_tests_of_a_room():
    for room, folder in (("nas", " nasnet_tf/nas"), ("tools", " tools"), ("", "--dist=worksteal")):
        assert make("test", f"ROOM={room}").stdout.rstrip().endswith(folder)
    refused = make("test", "ROOM=nass")
    assert refused.returncode != 0
    assert re.fullmatch(r"Makefile:\d+: \*\*\* ROOM: expected one of api base cli .* viz, got 'nass'.  Stop.\n", refused.stderr)


@functools.cache
def known_extras():
    setup = (REPOSITORY / "setup.py").read_text()
    values: dict = {}
    exec(setup[setup.index("TRAIN = ") : setup.index("class BuildWithoutTests")], values)
    return set(values["EXTRAS"])


def check_tool(path, rest):
    source = (REPOSITORY / path).read_text()
    for flag in rest:
        if flag.startswith("--"):
            assert flag.partition("=")[0] in re.findall(r'"(--\w+)"', source), flag


def check_door(words):
    if not words or words[0].startswith("-"):
        return
    name, rest = words[0], [word for word in words[1:] if word != "..."]
    assert name in DOORS
    if "--help" in rest:
        return
    with door(name):
        if "gin_file" in flags.FLAGS and (asked := explaining.asked(rest)) is not None:
            assert asked in ("", *NAMES)
            return
        flags.FLAGS([name, *rest])
        if name in ("train", "search", "tune"):
            files = [file for file in flags.FLAGS.gin_file if not file.startswith("runs/")]
            gin.clear_config()
            if files:
                parse_gin(files, [*flags.params(), *flags.FLAGS.gin_param])
            gin.clear_config()


def test_a_wrong_command_is_found(tmp_path):
    for wrong in (["trane"], ["train", "--gin_fil=x"], ["train", "--gin_file=no.gin", "--workdir=x"]):
        with pytest.raises((AssertionError, FlagsError, InputError)):
            check_door(wrong)
    with pytest.raises(InputError):
        check_door(["train", "--gin_file=digits.gin", "--workdir=x", "--gin_param=TrainingConfig.epoch=1"])


def test_recipes_and_cells_in_the_pages():
    for _, _, text in blocks("gin"):
        gin.clear_config()
        gin.parse_config(text, skip_unknown=False)
    gin.clear_config()
    for _, _, text in blocks("textproto"):
        parse_genotype(text)


def few_images(count):
    """Returns random images and labels in the format of Keras' data sets."""
    import numpy as np

    return np.random.default_rng(count).integers(0, 256, [count, 32, 32, 3]).astype(np.uint8), np.arange(count)[:, None] % 10


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """A folder with the files that snippets name.

    `mobile` is a tiny network, its public weights are newly initialized, and children of searches get rewards without training.
    """
    import dataclasses

    import keras
    import numpy as np
    import tensorflow as tf

    from nasnet_tf.api import searching
    from nasnet_tf.models.network import build_network
    from nasnet_tf.models.zoo import ZOO
    from nasnet_tf.nas.children.space_training import SpaceChildren
    from nasnet_tf.nas.config import SearchConfig
    from nasnet_tf.nas.engines.local import InProcess
    from nasnet_tf.serving.weights import public
    from nasnet_tf.serving.weights.convert import save_weights

    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(REPOSITORY / "testdata", folder / "testdata")
    shutil.copytree(REPOSITORY / "testdata" / "quickstart_search", folder / "runs" / "mine")
    shutil.copy(REPOSITORY / "nasnet_tf" / "genotype" / "published" / "nasnet_c.textproto", folder / "best.textproto")
    photo = tf.io.encode_jpeg(np.random.default_rng(0).integers(0, 255, [40, 40, 3]).astype(np.uint8)).numpy()
    (folder / "photo.jpg").write_bytes(photo)
    with pytest.MonkeyPatch.context() as patch:
        row = ZOO["mobile"]
        tiny = dataclasses.replace(row.config, cells_per_stack=1, penultimate_filters=192)
        patch.setitem(ZOO, "mobile", dataclasses.replace(row, config=tiny, image_size=32))
        weights = folder / "public" / "model.ckpt"
        weights.parent.mkdir()
        save_weights(build_network("nasnet_a", tiny, 1000, 32), weights)
        shutil.copytree(weights.parent, folder / "nasnet-a_mobile")
        patch.setattr(public, "public_weights", lambda key, include_top: weights)
        patch.setattr(keras.datasets.cifar10, "load_data", lambda: (few_images(40), few_images(10)))
        patch.setattr(SearchConfig, "new_engine", lambda self: InProcess())
        patch.setattr(SpaceChildren, "__call__", lambda self, text, request: {"reward": 0.5, "metrics": {"mult_adds": 1e6}})
        patch.setattr(searching, "_ANY_NUMBER", 3)
        patch.chdir(folder)
        tf.config.run_functions_eagerly(True)  # tracing costs more than it saves in snippets that run once
        yield folder
        tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("page", sorted({page for page, _, _ in blocks("python") if "/" not in page} - {"extend.md", "detect.md"}))
def test_snippets_run(page, stand_ins):
    import numpy as np
    import tensorflow as tf

    images = tf.random.normal([2, 32, 32, 3])
    names = {"photos": np.zeros([2, 32, 32, 3], np.uint8), "batches": tf.data.Dataset.from_tensors((images, tf.constant([0, 1])))}
    for where, label, text in blocks("python"):
        if where == page and label.endswith(".md"):  # a shortened copy of a snippet on another page, which is run there
            assert set(text.splitlines()) <= {line for name, _, shown in blocks("python") if name == label for line in shown.splitlines()}
        elif where == page and label not in COMPILED:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, page, "exec"), names)
        elif where == page:
            compile(text, page, "exec")


def test_extensions_work(tmp_path):
    """Applies all diffs of docs/extend.md to a copy of the package, and runs the snippets that follow them."""
    shutil.copytree(REPOSITORY / "nasnet_tf", tmp_path / "nasnet_tf", ignore=shutil.ignore_patterns("__pycache__", "*_test.py"))
    shutil.copytree(REPOSITORY / "gin", tmp_path / "gin")
    shutil.copytree(REPOSITORY / "testdata", tmp_path / "testdata")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    diffs = [text for page, _, text in blocks("diff") if page == "extend.md"]
    assert len(diffs) == 5
    for diff in diffs:
        subprocess.run(["git", "apply", "-"], input=diff, text=True, cwd=tmp_path, check=True)
    regenerate(tmp_path / "nasnet_tf" / "genotype")
    snippets = [text for page, _, text in blocks("python") if page == "extend.md"]
    assert len(snippets) == 5
    script = "\n".join(snippets)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def regenerate(folder: pathlib.Path):
    """Does what protoc does after an operation was added: copies the enum values of the schema into the generated code."""
    from google.protobuf import descriptor_pb2

    from nasnet_tf.genotype import genotype_pb2

    schema = (folder / "genotype.proto").read_text()
    body = re.search(r"enum Operation \{(.*?)^\}", schema, re.DOTALL | re.MULTILINE)[1]
    file = descriptor_pb2.FileDescriptorProto.FromString(genotype_pb2.DESCRIPTOR.serialized_pb)
    enum = next(each for each in file.enum_type if each.name == "Operation")
    known = {value.number for value in enum.value}
    for name, number in re.findall(r"^\s+(\w+) = (\d+);", body, re.MULTILINE):
        if int(number) not in known:
            enum.value.add(name=name, number=int(number))
    path = folder / "genotype_pb2.py"
    code = re.sub(r"AddSerializedFile\(b'.*'\)", lambda _: f"AddSerializedFile({file.SerializeToString()!r})", path.read_text())
    path.write_text(code)


def test_the_page_of_bindables_is_up_to_date():
    assert make_reference.PAGE.read_text() == make_reference.page(), (
        "docs/bindables.md is not up to date; run python tools/make_reference.py"
    )
