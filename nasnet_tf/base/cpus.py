"""Counts the CPUs that this process may use, which can be fewer than the machine has."""

import math
import os
import pathlib

_ROOT = pathlib.Path("/")


def available_cpus() -> int:
    """Returns the number of CPUs in the process's affinity mask, or the CPU quota of its control group if that is smaller.

    Containers and batch systems set such quotas.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, quota() or affinity)


def quota(root: pathlib.Path = _ROOT) -> int | None:
    """Returns the CPU quota of this process's control groups, rounded up to whole CPUs; None if there is no limit.

    The lowest limit among the group itself and all groups above it applies. Handles control groups of version 1, version 2, or both.

    Args:
      root: root of the file system; tests pass another folder.
    """
    limits = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mount, limit = root / "sys/fs/cgroup", _limit_of_version_2
        elif "cpu" in controllers.split(","):
            mount, limit = root / "sys/fs/cgroup" / controllers, _limit_of_version_1
        else:
            continue
        # Inside a container, the path can be that of the host, where only the mount point itself exists.
        group = mount / path.strip("/")
        limits += [limit(folder) for folder in (group, *group.parents) if folder == mount or mount in folder.parents]
    limits = [limit for limit in limits if limit is not None]
    return max(1, math.ceil(min(limits))) if limits else None


def _limit_of_version_2(group: pathlib.Path) -> float | None:
    allowed, _, period = _read(group / "cpu.max").partition(" ")
    return int(allowed) / int(period) if allowed.isdigit() else None  # "max" means no limit


def _limit_of_version_1(group: pathlib.Path) -> float | None:
    allowed, period = (_read(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return int(allowed) / int(period) if allowed.isdigit() and period.isdigit() else None  # -1 means no limit


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
