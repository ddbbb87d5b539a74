"""Checks the number of available CPUs: quotas of control groups and the affinity of the process."""

import os

import pytest

from nasnet_tf.base.cpus import available_cpus, quota


def limits(controllers, quota, period=100000):
    """Returns the files of a group of cgroup v1."""
    return {f"{controllers}/cpu.cfs_quota_us": f"{quota}\n", f"{controllers}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("groups", "files", "cpus"),
    [
        (None, {}, None),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        # The parent group has the smaller limit. For a group outside the mount, the limit of the root counts.
        ("0::/a/b\n", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "800000 100000"}, 2),
        ("0::/not/here\n", {"cpu.max": "400000 100000"}, 4),
        ("5:memory:/x\n4:cpu,cpuacct:/docker/x\n0::/\n", limits("cpu,cpuacct", 150000) | limits("memory", 1, 1), 2),
        ("4:cpu:/\n", limits("cpu", -1), None),
    ],
)
def test_the_lowest_quota_of_the_control_groups_counts(groups, files, cpus, tmp_path):
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()} | ({"proc/self/cgroup": groups} if groups else {})
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota(tmp_path) == cpus


def test_the_affinity_mask_limits_the_cpus():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert available_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)
