# SPDX-License-Identifier: Apache-2.0
"""Takes the measures of the pipeline."""

from __future__ import annotations

import secrets
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import sandbox
from bench.launcher import Launcher
from bench.measure import UNCHANGED_GOAL_SECONDS, Taken, all_of, repeat
from bench.pipeline import BOTH_WAYS, SERVICE, predecessor
from bench.report import Measure
from cowabunga import console
from shared.vulnerabilities import ELSEWHERE, build

LOAD_GOAL_SECONDS = 3
FASTER_GOAL = 5


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        repeats: Rounds of each warm measure.
        cold: Whether each job is also run on an empty engine.
        both_ways: Services that are packaged by the predecessor's way, too, beside ours.
    """

    repeats: int = 5
    cold: bool = False
    both_ways: tuple[str, ...] = BOTH_WAYS


@dataclass(frozen=True)
class Job:
    """A function of the module.

    Attributes:
        name: As it is typed.
        arguments: Of the launcher, up to where the report goes.
        goal: Seconds of an unchanged run.
    """

    name: str
    arguments: tuple[str, ...]
    goal: float = UNCHANGED_GOAL_SECONDS

    def run(self, launcher: Launcher, output: Path) -> float:
        """Run it; seconds of the whole command."""
        if self.name == "build-all":
            return launcher.run("build-all", "--output", output / "dist")
        return launcher.run("dagger", "call", *self.arguments, "export", "--path", output / self.name)


def jobs(database: Path) -> list[Job]:
    """What is measured.

    Args:
        database: Of vulnerabilities.
    """
    return [
        Job("build-all", ()),
        Job("test-all", ("test-all",)),
        Job("scan-all", ("scan-all", "--db", str(database))),
    ]


def take(plan: Plan, launcher: Launcher, cache: Path) -> Taken:
    """Take all measures of a plan; what fails leaves the others as they are.

    Args:
        plan: What is to be measured.
        launcher: Of the checkout that is measured.
        cache: The launcher's cache.
    """
    with tempfile.TemporaryDirectory(prefix="cowabunga-bench-") as folder:
        output = Path(folder)
        with console.step("making a vulnerability database", "bench-database"):
            (output / "database").mkdir()
            wanted = jobs(build(output / "database", ELSEWHERE))
        parts: dict[str, Callable[[], list[Measure]]] = {
            "loading of the module": lambda: [loading(launcher, plan.repeats)],
            **{job.name: partial(warm, job, launcher, output, plan.repeats) for job in wanted},
        }
        if plan.both_ways:
            parts["the predecessor's way"] = lambda: beside(launcher, output, plan)
        if plan.cold:
            parts["cold runs"] = lambda: cold(wanted, launcher, output, cache)
        taken = all_of(parts)
    return Taken(tuple(sorted(taken.measures, key=lambda measure: measure.group != "cold")), taken.failures)


def loading(launcher: Launcher, repeats: int) -> Measure:
    """Seconds until the module's functions are known."""
    launcher.run("dagger", "functions")
    samples = repeat("loading the module", "bench-load", repeats, lambda: launcher.run("dagger", "functions"))
    note = "`dagger functions`: launcher, command line, sources to the engine, types of the module."
    return Measure(
        key="module.load",
        title="Loading of the module",
        group="warm",
        unit="seconds",
        samples=samples,
        goal=LOAD_GOAL_SECONDS,
        note=note,
    )


def warm(job: Job, launcher: Launcher, output: Path, repeats: int) -> list[Measure]:
    """Seconds of a job when nothing has changed, and after a line of one service has.

    Args:
        job: Which.
        launcher: Of the checkout.
        output: Gets reports.
        repeats: Rounds.
    """
    with sandbox.copy_of(launcher.checkout) as copy:
        inside = launcher.within(copy)
        with console.step(f"{job.name} once, so that all is in the cache", f"bench-{job.name}"):
            job.run(inside, output)
        line = sandbox.ChangingLine(copy, SERVICE)

        def changed() -> float:
            # Random, since the engine still knows the lines of earlier benchmarks.
            line.change(secrets.token_hex(8))
            return job.run(inside, output)

        key = f"bench-{job.name}"
        unchanged = repeat(f"unchanged {job.name}", f"{key}-unchanged", repeats, lambda: job.run(inside, output))
        after = repeat(f"{job.name} after a new line", f"{key}-changed", repeats, changed)
    return [
        Measure(
            key=f"{job.name}.unchanged",
            title=f"Unchanged {job.name}",
            group="warm",
            unit="seconds",
            samples=unchanged,
            goal=job.goal,
            note="The whole command, with loading of the module and export of what it returns.",
        ),
        Measure(
            key=f"{job.name}.changed",
            title=f"{job.name} after one new line",
            group="warm",
            unit="seconds",
            samples=after,
            note=f"Each time with another line in a source file of {SERVICE}.",
        ),
    ]


def cold(wanted: list[Job], launcher: Launcher, output: Path, cache: Path) -> list[Measure]:
    """Seconds of each job, one after the other, on an engine that has built nothing yet."""
    measures = []
    with sandbox.empty_cache(cache, launcher) as home:
        alone = launcher.with_cache(home)
        with console.step("starting an engine with an empty cache", "bench-engine"):
            alone.run("engine", "up")
        for job in wanted:
            samples = repeat(f"cold {job.name}", f"bench-{job.name}-cold", 1, partial(job.run, alone, output))
            note = "On an empty engine, after the ones before it in this list; tools and base images were there."
            measures.append(
                Measure(
                    key=f"{job.name}.cold",
                    title=f"Cold {job.name}",
                    group="cold",
                    unit="seconds",
                    samples=samples,
                    note=note,
                )
            )
    return measures


def beside(launcher: Launcher, output: Path, plan: Plan) -> list[Measure]:
    """Seconds from a new line to a Zarf package without weights: ours and the predecessor's, service by service."""
    zarf = output / "zarf"
    with console.step("compiling zarf", "bench-zarf"):
        launcher.run("dagger", "call", "tool", "--name", "zarf", "export", "--path", zarf)
    zarf.chmod(0o755)
    (folder := output / "predecessor").mkdir()
    with sandbox.copy_of(launcher.checkout) as copy, predecessor.ready(folder, zarf) as other:
        inside = launcher.within(copy)
        return [
            measure
            for service in plan.both_ways
            for measure in _both_ways(inside, other, service, output / "package.tar.zst", plan.repeats)
        ]


def _both_ways(
    inside: Launcher, other: predecessor.Predecessor, service: str, target: Path, repeats: int
) -> list[Measure]:
    copy = inside.checkout
    line = sandbox.ChangingLine(copy, service)
    arguments = ("--service", service, "--without-weights", "export", "--path", str(target))
    ways: list[tuple[str, Callable[[], float]]] = [
        ("ours", lambda: inside.run("dagger", "call", "package", *arguments)),
        ("theirs", lambda: other.package(copy, service)),
    ]
    with console.step(f"each way once for {service}, so that all is in the caches", "bench-ways"):
        for _, way in ways:
            way()
    samples: dict[str, list[float]] = {name: [] for name, _ in ways}
    for number in range(1, repeats + 1):
        line.change(secrets.token_hex(8))
        # In turns, so that what disturbs one disturbs the other.
        for name, way in ways if number % 2 else ways[::-1]:
            doing = f"a package of {service} after a new line, {name}, {number} of {repeats}"
            samples[name] += repeat(doing, f"bench-{name}", 1, way)
    ratios = [theirs / ours for ours, theirs in zip(samples["ours"], samples["theirs"], strict=True)]
    faster = f"{statistics.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})"
    goal = f"the goal is a {FASTER_GOAL}th of the predecessor's time"
    return [
        Measure(
            key=f"package.{service}.changed",
            title=f"A package of {service} after one new line",
            group="warm",
            unit="seconds",
            samples=tuple(samples["ours"]),
            goal=round(statistics.median(samples["theirs"]) / FASTER_GOAL, 2),
            note=f"`package --service {service} --without-weights`, {faster}; {goal}.",
        ),
        Measure(
            key=f"predecessor.{service}.changed",
            title="The same by docker build, docker push and zarf",
            group="warm",
            unit="seconds",
            samples=tuple(samples["theirs"]),
            note="Debian's docker with BuildKit, a registry on this machine, zarf package create; no weights.",
        ),
    ]
