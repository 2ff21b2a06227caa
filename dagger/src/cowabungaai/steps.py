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

Result = TypeVar("Result")
TAIL_LINES = 20

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


async def for_each(
    verb: str, names: Iterable[str], action: Callable[[str], Awaitable[Result]], at_once: int | None = None
) -> dict[str, Result]:
    """Run a step for every service side by side; all are finished before a failure is told.

    Args:
        verb: What is done, such as "build".
        names: The services.
        action: Does it for one.
        at_once: For how many at a time; None means all.

    Returns:
        Service to result, in the order of the names.

    Raises:
        StepError: It failed for one or more; the message tells for which, and why.
    """
    ordered = list(names)
    results: dict[str, Result] = {}
    failures: dict[str, str] = {}
    places = anyio.CapacityLimiter(at_once or max(1, len(ordered)))

    async def one(name: str) -> None:
        try:
            async with places, step(f"{verb} {name}"):
                results[name] = await action(name)
        except PipelineError as error:
            failures[name] = str(error)

    async with anyio.create_task_group() as group:
        for name in ordered:
            group.start_soon(one, name)
    if failures:
        raise StepError("\n".join(failures[name] for name in ordered if name in failures))
    return {name: results[name] for name in ordered}
