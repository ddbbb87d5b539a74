"""Compares this package's IoU, RoI align and non-maximum suppression with torchvision's box_iou, roi_align, nms and batched_nms.

    python tools/torchvision_check.py ours.npz             # with this package: writes random inputs and its outputs
    python tools/torchvision_check.py ours.npz --compare   # in another environment that has torch, torchvision and numpy

The second command prints the largest difference of each output, and exits with 1 if one is larger than rounding explains.
"""

import argparse
import pathlib
import sys

import numpy as np

SIDE, STRIDE, CROP = 200, 16, 7  # side of the image in pixels, stride of the feature map in pixels, side of the crops in cells of the map
PROPOSAL_IOU, IOU, COUNT, CLASSES = 0.7, 0.5, 60, 3
MAX_DIFFERENCE = 1e-4


def ours() -> dict[str, np.ndarray]:
    """Returns {name: value} of the inputs and of this package's outputs; boxes are (ymin, xmin, ymax, xmax) in pixels."""
    import tensorflow as tf  # noqa: PLC0415

    from nasnet_tf.detection import boxes as box_math  # noqa: PLC0415
    from nasnet_tf.detection.pooling import roi_align  # noqa: PLC0415
    from nasnet_tf.detection.postprocessing import detections  # noqa: PLC0415
    from nasnet_tf.detection.proposals import propose  # noqa: PLC0415

    random = np.random.RandomState(0)
    corners = random.uniform(0, SIDE - 40, [2, 400, 2])
    boxes, others = np.concatenate([corners, corners + random.uniform(1, 40, corners.shape)], -1).astype(np.float32)
    scores = random.permutation(400).astype(np.float32) / 400
    features = random.normal(size=[1, SIDE // STRIDE, SIDE // STRIDE, 5]).astype(np.float32)
    logits = random.normal(size=[400, 1 + CLASSES]).astype(np.float32)
    no_codes = np.zeros([400, CLASSES, 4], np.float32)
    proposals, are_real = propose(boxes[None], scores[None], COUNT, 400, PROPOSAL_IOU)
    size = tf.constant([SIDE, SIDE], tf.float32)
    found = detections(boxes[None], tf.ones([1, 400], tf.bool), logits, no_codes, size, 400, IOU, 0.0)
    found = {name: value[0].numpy() for name, value in found.items()}
    return {
        "boxes": boxes,
        "others": others,
        "scores": scores,
        "features": features,
        "probabilities": tf.nn.softmax(logits)[:, 1:].numpy(),
        "ious": box_math.ious(boxes[None], others[None])[0].numpy(),
        "crops": roi_align(features, boxes[None], tf.constant([STRIDE, STRIDE], tf.float32), CROP).numpy(),
        "proposals": proposals[0].numpy()[are_real[0].numpy()],
        **{name: value[: found["num_detections"]] for name, value in found.items() if name != "num_detections"},
    }


def theirs(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns torchvision's outputs for the inputs."""
    import torch  # noqa: PLC0415
    from torchvision import ops  # noqa: PLC0415

    boxes, others = (torch.tensor(given[name][:, [1, 0, 3, 2]]) for name in ("boxes", "others"))
    features = torch.tensor(given["features"].transpose(0, 3, 1, 2))
    crops = ops.roi_align(features, [boxes], CROP, spatial_scale=1 / STRIDE, sampling_ratio=1, aligned=True)
    probabilities = torch.tensor(given["probabilities"])
    labels = torch.arange(CLASSES).repeat(len(boxes))
    kept = ops.batched_nms(boxes.repeat_interleave(CLASSES, 0), probabilities.flatten(), labels, IOU)
    kept = kept[: len(given["detection_scores"])]
    return {
        "ious": ops.box_iou(boxes, others).numpy(),
        "crops": crops.numpy().transpose(0, 2, 3, 1),
        "proposals": given["boxes"][ops.nms(boxes, torch.tensor(given["scores"]), PROPOSAL_IOU).numpy()][:COUNT],
        "detection_boxes": given["boxes"][kept.numpy() // CLASSES] / SIDE,
        "detection_classes": labels[kept].numpy(),
        "detection_scores": probabilities.flatten()[kept].numpy(),
    }


def differences(given: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> dict[str, float]:
    """Returns the largest difference of each output; infinite if the shapes differ."""
    return {
        name: float(np.abs(given[name] - other).max()) if given[name].shape == other.shape else np.inf for name, other in others.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--compare", action="store_true")
    arguments = parser.parse_args()
    if not arguments.compare:
        np.savez(arguments.file, **ours())
        sys.exit()
    stored = dict(np.load(arguments.file))
    found = differences(stored, theirs(stored))
    for key, difference in found.items():
        print(f"{key}: {' x '.join(map(str, stored[key].shape))}, largest difference {difference:.2g}")
    sys.exit(any(difference > MAX_DIFFERENCE for difference in found.values()))
