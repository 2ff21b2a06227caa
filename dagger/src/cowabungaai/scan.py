# SPDX-License-Identifier: Apache-2.0
"""Runs Trivy on images and on the source tree, without a network, and looks whether it really could look."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import dagger
from dagger import dag

from cowabungaai.errors import ScanError
from cowabungaai.scan_charts import Chart
from cowabungaai.tools import go_tool
from cowabungaai.trivy_report import Report
from cowabungaai.vulnerability_db import Database
from cowabungaai.wheels import BUILD_IMAGE

SOURCE = "source"
SCANNERS = "vuln,secret,misconfig,license"
# Trivy asks nobody: neither for databases and checks, nor whether there is a newer Trivy, and it tells nobody.
OFFLINE = (
    "--skip-db-update",
    "--skip-java-db-update",
    "--skip-check-update",
    "--skip-vex-repo-update",
    "--skip-version-check",
    "--disable-telemetry",
    "--offline-scan",
    "--no-progress",
)
# Neither settings nor lists of what to pass over that lie in what is scanned count: security/ignore.yaml alone does.
NOTHING = "/nothing.yaml"
REPORTING = (
    "--format=json",
    "--list-all-pkgs",
    "--exit-code=0",
    "--timeout=30m",
    "--cache-backend=memory",
    f"--config={NOTHING}",
    f"--ignorefile={NOTHING}",
)
# Trivy takes no interest in secrets below Python's packages, tests and examples. Our own code is below the first, and
# what is in the others leaves the building as well.
LOOK_EVERYWHERE = "disable-allow-rules: [python, tests, examples, markdown]\n"
# Lock files of Python packages; Trivy knows them by the name requirements.txt alone.
LOCKS = ("**/requirements*.lock", "**/requirements/*.lock", "services/*/model.lock")
LOCK_PATTERNS = (r"pip:requirements[^/]*\.lock$", r"pip:requirements/[^/]*\.lock$", r"pip:services/[^/]*/model\.lock$")
GO_MODULES = "**/go.mod"
NOT_CHARTS = "ansible,azure-arm,cloudformation,dockerfile,kubernetes,terraform"
# Where a database keeps what is known of packages, by Trivy's names of their sorts.
ECOSYSTEMS = {
    **dict.fromkeys(("python-pkg", "pip", "uv", "poetry", "pipenv", "conda-pkg", "conda-environment"), "pip::"),
    **dict.fromkeys(("gomod", "gobinary"), "go::"),
    **dict.fromkeys(("npm", "node-pkg", "yarn", "pnpm"), "npm::"),
    **dict.fromkeys(("cargo", "rustbinary"), "cargo::"),
}


async def trivy_container(source: dagger.Directory) -> dagger.Container:
    """A container with Trivy and Python.

    Args:
        source: The root of the repository.
    """
    return (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_file("/usr/local/bin/trivy", await go_tool(source, "trivy"))
        .with_new_file("/secrets.yaml", LOOK_EVERYWHERE)
        .with_new_file(NOTHING, "{}\n")
    )


# Trivy gives its SARIF reports no category.
CATEGORISE = """
import json, pathlib, sys
path = pathlib.Path(sys.argv[1])
report = json.loads(path.read_text())
for run in report["runs"]:
    run["automationDetails"] = {"id": sys.argv[2]}
path.write_text(json.dumps(report, indent=2))
"""


def image_report(trivy: dagger.Container, archive: dagger.File, name: str, database: Database) -> dagger.File:
    """Trivy's report on an image.

    Args:
        trivy: See trivy_container.
        archive: An OCI archive.
        name: What the report calls it.
        database: Of vulnerabilities.
    """
    mounted = trivy.with_mounted_file(f"/scanned/{name}", archive)
    return _report(mounted, database, "image", [f"--input={name}", "--image-config-scanners=misconfig,secret"])


def tree_report(trivy: dagger.Container, tree: dagger.Directory, database: Database) -> dagger.File:
    """Trivy's report on the source tree; see chart_report for charts.

    Args:
        trivy: See trivy_container.
        tree: The root of the repository.
        database: Of vulnerabilities.
    """
    mounted = trivy.with_mounted_directory(f"/scanned/{SOURCE}", tree)
    patterns = [f"--file-patterns={pattern}" for pattern in LOCK_PATTERNS]
    return _report(
        mounted, database, "filesystem", [*patterns, f"--misconfig-scanners={NOT_CHARTS}", "--license-full", SOURCE]
    )


def chart_report(
    trivy: dagger.Container, tree: dagger.Directory, chart: Chart, values: Sequence[dagger.File]
) -> dagger.File:
    """Trivy's report on a chart, with the checks that it passes.

    Args:
        trivy: See trivy_container.
        tree: The root of the repository.
        chart: Its folder in that, and those of the charts of which it is made.
        values: Files of values, the last of which wins.
    """
    folder = tree.directory(chart.folder)
    for name, library in chart.libraries:
        # As Helm finds them when they are not packed.
        folder = folder.with_directory(f"charts/{name}", tree.directory(library))
    mounted = trivy.with_mounted_directory("/scanned/chart", folder).with_workdir("/scanned")
    arguments = ["--scanners=misconfig", "--include-non-failures", "--output=/report.json"]
    for number, file in enumerate(values):
        mounted = mounted.with_mounted_file(f"/values/{number}.yaml", file)
        arguments.append(f"--helm-values=/values/{number}.yaml")
    return mounted.with_exec(["trivy", "filesystem", *OFFLINE, *REPORTING, *arguments, "chart"]).file("/report.json")


def _report(trivy: dagger.Container, database: Database, command: str, arguments: Sequence[str]) -> dagger.File:
    """The report of a run in /scanned; what has not changed is in the engine's cache."""
    fixed = [f"--scanners={SCANNERS}", "--secret-config=/secrets.yaml", "--cache-dir=/trivy", "--output=/report.json"]
    return (
        trivy.with_mounted_directory("/trivy/db", database.folder)
        .with_workdir("/scanned")
        .with_exec(["trivy", command, *OFFLINE, *REPORTING, *fixed, *arguments])
        .file("/report.json")
    )


def uploaded(text: str, name: str) -> dagger.File:
    """A file with this content, which may be long: unlike what is passed as an argument, it is not shown in logs.

    Args:
        text: Its content.
        name: Its name.
    """
    folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
    (folder / name).write_text(text)
    return dag.current_module().workdir_file(f"{folder.name}/{name}")


def converted(trivy: dagger.Container, report: Report, category: str) -> dagger.Directory:
    """A report as people and other programs read it: report.json, report.sarif, table.txt.

    Args:
        trivy: See trivy_container.
        report: Without what is accepted.
        category: Of report.sarif.
    """
    run = trivy.with_file("/out/report.json", uploaded(report.text(), "report.json")).with_workdir("/out")
    for form, file in (("sarif", "report.sarif"), ("table", "table.txt")):
        chosen = ["--table-mode=detailed"] if form == "table" else []
        run = run.with_exec(
            ["trivy", "convert", "--quiet", f"--format={form}", f"--output={file}", *chosen, "report.json"]
        )
    return run.with_exec(["python", "-c", CATEGORISE, "report.sarif", category]).directory("/out")


def check_image(report: Report, name: str) -> list[str]:
    """Refuse a report that shows that Trivy did not see what is in an image.

    Args:
        report: Trivy's.
        name: The service.

    Returns:
        What the database must know of, for the report to tell anything.

    Raises:
        ScanError: It does not name a living distribution, or no packages of it or of Python's.
    """
    system = report.metadata.os
    if system is None or not system.name or system.family in ("", "none"):
        raise ScanError(f"{name}: Trivy does not tell of which distribution the image is; it cannot have looked")
    if system.ended:
        raise ScanError(f"{name}: {system.family} {system.name} has ended: nobody tells its vulnerabilities any more")
    for result_class, what in (("os-pkgs", "Debian"), ("lang-pkgs", "Python")):
        if not any(result.packages for result in report.results if result.result_class == result_class):
            raise ScanError(f"{name}: Trivy found no {what} package in the image; it cannot have looked")
    return [f"{system.family} {system.name.split('.')[0]}", *_ecosystems(report, name)]


def check_tree(report: Report, locks: Iterable[str]) -> list[str]:
    """Refuse a report that shows that Trivy did not read every lock file.

    Args:
        report: Trivy's.
        locks: Paths of the files that name packages.

    Returns:
        What the database must know of, for the report to tell anything.

    Raises:
        ScanError: It lacks one of them, or there are none.
    """
    expected = sorted(locks)
    if not expected:
        raise ScanError("the source tree has no lock file; pass the repository's root as --tree")
    read = {result.target for result in report.results if result.packages}
    if unread := [lock for lock in expected if lock not in read]:
        raise ScanError(f"Trivy did not read {', '.join(unread)}; it cannot have looked")
    return _ecosystems(report, SOURCE)


def lock_files(root: Path) -> list[str]:
    """Paths of the files that name packages, as Trivy's report has them; some lock files and go.mod name none.

    Args:
        root: The root of the repository.
    """
    files = sorted({file for pattern in (*LOCKS, GO_MODULES) for file in root.glob(pattern)})
    return [str(file.relative_to(root)) for file in files if _names_packages(file.read_text())]


def _names_packages(text: str) -> bool:
    return "==" in text or any(line.startswith("require") for line in text.splitlines())


def _ecosystems(report: Report, target: str) -> list[str]:
    types = sorted({result.type for result in report.results if result.result_class == "lang-pkgs" and result.packages})
    if strange := [one for one in types if one not in ECOSYSTEMS]:
        raise ScanError(f"{target}: Trivy found packages of a sort that is not known here: {', '.join(strange)}")
    return sorted({ECOSYSTEMS[one] for one in types})
