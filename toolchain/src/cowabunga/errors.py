# SPDX-License-Identifier: Apache-2.0
"""The launcher's one exception family; every class has its documented exit code.

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | the job itself failed: a build, a test, a scan |
| 2 | wrong usage: an unknown command, option, tool or image; a wrong service.yaml |
| 3 | the machine lacks something that only its owner can install or allow |
| 4 | a package mirror cannot be reached or refused a package |
| 5 | the disk is full |
| 6 | the engine or the cluster did not start, died or does not answer |
| 7 | a port is in use |
| 8 | a pinned version is no longer on the mirror and COWABUNGA_LOCKED=1 forbids another |
| 10 to 49 | of `verify`, `split`, `join`, `diff` and `apply`: courier's own, told by their `--help` |
| 130 | interrupted |
"""

from __future__ import annotations


class CowabungaError(Exception):
    """A failure that the user can understand and act on.

    Args:
        message: What happened, with the name and value of the input.
        hint: What to do about it; empty where nothing sensible can be said.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class JobError(CowabungaError):
    """A build, a test or another job that the user asked for failed."""


class UsageError(CowabungaError):
    """The command line or a configuration file is wrong."""

    exit_code = 2


class HostError(CowabungaError):
    """The machine lacks a program, a capability or a permission."""

    exit_code = 3


class MirrorError(CowabungaError):
    """A package mirror cannot be reached, or refused what was asked of it."""

    exit_code = 4


class DiskFullError(CowabungaError):
    """There is no space left where the cache lives."""

    exit_code = 5


class EngineError(CowabungaError):
    """The engine did not start, died or does not answer."""

    exit_code = 6


class PortInUseError(CowabungaError):
    """A port that is needed is taken by another process."""

    exit_code = 7


class LockedError(CowabungaError):
    """A pinned version is gone, and only pinned versions are allowed."""

    exit_code = 8
