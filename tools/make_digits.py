"""Writes the handwritten digits that ship with the package, as a prepared TensorFlow Datasets folder.

    python tools/make_digits.py

The images are scikit-learn's copy of a real data set. Another run writes identical bytes. The script needs scikit-learn.
"""

import argparse
import pathlib

import numpy as np
import sklearn.datasets
import sklearn.model_selection
import tensorflow as tf
import tensorflow_datasets as tfds

FOLDER = pathlib.Path(__file__).parent.parent / "nasnet_tf" / "data" / "digits"
NUM_TEST = 360  # a fifth, leaving 1,437 to train on
GREY_LEVELS = 16  # pixels count the ink in 4x4 pixels of a scan, 0..16

DESCRIPTION = """\
1,797 handwritten digits of 13 people, 8x8 pixels in gray: the test set of "Optical Recognition of Handwritten Digits" in the UCI Machine
Learning Repository, as copied by scikit-learn (sklearn.datasets.load_digits), levels 0..16 scaled to 0..255. The split into 1,437 training
and 360 test images is our own, by digit. The same people wrote both parts, so accuracies are higher than on unseen writers.
"""
LICENSE = "Creative Commons Attribution 4.0 International (CC BY 4.0): https://creativecommons.org/licenses/by/4.0/"
HOMEPAGE = "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits"
CITATION = """\
@misc{alpaydin1998optical,
  author = {Alpaydin, E. and Kaynak, C.},
  title = {Optical Recognition of Handwritten Digits},
  year = {1998},
  howpublished = {UCI Machine Learning Repository},
  doi = {10.24432/C50P49}
}
"""


def make_digits(folder: pathlib.Path) -> None:
    """Writes `digits-{train,test}.tfrecord-*` and their description into the folder, and overwrites existing ones."""
    digits = sklearn.datasets.load_digits()
    images = np.round(digits.images * (255 / GREY_LEVELS)).astype(np.uint8)
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"), "label": tfds.features.ClassLabel(num_classes=10)}
    )
    train, test = sklearn.model_selection.train_test_split(
        np.arange(len(images)), test_size=NUM_TEST, stratify=digits.target, random_state=0
    )
    folder.mkdir(parents=True, exist_ok=True)
    split_infos = []
    template = tfds.core.ShardedFileTemplate(folder, dataset_name="digits", filetype_suffix="tfrecord")
    for split, indices in (("train", train), ("test", test)):
        records = []
        for index in indices:
            example = tf.train.Example()
            example.features.feature["image"].bytes_list.value.append(tf.io.encode_png(images[index][:, :, None]).numpy())
            example.features.feature["label"].int64_list.value.append(digits.target[index])
            # TFDS' own serialization orders the two features differently in each process, so it is not deterministic.
            records.append(example.SerializeToString(deterministic=True))
        with tf.io.TFRecordWriter(str(folder / f"digits-{split}.tfrecord-00000-of-00001")) as writer:
            for record in records:
                writer.write(record)
        split_infos.append(
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[len(records)],
                num_bytes=sum(map(len, records)),
                filename_template=template.replace(split=split),
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=features,
        split_infos=split_infos,
        version="1.0.0",
        description=DESCRIPTION,
        license=LICENSE,
        homepage=HOMEPAGE,
        citation=CITATION,
        supervised_keys=("image", "label"),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER)
    make_digits(parser.parse_args().folder)
