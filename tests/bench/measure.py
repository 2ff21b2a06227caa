# SPDX-License-Identifier: Apache-2.0
"""Takes the measures. Each function takes one, or one kind, and says in its note what is counted."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import yaml

from bench import sandbox
from bench.launcher import Build, Launcher
from bench.report import Group, Measure
from cowabunga import console
from cowabunga.errors import CowabungaError, JobError

# The smallest service: what is measured on it is the pipeline, not the service.
SERVICE = "repeater"
UNCHANGED_GOAL_SECONDS = 10
PACKAGE_GOAL_BYTES = 20_000_000
PACKAGE_LIMIT_BYTES = 20_000_000


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        repeats: Runs of each warm measure.
        cold: Whether everything is also built on an empty engine.
        package: Whether the Zarf package is made.
    """

    repeats: int = 5
    cold: bool = True
    package: bool = True


@dataclass(frozen=True)
class Failure:
    """A part of the plan that could not be measured, and why."""

    part: str
    error: CowabungaError


@dataclass(frozen=True)
class Taken:
    """The measures, in the order of the page, and what could not be measured."""

    measures: tuple[Measure, ...]
    failures: tuple[Failure, ...]


def all_of(parts: Mapping[str, Callable[[], list[Measure]]]) -> Taken:
    """Take the measures of each part; what fails leaves the others as they are.

    Args:
        parts: By what messages call them.
    """
    measures: list[Measure] = []
    failures: list[Failure] = []
    for name, part in parts.items():
        try:
            measures += part()
        except CowabungaError as error:
            console.show_error(error)
            failures.append(Failure(name, error))
    return Taken(tuple(measures), tuple(failures))


def take(plan: Plan, launcher: Launcher, cache: Path) -> Taken:
    """Take all measures of a plan; what fails leaves the others as they are.

    Args:
        plan: What is to be measured.
        launcher: Of the checkout that is measured.
        cache: The launcher's cache.

    Raises:
        CowabungaError: Even the first build failed, so nothing can be measured.
    """
    with tempfile.TemporaryDirectory(prefix="cowabunga-bench-") as folder:
        output = Path(folder)
        with console.step("building all services once, so that all is in the cache", "bench-warm"):
            built = launcher.build_all(output)
        parts: dict[str, Callable[[], list[Measure]]] = {
            "unchanged build-all": lambda: [unchanged(launcher, output, plan.repeats)],
            "build-all after one new line": lambda: [changed(launcher, output, plan.repeats)],
            "images": lambda: images(launcher.checkout, built),
        }
        if plan.package:
            parts["package"] = lambda: [package(launcher, output)]
        if plan.cold:
            parts["cold build-all"] = lambda: [cold(launcher, output, cache)]
        taken = all_of(parts)
    groups = get_args(Group)
    return Taken(tuple(sorted(taken.measures, key=lambda measure: groups.index(measure.group))), taken.failures)


def unchanged(launcher: Launcher, output: Path, repeats: int) -> Measure:
    """Seconds of a build-all after which nothing is new; a first run must have filled the cache."""
    anew: set[str] = set()

    def once() -> float:
        build = launcher.build_all(output)
        anew.update(row["service"] for row in build.services if not row["cached"])
        return build.seconds

    samples = repeat("unchanged build-all", "bench-unchanged", repeats, once)
    counted = "The whole command: launcher, loading of the module, build, export of all archives."
    return Measure(
        key="build-all.unchanged",
        title="Unchanged build-all",
        group="warm",
        unit="seconds",
        samples=samples,
        goal=UNCHANGED_GOAL_SECONDS,
        note=counted + (f" Not from the cache, though unchanged: {', '.join(sorted(anew))}." if anew else ""),
    )


def changed(launcher: Launcher, output: Path, repeats: int) -> Measure:
    """Seconds of a build-all after a new line in one service, in a copy of the checkout.

    Raises:
        JobError: The change did not reach the build.
    """
    with sandbox.copy_of(launcher.checkout) as copy:
        inside = launcher.within(copy)
        with console.step("building a copy of the checkout once", "bench-copy"):
            inside.build_all(output)
        line = sandbox.ChangingLine(copy, SERVICE)

        def once() -> float:
            # Random, since the engine still knows the lines of earlier benchmarks.
            line.change(secrets.token_hex(8))
            build = inside.build_all(output)
            if build.row(SERVICE)["cached"]:
                raise JobError(f"a new line in {line.file.relative_to(copy)} did not make {SERVICE} be built anew")
            return build.seconds

        samples = repeat(f"build-all after a new line in {SERVICE}", "bench-changed", repeats, once)
    return Measure(
        key="build-all.changed",
        title="Build-all after one new line",
        group="warm",
        unit="seconds",
        samples=samples,
        note=f"The whole command, each time with another line in a source file of {SERVICE}.",
    )


def cold(launcher: Launcher, output: Path, cache: Path) -> Measure:
    """Seconds of a build-all on an engine that has built nothing yet; it is a private one, removed afterwards."""
    with sandbox.empty_cache(cache, launcher) as home:
        alone = launcher.with_cache(home)
        with console.step("starting an engine with an empty cache", "bench-engine"):
            alone.run("engine", "up")

        def once() -> float:
            build = alone.build_all(output)
            if known := [row["service"] for row in build.services if row["cached"]]:
                raise JobError(f"the new engine had {', '.join(known)} in its cache, so this was no cold build")
            return build.seconds

        samples = repeat("cold build-all", "bench-cold", 1, once)
    return Measure(
        key="build-all.cold",
        title="Cold build-all",
        group="cold",
        unit="seconds",
        samples=samples,
        note="On a running engine with an empty cache. Tools and base images were there; packages came from mirrors.",
    )


def images(checkout: Path, build: Build) -> list[Measure]:
    """Bytes of every image archive; the limit is the budget that the service sets itself."""
    return [
        Measure(
            key=f"image.{row['service']}",
            title=f"Image of {row['service']}",
            group="images",
            unit="bytes",
            samples=(row["size"],),
            limit=_budget(checkout / "services" / row["service"] / "service.yaml"),
            note="OCI archive; the limit is image.budget_mb of its service.yaml.",
        )
        for row in build.services
    ]


def package(launcher: Launcher, output: Path) -> Measure:
    """Bytes of a Zarf package."""
    file = output / f"{SERVICE}.tar.zst"
    with console.step(f"making the Zarf package of {SERVICE}", "bench-package"):
        launcher.run("dagger", "call", "package", "--service", SERVICE, "export", "--path", file)
    return Measure(
        key=f"package.{SERVICE}",
        title=f"Zarf package of {SERVICE}",
        group="packages",
        unit="bytes",
        samples=(file.stat().st_size,),
        goal=PACKAGE_GOAL_BYTES,
        limit=PACKAGE_LIMIT_BYTES,
        note="Image, chart and manifest, as it is carried into an enclave.",
    )


def _budget(file: Path) -> float:
    megabytes: float = yaml.safe_load(file.read_text())["image"]["budget_mb"]
    return megabytes * 1_000_000


def repeat(title: str, key: str, repeats: int, once: Callable[[], float]) -> tuple[float, ...]:
    """Take a measure several times, each a step that people see.

    Args:
        title: What is done.
        key: Names how long it takes, for the next time.
        repeats: How often.
        once: Takes it: a number of seconds, or of bytes.
    """
    samples = []
    for number in range(1, repeats + 1):
        with console.step(title if repeats == 1 else f"{title}, {number} of {repeats}", key):
            samples.append(round(once(), 3))
    return tuple(samples)
