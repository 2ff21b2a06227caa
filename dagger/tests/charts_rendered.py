# SPDX-License-Identifier: Apache-2.0
"""What the charts render, by the real helm, once in a run of the tests."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cowabunga import tools
from linters.chart_copies import built_copies
from linters.charts import Rendering, renderings
from linters.kubernetes import KNOWN

ROOT = Path(__file__).parents[2]
NAMESPACE = "cowabungaai"
Document = dict[str, Any]


@lru_cache
def helm() -> str:
    """The program, compiled where the cache has none."""
    return str(tools.ensure("helm") / "helm")


@lru_cache
def charts() -> Path:
    """Copies of the charts, with their library, below a folder like the repository's; removed when the tests end."""
    folder = Path(tempfile.mkdtemp(prefix="charts-"))
    atexit.register(shutil.rmtree, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(helm()).parent}:{os.environ['PATH']}")
        with built_copies(ROOT) as findings:
            assert findings == []
            shutil.copytree(".", folder, dirs_exist_ok=True)
    return folder


def template(chart: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `helm template`.

    Args:
        chart: Its folder below the root of the repository.
        arguments: Further ones.
    """
    command = [helm(), "template", "tested", chart, f"--namespace={NAMESPACE}", *arguments]
    return subprocess.run(command, cwd=charts(), capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Rendered:
    """The documents of a chart.

    Attributes:
        service: Name of its package.
        documents: All of them.
    """

    service: str
    documents: list[Document]

    def all(self, kind: str) -> list[Document]:
        """The documents of a kind."""
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind: str) -> Document:
        """The only document of a kind."""
        (document,) = self.all(kind)
        return document

    @property
    def pod(self) -> Document:
        """What the only Deployment says of pods."""
        found: Document = self.one("Deployment")["spec"]["template"]
        return found

    @property
    def containers(self) -> list[Document]:
        """All of a pod, also those that end before others start."""
        spec = self.pod["spec"]
        return [*spec.get("initContainers", []), *spec["containers"]]

    @property
    def container(self) -> Document:
        """The one that serves."""
        (found,) = self.pod["spec"]["containers"]
        return dict(found)

    @property
    def variables(self) -> dict[str, str]:
        """Of that container, as far as their values are known."""
        return {one["name"]: one["value"] for one in self.container["env"] if "value" in one}

    @property
    def gateway(self) -> bool:
        """Whether it is the gateway."""
        return bool(self.pod["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway")


def rendered(chart: str, *arguments: str) -> Rendered:
    """Render a chart as for a cluster that knows everything.

    Args:
        chart: Its folder below the root of the repository.
        arguments: Further ones of helm.
    """
    finished = template(chart, *(f"--api-versions={one}" for one in KNOWN), *arguments)
    assert finished.returncode == 0, finished.stderr
    return Rendered(Path(chart).parts[1], [one for one in yaml.safe_load_all(finished.stdout) if one])


@lru_cache
def ways() -> dict[str, Rendering]:
    """Every way in which lint renders every chart, by a name that says which."""
    return {_name(one): one for one in renderings(ROOT)}


def _name(rendering: Rendering) -> str:
    files = "+".join(Path(file).stem for file in rendering.values) or "plain"
    variables = "defaults" if rendering.defaults is not None else "unset"
    return "-".join(filter(None, (Path(rendering.chart).parts[1], files, variables, rendering.environment)))


@lru_cache
def way(name: str) -> Rendered:
    """What is rendered in one of these ways.

    Args:
        name: Of it.
    """
    rendering = ways()[name]
    with contextlib.chdir(charts()), tempfile.TemporaryDirectory() as scratch:
        return rendered(rendering.chart, *rendering.options(Path(scratch)))


@lru_cache
def described(service: str) -> Document:
    """What a service's service.yaml says.

    Args:
        service: Its name.
    """
    found: Document = yaml.safe_load((ROOT / "services" / service / "service.yaml").read_text())
    return found
