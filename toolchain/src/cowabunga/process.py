# SPDX-License-Identifier: Apache-2.0
"""Runs other programs: output into a log, and failures told by their cause."""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cowabunga.errors import CowabungaError, DiskFullError, HostError, JobError, MirrorError
from cowabunga.paths import cache_home

FULL_DISK_SIGNS = ("no space left", "disk quota exceeded", "enospc")
MIRROR_SIGNS = (
    "connection refused",
    "could not connect to",
    "unable to connect to",
    "temporary failure resolving",
    "temporary failure in name resolution",
    "name or service not known",
    "could not resolve",
    "no such host",
    "network is unreachable",
    "i/o timeout",
    "connection timed out",
    "failed to establish a new connection",
    "no matching distribution found",
    "because there is no version of",
    "has no usable wheels",
    "403 forbidden",
    "404 not found",
    "410 gone",
    "tls handshake timeout",
    "failed to fetch",
    "error sending request",
    "connection reset by peer",
    "no route to host",
    "certificate verify failed",
    "x509: ",
    "502 bad gateway",
    "503 service unavailable",
    "hash sum mismatch",
)
FULL_DISK = {errno.ENOSPC, errno.EDQUOT}
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
TAIL_LINES = 12
# A child that was asked to end gets this long to clean up.
GRACE_SECONDS = 60


def classify(text: str, fallback: type[CowabungaError] = JobError) -> type[CowabungaError]:
    """The error class that a failed program's output points to."""
    lowered = text.lower()
    if any(sign in lowered for sign in FULL_DISK_SIGNS):
        return DiskFullError
    if any(sign in lowered for sign in MIRROR_SIGNS):
        return MirrorError
    return fallback


def hint_for(kind: type[CowabungaError], log: Path | None) -> str:
    """What to do about a failed program, by the kind of its failure."""
    where = f" Its whole output: {log}" if log else ""
    if kind is DiskFullError:
        return f"Free some space below {cache_home()} (./cowabunga engine prune, ./cowabunga clean), then run it again."
    if kind is MirrorError:
        return f"Check the mirrors that apt, pip and Go are set to (./cowabunga doctor), then run it again.{where}"
    return f"Run it again after mending the cause; finished parts are kept.{where}"


def failure_of(error: OSError) -> CowabungaError:
    """The failure that an error of the operating system is to the user: its file and reason, by its kind.

    Args:
        error: Also one of shutil, which gathers several and knows their numbers only in words.
    """
    several = error.args[0] if isinstance(error, shutil.Error) and isinstance(error.args[0], list) else []
    if several:
        source, _, reason = next((one for one in several if _numbers(one[2]) & FULL_DISK), several[0])
        message = f"{source}: {reason}" + (f", and {len(several) - 1} more" if several[1:] else "")
    else:
        message = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    numbers = _numbers(str(error))
    if numbers & FULL_DISK:
        return DiskFullError(f"no space left: {message}", hint_for(DiskFullError, None))
    kind = HostError if numbers & NOT_ALLOWED else JobError
    return kind(message, hint_for(kind, None))


def _numbers(text: str) -> set[int]:
    return {int(number) for number in re.findall(r"\[Errno (\d+)\]", text)}


def need(program: str) -> str:
    """Path of a program that must be on the machine.

    Raises:
        HostError: It is not; the hint names the Debian package.
    """
    # Programs of the administrator's paths are needed also where an unprivileged PATH lacks them.
    search = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    found = shutil.which(program, path=search)
    if not found:
        raise HostError(f"program {program!r} is not on this machine", "./cowabunga doctor says what to install.")
    return found


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    what: str,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    fallback: type[CowabungaError] = JobError,
) -> None:
    """Run a program with its output appended to a log.

    Args:
        command: Program and arguments.
        log: File that receives standard output and error.
        what: The step's name in an error, such as "building zarf".
        env: Variables added to the environment.
        cwd: Working directory.
        fallback: Error class where the output names no known cause.

    Raises:
        CowabungaError: The program failed; the message holds its last lines.
    """
    arguments = [str(part) for part in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        sink.write(f"$ {shlex.join(arguments)}\n".encode())
        sink.flush()
        start = sink.tell()
        code = run(arguments, stdout=sink, env=env, cwd=cwd)
    if code == 0:
        return
    with log.open("rb") as source:
        source.seek(start)
        tail = source.read().decode(errors="replace").strip().splitlines()[-TAIL_LINES:]
    kind = classify("\n".join(tail), fallback)
    shown = "\n".join(f"    {line}" for line in tail)
    raise kind(f"{what} failed with exit code {code}:\n{shown}", hint_for(kind, log))


def run(
    arguments: Sequence[str],
    *,
    stdout: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    alive: Callable[[], bool] = lambda: True,
    pass_fds: Sequence[int] = (),
) -> int:
    """Run a program to its end; its exit code.

    Where this process is interrupted the program is asked to end too, and gets time to clean up, before the
    interruption goes on.

    Args:
        arguments: Program and arguments.
        stdout: Receives standard output and error; the program has this process's own, and its input, where None.
        env: Variables added to the environment.
        cwd: Working directory.
        alive: Whether what the program talks to is still there; where it is not, the program is ended.
        pass_fds: File descriptors that it inherits.
    """
    with (
        subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL if stdout else None,
            stdout=stdout,
            stderr=subprocess.STDOUT if stdout else None,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            pass_fds=pass_fds,
        ) as process,
        watched(process, alive),
    ):
        return process.wait()


@contextmanager
def watched(process: subprocess.Popen[Any], alive: Callable[[], bool]) -> Iterator[None]:
    """End a process where what it talks to is gone, or where this process is interrupted meanwhile."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1):
            if not alive():
                end(process)
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except BaseException:
        end(process)
        raise
    finally:
        over.set()


def end(process: subprocess.Popen[Any]) -> None:
    """Ask a process to end; kill it where it does not within its grace."""
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def capture(command: Sequence[str | Path], *, timeout: float = 60) -> tuple[int, str]:
    """Exit code and combined output of a short program; 127 where it does not exist, 124 on timeout."""
    try:
        finished = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        return 127, ""
    except subprocess.TimeoutExpired:
        return 124, ""
    return finished.returncode, finished.stdout.decode(errors="replace").strip()
