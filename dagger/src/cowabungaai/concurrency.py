"""Runs the same step for many services side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio
import dagger

from cowabungaai.errors import PipelineError, StepError

Result = TypeVar("Result")


async def for_each(step: str, names: Iterable[str], action: Callable[[str], Awaitable[Result]]) -> dict[str, Result]:
    """Run a step for every service; all are finished before a failure is told.

    Args:
        step: What is done, such as "build".
        names: The services.
        action: Does it for one.

    Returns:
        Service to result, in the order of the names.

    Raises:
        StepError: It failed for one or more; the message tells for which, and why.
    """
    ordered = list(names)
    results: dict[str, Result] = {}
    failures: dict[str, str] = {}

    async def one(name: str) -> None:
        try:
            results[name] = await action(name)
        except (PipelineError, dagger.QueryError) as error:
            failures[name] = str(error)

    async with anyio.create_task_group() as group:
        for name in ordered:
            group.start_soon(one, name)
    if failures:
        raise StepError("\n".join(f"{step} {name}: {failures[name]}" for name in ordered if name in failures))
    return {name: results[name] for name in ordered}
