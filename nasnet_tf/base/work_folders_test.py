"""To whom a work folder belongs: nobody before something was saved there; who is at work in it; what may change."""

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
    """(configuration, kind) -> claims and leaves; the text of config.gin then."""

    def take(config_text, kind="training"):
        with folders.claimed(tmp_path / "run", config_text, kind) as workdir:
            return (workdir / "config.gin").read_text()

    return take


def save(folder, name="checkpoints/last-3.index"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(BEGUN + REWARDED if name == "journal.jsonl" else "x")


def test_nothing_belongs_to_anybody_before_something_is_saved(claim, tmp_path):
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


def test_what_is_not_bound_is_the_default(claim, tmp_path):
    """Folders from before there was a parameter go on, and so do those whose recipe said what goes without saying."""
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
        claim(f"{OLD}other/TrainingConfig.ema_decay = None\n")  # it was what it is outside of the scope


def test_a_folder_with_the_bindings_of_before_goes_on(claim, tmp_path):
    claim("train.detector = @DetectorConfig()\ntrain.detection_losses = @DetectionLosses()\n")
    save(tmp_path / "run")
    new = "train.task = @Detection\nDetection.detector = @DetectorConfig()\nDetection.losses = @DetectionLosses()\n"
    assert claim(new) == new
    with pytest.raises(InputError, match="train.task was @Detection, is not bound"):
        claim("")


def test_a_tuning_is_kept_by_its_trials(claim, tmp_path):
    claim(OLD, "tuning")
    save(tmp_path / "run", "trials/0000/result.json")
    with pytest.raises(InputError, match="begun with another configuration"):
        claim("", "tuning")
    with pytest.raises(InputError, match="for a training, but it holds a tuning"):
        claim(OLD, "training")


@pytest.mark.parametrize(("mark", "what"), [("manifest.json", "an export"), ("saved_model.pb", "an export"), ("journal.jsonl", "a search")])
def test_what_a_folder_holds_is_not_written_over(claim, tmp_path, mark, what):
    save(tmp_path / "run", mark)
    with pytest.raises(InputError, match=rf"expected a folder for a training, but it holds {what} \({mark}\)"):
        claim(OLD)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [mark]


@pytest.mark.parametrize("begun", ["checkpoints/last-3.data-00000-of-00001", "trials/0000/config.gin", "journal.jsonl"])
def test_what_only_began_is_refused_to_nobody(claim, tmp_path, begun):
    save(tmp_path / "run", begun)
    (tmp_path / "run" / "journal.jsonl").write_text(BEGUN + REWARDED[:9])  # the last line was cut short by a kill
    assert claim(OLD) == OLD
    assert not (tmp_path / "run" / "journal.jsonl").exists()
    for kind in ("search", "tuning"):
        work_folders.check_kind(tmp_path / "run", kind)
    (tmp_path / "run" / "journal.jsonl").write_text(f"{BEGUN}half\n")  # may have been a reward
    with pytest.raises(InputError, match="for a tuning, but it holds a search"):
        work_folders.check_kind(tmp_path / "run", "tuning")


@pytest.mark.parametrize("damaged", [b"hello\n", b"\xff = 3\n"])
def test_a_damaged_configuration_is_told(claim, tmp_path, damaged):
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
def test_harmless(name, expected):
    assert bool(Identity({name: "1"}, table.may_change(is_search=True)).lasting()) != expected


def test_the_second_of_two_is_refused(claim, tmp_path):
    with (
        work_folders.at_work(tmp_path / "run", "training"),
        pytest.raises(InputError, match="another training is running in this work folder; wait"),
    ):
        claim(OLD)
    assert not (tmp_path / "run" / "config.gin").exists()
    claim(OLD)
    with work_folders.at_work(tmp_path / "run", "search"), pytest.raises(InputError, match="run: a search is running in this work folder"):
        claim(OLD)


def test_without_locks_nobody_is_taken_for_another(claim, monkeypatch, capsys):
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
    mistake(tmp_path / "run", "mine.txt")  # what is not ours stays
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]
    (tmp_path / "run" / "config.gin").touch()
    mistake(tmp_path / "run")  # and what was there before
    assert (tmp_path / "run" / "config.gin").exists()


@pytest.mark.parametrize("reward", ["", REWARDED])
def test_a_mistake_takes_back_what_only_began(tmp_path, reward):
    with contextlib.suppress(InputError), work_folders.at_work(tmp_path / "run", "search"):
        (tmp_path / "run" / "children").mkdir()
        (tmp_path / "run" / "children" / "trial_00000.log").touch()
        (tmp_path / "run" / "journal.jsonl").write_text(BEGUN + reward)
        raise InputError("a mistake")
    assert {path.name for path in tmp_path.glob("run/*")} == ({"children", "journal.jsonl", "lock"} if reward else set())
    assert (tmp_path / "run").exists() == bool(reward)


def test_workers_share_a_folder(claim, tmp_path, monkeypatch):
    """Only the chief locks and writes."""
    claim(OLD)
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}')
    with work_folders.at_work(tmp_path / "run", "training"):
        assert claim("other") == OLD
