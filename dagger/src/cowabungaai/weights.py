# SPDX-License-Identifier: Apache-2.0
"""Images of models: weights as image layers, and a program that copies and checks them; nothing else is inside."""

from __future__ import annotations

import re
from dataclasses import dataclass

import dagger
from dagger import dag
from pydantic import BaseModel, ConfigDict

from cowabungaai.archives import Layer, image_archive
from cowabungaai.catalog import ServiceSpec
from cowabungaai.errors import BuildError
from cowabungaai.images import REGISTRY_PREFIX, USER
from cowabungaai.models import MANIFEST, SDK, brought_ids, default_model
from cowabungaai.sources import Project
from cowabungaai.tools import go_tool
from cowabungaai.wheels import BUILD_IMAGE

DESCRIBING = "services/sdk/describe_model.py"
DIGEST_LENGTH = 12


class WeightsFile(BaseModel):
    """A file of a model: its path below the folder, its size in bytes, and its SHA-256 in hexadecimal digits."""

    model_config = ConfigDict(frozen=True)

    path: str
    size: int
    sha256: str


class ModelFacts(BaseModel):
    """What a model's manifest says, and the digest that names its weights; services/sdk defines both."""

    model_config = ConfigDict(frozen=True)

    id: str
    licence: str
    digest: str
    source: str = ""
    description: str = ""
    files: list[WeightsFile]

    @property
    def reference(self) -> str:
        """The name under which the model's image is packaged: one for each model and digest."""
        return f"{REGISTRY_PREFIX}/models/{self.name}:{self.version}"

    @property
    def name(self) -> str:
        """The id, as names of images and packages may be."""
        return re.sub(r"[^a-z0-9]+", "-", self.id.lower()).strip("-")

    @property
    def version(self) -> str:
        """What tells these weights from others of the same id."""
        return f"sha256-{self.digest[:DIGEST_LENGTH]}"

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Brought:
    """A model that somebody brings.

    Attributes:
        folder: Of the model.
        id: By which requests choose it; where the folder has no manifest.
        licence: Of its weights; where the folder has no manifest.
    """

    folder: dagger.Directory
    id: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Weights:
    """A model that is to be packaged.

    Attributes:
        facts: What it is.
        layer: Holds /model.
    """

    facts: ModelFacts
    layer: Layer


def default_weights(project: Project, spec: ServiceSpec) -> Brought:
    """The default model of a service.

    Args:
        project: Sources and catalog.
        spec: The service.

    Raises:
        BuildError: It has none.
    """
    if spec.model is None:
        raise BuildError(
            f"service {spec.name!r} has no default model; give `package` --model FOLDER, and others --models-dir FOLDER"
        )
    return Brought(default_model(project, spec))


async def brought_for(spec: ServiceSpec, models: dagger.Directory | None) -> Brought | None:
    """The model that is packaged with a service in place of its default one; None where nobody brings one.

    Args:
        spec: The service.
        models: A folder of models.

    Raises:
        BuildError: It has several for this service.
    """
    if models is None or not (ids := await brought_ids(spec, models)):
        return None
    if len(ids) > 1:
        raise BuildError(
            f"the folder of models has {len(ids)} for service {spec.name!r}: {', '.join(ids)}; a package brings one. "
            "Leave one there, and package the others by `package-model`"
        )
    return Brought(models.directory(f"{spec.name}/{ids[0]}"))


async def weights_of(project: Project, chosen: Brought) -> Weights:
    """Check a model, every byte of it.

    Args:
        project: Sources and catalog.
        chosen: The model.

    Raises:
        BuildError: The folder's files are not those of its manifest.
    """
    program = project.source.filter(include=[DESCRIBING, f"{SDK}/__init__.py", f"{SDK}/manifest.py"])
    run = (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_directory("/source", program)
        .with_mounted_directory("/model", chosen.folder)
        .with_exec(["python", f"/source/{DESCRIBING}", "/model", "/out", chosen.id, chosen.licence])
    )
    try:
        facts = ModelFacts.model_validate_json(await run.file("/out/facts.json").contents())
    except dagger.ExecError as error:
        raise BuildError(
            f"model {chosen.id or 'that was given'}: {error.stderr.strip().removeprefix('error: ')}"
        ) from error
    tree = (
        dag.directory()
        .with_directory("model", chosen.folder)
        .with_file(f"model/{MANIFEST}", run.file(f"/out/{MANIFEST}"))
    )
    return Weights(facts, Layer(tree, "weights", data=True))


async def weights_archive(project: Project, weights: Weights) -> dagger.File:
    """A model's image as an OCI archive.

    Args:
        project: Sources and catalog.
        weights: The model.
    """
    program = await go_tool(project.source, "copy")
    layers = [weights.layer, Layer(dag.directory().with_file("copy", program, permissions=0o555), "copy")]
    facts = weights.facts
    config = {
        "User": USER,
        "WorkingDir": "/",
        "Entrypoint": ["/copy"],
        "Labels": {
            "org.opencontainers.image.title": f"model {facts.id}",
            "org.opencontainers.image.description": facts.description,
            "org.opencontainers.image.licenses": facts.licence,
            "org.opencontainers.image.source": facts.source,
            "ai.cowabunga.model.id": facts.id,
            "ai.cowabunga.model.digest": f"sha256:{facts.digest}",
        },
    }
    platform = await dag.default_platform()
    return image_archive(project.source, layers, facts.reference, config, platform)


def documentation(facts: ModelFacts, *, alone: bool = False) -> str:
    """What a package says of its model, as Markdown.

    Args:
        facts: Of the model.
        alone: Whether the package has nothing else; then it tells how a service takes the model.
    """
    lines = [
        f"# Model {facts.id}",
        "",
        *([facts.description, ""] if facts.description else []),
        f"- licence: {facts.licence}",
        *([f"- source: {facts.source}"] if facts.source else []),
        f"- image: `{facts.reference}`",
        f"- digest of the weights: `sha256:{facts.digest}`",
        "",
        "| file | bytes | SHA-256 |",
        "| --- | --- | --- |",
        *[f"| `{file.path}` | {file.size} | `{file.sha256}` |" for file in facts.files],
    ]
    return "\n".join([*lines, *(_taking(facts) if alone else [])]) + "\n"


def _taking(facts: ModelFacts) -> list[str]:
    return [
        "",
        "## Adding it to a service",
        "",
        "Deploy this package: the weights are then in the cluster's registry. A service takes them besides its own",
        "by these settings of its bundle, which is deployed again; where it has none such it serves one model alone.",
        "",
        f"- of the service, `..._MODELS: [{{image: {facts.reference!r}, id: {facts.id!r}}}]`",
        f"- of the gateway, in `MODELS`: `{{name: {facts.id!r}, backend: SERVICE, backend_model: {facts.id!r}}}`",
        f"- room for {facts.size / 1e9:.2f} GB more: `..._MODEL_VOLUME_SIZE`, and memory in `..._RESOURCES`",
    ]
