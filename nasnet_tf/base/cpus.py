"""How many CPUs this process may use: not always those of the machine."""

import math
import os
import pathlib

_ROOT = pathlib.Path("/")


def available_cpus() -> int:
    """CPUs of the process' affinity mask, or fewer where its control group (a container's, a batch system's) has a smaller quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(affinity, quota() or affinity)


def quota(root: pathlib.Path = _ROOT) -> int | None:
    """CPUs that the control groups of this process leave it, rounded up; None without a limit.

    The tightest limit counts, be it the group's own or that of one above it. Version 2 and version 1 groups, and both at once.

    Args:
      root: of the file system, for tests.
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
        # Inside a container the path may be the one outside, of which only the mount itself is there.
        group = mount / path.strip("/")
        limits += [limit(folder) for folder in (group, *group.parents) if folder == mount or mount in folder.parents]
    limits = [limit for limit in limits if limit is not None]
    return max(1, math.ceil(min(limits))) if limits else None


def _limit_of_version_2(group: pathlib.Path) -> float | None:
    allowed, _, period = _read(group / "cpu.max").partition(" ")
    return int(allowed) / int(period) if allowed.isdigit() else None  # "max" without a limit


def _limit_of_version_1(group: pathlib.Path) -> float | None:
    allowed, period = (_read(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return int(allowed) / int(period) if allowed.isdigit() and period.isdigit() else None  # -1 without a limit


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
