"""The time that each kind of operation takes in a training step and in inference, measured by TensorFlow's profiler."""

import collections
import pathlib
import tempfile
from collections.abc import Callable

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from tools.bench.inference_rows import graph
from tools.bench.networks import find_case
from tools.bench.timing import Options, Row, alone

_LISTED = 15  # kinds with a row of their own; the rest share one


def measure(options: Options) -> list[Row]:
    """Returns a row for each kind of operation: its seconds in one call, summed over all threads."""
    rows = []
    for what, function in (("training step", training), ("inference", inference)):
        found = alone(function, options.rounds, options.quick)
        total = sum(found.values())
        rows += [Row(f"{what}, mobile, batch 32: {kind}, {cost / total:.1%}", "s", {"ours": [[cost]]}) for kind, cost in found.items()]
    return rows


def training(rounds: int, quick: bool):
    """Returns the times of a training step; see `by_kind`."""
    case = find_case("mobile", quick)
    return by_kind(case.our_step(case.batch(4 if quick else 32)), rounds)


def inference(rounds: int, quick: bool):
    """Returns the times of inference; see `by_kind`."""
    case = find_case("mobile", quick)
    return by_kind(graph(case.ours(), case.batch(4 if quick else 32)[0]), rounds)


def by_kind(call: Callable[[], object], rounds: int) -> dict[str, float]:
    """Returns {kind of operation: seconds in one call}, the largest first. Kinds that are not listed are summed as "others"."""
    call()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(rounds):
            call()
        tf.profiler.experimental.stop()
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(path.read_bytes())
    seconds = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                kind = plane.event_metadata[event.metadata_id]
                if kind.display_name and kind.name.endswith(f":{kind.display_name}"):  # "name of the operation:its kind"
                    seconds[kind.display_name] += event.duration_ps / 1e12 / rounds
    listed = dict(seconds.most_common(_LISTED))
    rest = seconds.total() - sum(listed.values())
    return listed | {"others": rest} if len(seconds) > _LISTED else listed
