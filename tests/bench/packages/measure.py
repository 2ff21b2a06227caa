# SPDX-License-Identifier: Apache-2.0
"""Takes the measures of packages."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import sandbox
from bench.launcher import Launcher
from bench.measure import Taken, all_of, repeat
from bench.packages import SERVICE
from bench.report import Measure
from cowabunga import console

# A new version of a service, without new weights.
DELTA_GOAL_BYTES = 5_000_000
BUNDLE = "dev"
CHANGED = {
    "package": f"Package {SERVICE} after a new line",
    "bundle": f"Bundle {BUNDLE} after a new line and the package",
    "diff": "A delta of two packages",
    "apply": "The new package from the old one and the delta",
}


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        repeats: Rounds of each measure of time.
        services: Whose packages; all that have one for CPUs where it is empty.
    """

    repeats: int = 3
    services: tuple[str, ...] = ()


def take(plan: Plan, launcher: Launcher) -> Taken:
    """Take all measures of a plan; what fails leaves the others as they are.

    Args:
        plan: What is to be measured.
        launcher: Of the checkout that is measured.
    """
    with tempfile.TemporaryDirectory(prefix="cowabunga-bench-") as folder:
        output = Path(folder)
        parts: dict[str, Callable[[], list[Measure]]] = {
            "sizes and times": lambda: packages(plan, launcher, output),
            "a new version": lambda: new_versions(launcher, output, plan.repeats),
        }
        return all_of(parts)


def packages(plan: Plan, launcher: Launcher, output: Path) -> list[Measure]:
    """Bytes of every package, and seconds of a run that changes nothing.

    Args:
        plan: What is to be measured.
        launcher: Of the checkout.
        output: Gets the packages.
    """
    target = output / "packages"
    chosen = [f"--services={','.join(plan.services)}"] if plan.services else []
    arguments: tuple[str | Path, ...] = ("dagger", "call", "package-all", *chosen, "export", "--path", target)
    with console.step("packages once, so that all is in the cache", "bench-packages"):
        launcher.run(*arguments)
    told = json.loads((target / "packages.json").read_text())["packages"]
    unchanged = repeat(
        "unchanged package-all", "bench-packages-unchanged", plan.repeats, lambda: launcher.run(*arguments)
    )
    note = "The whole command, with export of all packages."
    return [
        *(sized(package) for package in told),
        *(
            Measure(
                key=f"model.{package['model']['id']}.bytes",
                title=f"Weights of {package['model']['id']}",
                group="packages",
                unit="bytes",
                samples=(package["model"]["size"],),
                note=f"Their image, in the package of {package['service']}; licence {package['model']['licence']}.",
            )
            for package in told
            if package["model"]
        ),
        Measure(
            key="package-all.unchanged",
            title="Unchanged package-all",
            group="warm",
            unit="seconds",
            samples=unchanged,
            note=note,
        ),
    ]


def sized(package: dict[str, Any]) -> Measure:
    """Bytes of a package without weights, against its budget.

    Args:
        package: Its entry of packages.json.
    """
    weights = package["model"]["size"] if package["model"] else 0
    return Measure(
        key=f"package.{package['service']}.bytes",
        title=f"Package {package['service']}",
        group="packages",
        unit="bytes",
        samples=(package["size"] - weights,),
        goal=package["budget"],
        note="With charts and bills of materials, without weights."
        if weights
        else "With charts and bills of materials.",
    )


def new_versions(launcher: Launcher, output: Path, repeats: int) -> list[Measure]:
    """What a new version of a service takes: seconds until package and bundle are there, and bytes to carry.

    Args:
        launcher: Of the checkout.
        output: For packages, bundles and deltas.
        repeats: How many versions.
    """
    seconds: dict[str, list[float]] = {"package": [], "bundle": [], "diff": [], "apply": []}
    bundles: list[int] = []
    deltas: list[int] = []
    with sandbox.copy_of(launcher.checkout) as copy:
        inside = launcher.within(copy)
        line = sandbox.ChangingLine(copy, SERVICE)

        def version(file: Path) -> float:
            line.change(secrets.token_hex(8))
            return inside.run("dagger", "call", "package", "--service", SERVICE, "export", "--path", file)

        def bundled(folder: Path) -> float:
            return inside.run("dagger", "call", "bundle", "--name", BUNDLE, "export", "--path", folder)

        before = output / "0.tar.zst"
        with console.step("a package and a bundle to begin with", "bench-first-package"):
            version(before)
            # What else it holds would be built in the first measurement.
            bundled(output / "0-bundle")
        for number in range(1, repeats + 1):
            with console.step(f"a new version, {number} of {repeats}", "bench-new-version"):
                after, bundle, file = (output / f"{number}{ending}" for ending in (".tar.zst", "-bundle", ".delta"))
                seconds["package"].append(version(after))
                seconds["bundle"].append(bundled(bundle))
                bundles.append(sum(found.stat().st_size for found in bundle.glob("*.tar.zst")))
                seconds["diff"].append(launcher.run("diff", before, after, "--differential", file))
                deltas.append(file.stat().st_size)
                seconds["apply"].append(launcher.run("apply", before, file, "--output", output / f"{number}-applied"))
                before = after
    return [
        Measure(
            key=f"delta.{SERVICE}.bytes",
            title=f"Delta of a new version of {SERVICE}",
            group="packages",
            unit="bytes",
            samples=tuple(deltas),
            goal=DELTA_GOAL_BYTES,
            note="Another line in a source file; what `./cowabunga diff --differential` makes, and `apply` needs.",
        ),
        Measure(
            key=f"bundle.{BUNDLE}.bytes",
            title=f"Bundle {BUNDLE}",
            group="packages",
            unit="bytes",
            samples=tuple(bundles),
            note="With all packages in it.",
        ),
        *(
            Measure(
                key=f"{name}.changed",
                title=CHANGED[name],
                group="warm",
                unit="seconds",
                samples=tuple(round(one, 3) for one in taken),
                note=f"The whole command, after another line in a source file of {SERVICE}.",
            )
            for name, taken in seconds.items()
        ),
    ]
