# SPDX-License-Identifier: Apache-2.0
"""Processors by affinity and by a container's quota."""

import os

import pytest

from cowabungaai_sdk.cpus import usable_cpus


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", None), ("50000 100000", 1), ("150000 100000", 2), ("nonsense", None)]
)
def test_processors_by_quota(tmp_path, quota, expected):
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    allowed = len(os.sched_getaffinity(0))
    assert usable_cpus(tmp_path) == min(allowed, expected or allowed)


def test_processors_without_cgroup(tmp_path):
    assert usable_cpus(tmp_path) == len(os.sched_getaffinity(0))
