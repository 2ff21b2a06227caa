# SPDX-License-Identifier: Apache-2.0
"""Steps of the pipeline: a span that people see while it runs, and a failure that says which step and what happened."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import dagger
from opentelemetry import trace

from cowabungaai.errors import PipelineError, StepError
from cowabungaai.report import LeftOut

Result = TypeVar("Result")
TAIL_LINES = 20
# The engine does as much at once as it can; this only keeps what a call has under way from growing with the catalog.
AT_ONCE = 16

tracer = trace.get_tracer("cowabungaai")


@asynccontextmanager
async def step(title: str) -> AsyncIterator[None]:
    """Run a step.

    Args:
        title: What is done to which service, such as "build api".

    Raises:
        StepError: A program in a container failed; the message holds the step, the command and the end of its output.
    """
    with tracer.start_as_current_span(title):
        try:
            yield
        except dagger.ExecError as error:
            output = "\n".join(filter(None, (error.stdout.strip(), error.stderr.strip())))
            tail = "\n".join(output.splitlines()[-TAIL_LINES:])
            command = shlex.join(error.command)
            raise StepError(f"{title}: {command} ended with exit code {error.exit_code}:\n{tail}") from error
        except dagger.QueryError as error:
            raise StepError(f"{title}: {error}") from error


async def outcomes(
    verb: str, names: Iterable[str], action: Callable[[str], Awaitable[Result]], at_once: int = AT_ONCE
) -> dict[str, Result | PipelineError]:
    """Run a step for every service side by side, and tell of each how it ended.

    Args:
        verb: What is done, such as "build".
        names: The services.
        action: Does it for one.
        at_once: For how many at a time.

    Returns:
        Service to result, or to what went wrong, in the order of the names.
    """
    ordered = list(names)
    ended: dict[str, Result | PipelineError] = {}
    places = anyio.CapacityLimiter(at_once)

    async def one(name: str) -> None:
        try:
            async with places, step(f"{verb} {name}"):
                ended[name] = await action(name)
        except PipelineError as error:
            ended[name] = error

    async with anyio.create_task_group() as group:
        for name in ordered:
            group.start_soon(one, name)
    return {name: ended[name] for name in ordered}


async def for_each(
    verb: str, names: Iterable[str], action: Callable[[str], Awaitable[Result]], at_once: int = AT_ONCE
) -> dict[str, Result]:
    """Run a step for every service side by side; all are finished before a failure is told.

    Args:
        verb: What is done, such as "build".
        names: The services.
        action: Does it for one.
        at_once: For how many at a time.

    Returns:
        Service to result, in the order of the names.

    Raises:
        StepError: It failed for one or more; the message tells for which, and why, and how the others fared.
    """
    ended = await outcomes(verb, names, action, at_once)
    failures = [str(outcome) for outcome in ended.values() if isinstance(outcome, PipelineError)]
    done = {name: outcome for name, outcome in ended.items() if not isinstance(outcome, PipelineError)}
    if failures:
        left_out = {name: outcome.reason for name, outcome in done.items() if isinstance(outcome, LeftOut)}
        well = [name for name in done if name not in left_out]
        others = [f"{verb}: left out {name}: {reason}" for name, reason in left_out.items()]
        others += [f"{verb}: nothing wrong with {', '.join(well)}"] if well else []
        raise StepError("\n".join([*failures, *others]))
    return done
