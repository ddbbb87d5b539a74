"""Runs the dry run of every shipped recipe with smaller networks and local data."""

import gin
import pytest

from nasnet_tf.genotype import format_genotype
from nasnet_tf.recipes import reading, table, training
from nasnet_tf.recipes.search import search_job
from nasnet_tf.testing import coco_folder, parse_shipped, smallest_genotype

SHARED = {"cifar10.gin", "digits.gin", "imagenet.gin", "detector.gin", "coco.gin"}  # included by other recipes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a data set of images with boxes, and a genotype."""
    root = tmp_path_factory.mktemp("dry_runs")
    coco_folder(root / "boxes", {"train": 20, "val": 2, "train2017": 20, "val2017": 2})
    (root / "smallest.textproto").write_text(format_genotype(smallest_genotype()))
    return root


def smaller(shipped, folder):
    """Yields bindings that make a recipe small and give it data."""
    yield from ("NetworkConfig.cells_per_stack = 1", "NetworkConfig.filters = 8", "NetworkConfig.penultimate_filters = None")
    yield "TrainingConfig.batch_size = 2"
    if "train.task" in shipped:
        yield f"DetectionData.source = 'coco:{folder / 'boxes'}'"
        yield from ("DetectionData.image_size = 64", "DetectorConfig.num_proposals = 5", "DetectorConfig.crop_size = 5")
    else:
        yield from ("ImageData.source = 'digits'", "ImageData.train_split = 'train'")
        yield f"ImageData.validation_examples = {100 if shipped.get('ImageData.validation_examples', '0') != '0' else 0}"
        yield f"{shipped['ImageData.preprocessing'].strip('@()')}.image_size = 20"
    if "search.space" in shipped:
        yield "SearchSpace.num_blocks = 1"
        return
    yield f"train.genotype = '{folder / 'smallest.textproto'}'"
    if "train.network" not in shipped:  # the network comes from the weights, which have other cells
        yield from ("train.network = @NetworkConfig()", "NetworkConfig.stem = 'imagenet'", "NetworkConfig.stem_multiplier = 1.0")


@pytest.mark.parametrize("recipe", [name for name in reading.recipes() if name not in SHARED])
def test_a_dry_run_describes_the_work_and_writes_nothing(recipe, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "load_features", lambda *rest: None)  # nothing is downloaded
    shipped = parse_shipped(recipe)
    gin.parse_config(list(smaller(shipped, folder)))
    job = search_job(table.bound("search")(), "") if "search.space" in shipped else table.bound("train")()
    plan = job.plan(tmp_path / "run")
    assert " parameters; " in plan
    assert "first batch: float32 [2, " in plan
    assert plan.endswith("nothing was written")
    assert not list(tmp_path.iterdir())
