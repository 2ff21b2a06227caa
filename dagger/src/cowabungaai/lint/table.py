# SPDX-License-Identifier: Apache-2.0
"""The table of checks that are programs."""

from __future__ import annotations

from collections.abc import Iterable

from cowabungaai.lint.check import LINTERS, Check, ModuleFile

# Stubs depend on the version of protoc, and this is where it is pinned.
PROTOC = "services/sdk/requirements-test.lock"
CONTRACT = ("services/sdk/generate.py", "services/sdk/compatibility.py", "services/sdk/proto/**")
TESTS = "toolchain/requirements/test.lock"
# Folders whose types are checked together: no two have a module of the same name.
TOGETHER = (
    ("tests/bench", "tests/shared", "tests/conformance", "tests/load", "tests/integration", "dagger/tests"),
    ("toolchain/tests", "docs"),
    ("tests/e2e",),
)
# Where the programs of our own are.
SOURCES = "dagger/src"
OURS = f"{SOURCES}/linters/*"
CHARTS = (
    "packages/*/zarf.yaml",
    "packages/*/chart/**",
    "packages/*/values/*.yaml",
    "dagger/src/cowabungaai/environments.yaml",
)
BUNDLES = ("bundles/*/uds-bundle.yaml", "bundles/*/variants.yaml", "services/*/service.yaml")
SCHEMAS = ("packages/common/values.schema.json", "packages/*/chart/values.schema.json")
YAML = ("**/*.yaml", "**/*.yml")
DOCKERFILES = ("**/Dockerfile*", "**/*.Dockerfile", "**/Containerfile*", "**/*.Containerfile")
WORKFLOWS = (".github/workflows/*.yaml", ".github/workflows/*.yml")
KUBERNETES = "toolchain/go/kubernetes/go.mod"
OPENAPI = ModuleFile("kubernetes", "k8s.io/kubernetes", "api/openapi-spec/swagger.json")
SERVICE_MONITOR = ModuleFile(
    "prometheus-operator",
    "github.com/prometheus-operator/prometheus-operator",
    "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
)
BUNDLE_SCHEMA = ModuleFile("uds", "github.com/defenseunicorns/uds-cli", "uds.schema.json")


def table(services: Iterable[str]) -> list[Check]:
    """All checks that are programs.

    Args:
        services: Names of the services' folders.
    """
    return [
        Check(
            "ruff",
            ("**/*.py", "**/*.pyi", "**/pyproject.toml", "services/ruff.toml"),
            (
                ("ruff", "check", "--no-cache", "--output-format=concise", "."),
                ("ruff", "format", "--no-cache", "--check", "--output-format=concise", "."),
            ),
        ),
        *_types(services),
        *_contract(),
        *_deployment(),
        *_documents(),
    ]


def _types(services: Iterable[str]) -> list[Check]:
    """Types of each part by itself: a service's with the versions of libraries that it ships."""
    ours = [_mypy(name, f"{name}/src", "pyproject.toml") for name in ("dagger", "toolchain")]
    folders = [f"services/{name}" for name in services]
    paths = ("toolchain/src", "dagger/src", *(f"{one}/src" for one in folders), "tests", "dagger/tests")
    tests = Check(
        "mypy tests",
        (
            "pyproject.toml",
            "services/*/src/**",
            *(f"{one}/**/*.py" for one in ("dagger", "docs", "tests", "toolchain")),
        ),
        tuple(("env", f"MYPYPATH={':'.join(paths)}", *_typed("pyproject.toml"), *tests) for tests in TOGETHER),
        (TESTS, LINTERS),
    )
    return [
        *ours,
        tests,
        *(
            # mypy.ini says where the sdk is.
            _mypy(one, f"{one}/src", "services/mypy.ini", (f"{one}/requirements.lock", LINTERS), "services/sdk/src/**")
            for one in folders
        ),
    ]


def _mypy(name: str, folder: str, config: str, packages: tuple[str, ...] = (LINTERS,), *also: str) -> Check:
    return Check(f"mypy {name}", (config, f"{folder}/**", *also), ((*_typed(config), folder),), packages)


def _typed(config: str) -> tuple[str, ...]:
    return ("python3", "-P", "-m", "mypy", "--config-file", config, "--cache-dir", "/dev/null")


def _contract() -> list[Check]:
    return [
        Check(
            "stubs",
            (*CONTRACT, "services/sdk/src/cowabungaai_sdk/v1/*"),
            (("python3", "services/sdk/generate.py", "--check"),),
            (PROTOC,),
        ),
        Check("contract", CONTRACT, (("python3", "services/sdk/generate.py", "--check-compatible"),), (PROTOC,)),
        _ours("locks", "locks", ("services/*/pyproject.toml", "services/*/requirements*.lock"), "services"),
    ]


def _deployment() -> list[Check]:
    return [
        _ours("helm", "helm_lint", CHARTS, tools=("helm",)),
        _ours("helm schemas", "chart_schemas", SCHEMAS),
        _ours(
            "kubeconform",
            "kubernetes",
            (*CHARTS, KUBERNETES),
            OPENAPI.mounted,
            KUBERNETES,
            SERVICE_MONITOR.mounted,
            tools=("helm", "kubeconform"),
            files=(OPENAPI, SERVICE_MONITOR),
        ),
        _ours("zarf", "zarf_lint", CHARTS, tools=("zarf",)),
        _ours("uds", "bundles", BUNDLES, BUNDLE_SCHEMA.mounted, files=(BUNDLE_SCHEMA,)),
    ]


def _documents() -> list[Check]:
    # An action's own action.yaml is what actionlint reads to know its inputs.
    actions = (*WORKFLOWS, ".github/actions/**", ".github/actionlint.yaml")
    return [
        # What is no YAML before helm has filled it is left out by yamllint's own configuration.
        Check("yaml", YAML, (("yamllint", "--strict", "--format=parsable", "."),)),
        _ours(
            "hadolint",
            "each",
            DOCKERFILES,
            *DOCKERFILES,
            *("--", "hadolint", "--no-color"),
            packages=("toolchain/requirements/hadolint.lock",),
        ),
        _ours("actionlint", "each", actions, *WORKFLOWS, "--", "actionlint", "-no-color", tools=("actionlint",)),
        _ours("licences", "licences", ("**",)),
        _ours("links", "links", ("**",), packages=("toolchain/requirements/lychee.lock",)),
    ]


def _ours(
    name: str,
    program: str,
    needs: tuple[str, ...],
    *arguments: str,
    packages: tuple[str, ...] = (LINTERS,),
    tools: tuple[str, ...] = (),
    files: tuple[ModuleFile, ...] = (),
) -> Check:
    """A check that is one of the programs in `linters`."""
    command = ("python3", "-P", "-m", f"linters.{program}", *arguments)
    return Check(name, (*needs, OURS), (command,), packages, (SOURCES,), tools, files)
