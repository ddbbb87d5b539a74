"""Checks when a work folder belongs to a configuration, which bindings may change, locks, and the removal of files after a mistake."""

import contextlib
import errno
import fcntl

import pytest

from nasnet_tf.base import work_folders
from nasnet_tf.base.errors import InputError
from nasnet_tf.base.identity import Identity
from nasnet_tf.recipes import folders, table

BEGUN, REWARDED = '{"event": "search"}\n{"event": "proposed"}\n', '{"event": "finished"}\n'
OLD = "NetworkConfig.filters = 8\nImageData.data_dir = '/a'\n"


@pytest.fixture
def claim(tmp_path):
    """Returns a function that claims the folder for a configuration, releases it, and returns the text of config.gin."""

    def take(config_text, kind="training"):
        with folders.claimed(tmp_path / "run", config_text, kind) as workdir:
            return (workdir / "config.gin").read_text()

    return take


def save(folder, name="checkpoints/last-3.index"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(BEGUN + REWARDED if name == "journal.jsonl" else "x")


def test_a_folder_is_free_before_something_is_saved(claim, tmp_path):
    assert claim(OLD) == OLD
    (tmp_path / "run" / "metrics.jsonl").write_text("")
    other = OLD.replace("8", "9")
    assert claim(other) == other


@pytest.mark.parametrize("saved", ["checkpoints/last-3.index", "checkpoints/best-1.index"])
def test_a_saved_training_keeps_its_configuration(claim, tmp_path, saved):
    claim(OLD)
    save(tmp_path / "run", saved)
    with pytest.raises(InputError, match=rf"NetworkConfig.filters was 8, is 9; .* or remove {tmp_path}/run$"):
        claim(OLD.replace("8", "9"))
    with pytest.raises(InputError, match="TrainingConfig.seed was not bound, is 1"):
        claim(OLD + "TrainingConfig.seed = 1\n")
    harmless = (
        "NetworkConfig.filters = 8\nImageData.data_dir = '/b'\nImageData.cache = False\nTrainingConfig.log_every_steps = 1\n"
        "TrainingConfig.checkpoint_every_seconds = 5\nTrainingConfig.max_corrupt_images = 1\nTrainingConfig.evaluate_every_epochs = 0.5\n"
        "make_strategy.name = 'mirrored'\n"
        "make_strategy.wait_seconds = 1\ntrain.strategy = @make_strategy()\n"
    )
    assert claim(harmless) == harmless


def test_an_unbound_parameter_has_its_default(claim, tmp_path):
    """A folder that is older than a parameter can be resumed, and so can one whose recipe bound a default."""
    claim(OLD)
    save(tmp_path / "run")
    new = f"{OLD}TrainingConfig.replica_batch_size = None\nTrainingConfig.ema_decay = None\ntrain.dtype_policy = 'float32'\n"
    assert claim(new) == new
    assert claim(OLD) == OLD
    with pytest.raises(InputError, match="TrainingConfig.replica_batch_size was not bound, is 32"):
        claim(f"{OLD}TrainingConfig.replica_batch_size = 32\n")
    with pytest.raises(InputError, match="TrainingConfig.label_smoothing was not bound, is None"):
        claim(f"{OLD}TrainingConfig.label_smoothing = None\n")
    with pytest.raises(InputError, match="other/TrainingConfig.ema_decay was not bound, is None"):
        claim(f"{OLD}other/TrainingConfig.ema_decay = None\n")  # without this binding, the scope has the outer value


def test_a_folder_with_bindings_of_an_older_version_is_resumed(claim, tmp_path):
    claim("train.detector = @DetectorConfig()\ntrain.detection_losses = @DetectionLosses()\n")
    save(tmp_path / "run")
    new = "train.task = @Detection\nDetection.detector = @DetectorConfig()\nDetection.losses = @DetectionLosses()\n"
    assert claim(new) == new
    with pytest.raises(InputError, match="train.task was @Detection, is not bound"):
        claim("")


def test_a_tuning_is_recognized_by_its_trials(claim, tmp_path):
    claim(OLD, "tuning")
    save(tmp_path / "run", "trials/0000/result.json")
    with pytest.raises(InputError, match="begun with another configuration"):
        claim("", "tuning")
    with pytest.raises(InputError, match="for a training, but it holds a tuning"):
        claim(OLD, "training")


@pytest.mark.parametrize(("mark", "what"), [("manifest.json", "an export"), ("saved_model.pb", "an export"), ("journal.jsonl", "a search")])
def test_other_work_in_a_folder_is_not_overwritten(claim, tmp_path, mark, what):
    save(tmp_path / "run", mark)
    with pytest.raises(InputError, match=rf"expected a folder for a training, but it holds {what} \({mark}\)"):
        claim(OLD)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [mark]


@pytest.mark.parametrize("begun", ["checkpoints/last-3.data-00000-of-00001", "trials/0000/config.gin", "journal.jsonl"])
def test_a_folder_where_work_only_began_is_free(claim, tmp_path, begun):
    save(tmp_path / "run", begun)
    (tmp_path / "run" / "journal.jsonl").write_text(BEGUN + REWARDED[:9])  # the last line was cut short by a kill
    assert claim(OLD) == OLD
    assert not (tmp_path / "run" / "journal.jsonl").exists()
    for kind in ("search", "tuning"):
        work_folders.check_kind(tmp_path / "run", kind)
    (tmp_path / "run" / "journal.jsonl").write_text(f"{BEGUN}half\n")  # this damaged line may have been a reward
    with pytest.raises(InputError, match="for a tuning, but it holds a search"):
        work_folders.check_kind(tmp_path / "run", "tuning")


@pytest.mark.parametrize("damaged", [b"hello\n", b"\xff = 3\n"])
def test_a_damaged_configuration_is_reported(claim, tmp_path, damaged):
    claim(OLD)
    save(tmp_path / "run")
    (tmp_path / "run" / "config.gin").write_bytes(damaged)
    with pytest.raises(InputError, match="config.gin: damaged; expected the bindings that this folder was begun with"):
        claim(OLD)
    assert (tmp_path / "run" / "config.gin").read_bytes() == damaged


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("search.num_trials", True),
        ("retrain/LocalPool.deadline_seconds", True),
        ("retrain/ImageData.data_dir", True),
        ("RayTasks.num_workers", True),
        ("search.strategy", False),
        ("TrainingConfig.evaluate_every_epochs", False),
        ("retrain/TrainingConfig.epochs", False),
        ("ImageData.shuffle_buffer", False),
    ],
)
def test_only_bindings_that_keep_the_results_may_change(name, expected):
    assert bool(Identity({name: "1"}, table.may_change(is_search=True)).lasting()) != expected


def test_a_second_process_is_refused(claim, tmp_path):
    with (
        work_folders.at_work(tmp_path / "run", "training"),
        pytest.raises(InputError, match="another training is running in this work folder; wait"),
    ):
        claim(OLD)
    assert not (tmp_path / "run" / "config.gin").exists()
    claim(OLD)
    with work_folders.at_work(tmp_path / "run", "search"), pytest.raises(InputError, match="run: a search is running in this work folder"):
        claim(OLD)


def test_a_file_system_without_locks_gives_a_warning(claim, monkeypatch, capsys):
    def flock(file, how):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    claim(OLD)
    assert "cannot be locked (Operation not supported)" in capsys.readouterr().err


def test_a_mistake_leaves_no_folder_behind(tmp_path):
    def mistake(folder, name=None):
        with contextlib.suppress(InputError), work_folders.at_work(folder, "training"):
            (folder / "config.gin").write_text(OLD)
            if name:
                (folder / name).write_text("row")
            raise InputError("a mistake")

    mistake(tmp_path / "new" / "run")
    assert not list(tmp_path.iterdir())
    mistake(tmp_path / "run", "mine.txt")  # other files stay
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]
    (tmp_path / "run" / "config.gin").touch()
    mistake(tmp_path / "run")  # files from before stay too
    assert (tmp_path / "run" / "config.gin").exists()


@pytest.mark.parametrize("reward", ["", REWARDED])
def test_a_mistake_removes_work_that_only_began(tmp_path, reward):
    with contextlib.suppress(InputError), work_folders.at_work(tmp_path / "run", "search"):
        (tmp_path / "run" / "children").mkdir()
        (tmp_path / "run" / "children" / "trial_00000.log").touch()
        (tmp_path / "run" / "journal.jsonl").write_text(BEGUN + reward)
        raise InputError("a mistake")
    assert {path.name for path in tmp_path.glob("run/*")} == ({"children", "journal.jsonl", "lock"} if reward else set())
    assert (tmp_path / "run").exists() == bool(reward)


def test_workers_share_a_folder(claim, tmp_path, monkeypatch):
    """Only the chief worker locks and writes."""
    claim(OLD)
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}')
    with work_folders.at_work(tmp_path / "run", "training"):
        assert claim("other") == OLD
