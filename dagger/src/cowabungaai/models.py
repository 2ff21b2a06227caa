# SPDX-License-Identifier: Apache-2.0
"""Models for tests and for the stack: those that services name in their service.yaml, and those that people bring.

A folder of models holds `<service>/<id>/`, each with its manifest.json, as `./cowabunga models` makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import dagger
from dagger import dag

from cowabungaai.catalog import ServiceSpec
from cowabungaai.errors import CatalogError
from cowabungaai.sources import Project
from cowabungaai.wheels import BUILD_IMAGE, downloaded

MODELS = "/models"
MANIFEST = "manifest.json"
PLACING = "services/sdk/place_model.py"
SDK = "services/sdk/src/cowabungaai_sdk"


@dataclass(frozen=True)
class Mounted:
    """Models of one service.

    Attributes:
        ids: Their ids, the service's default first.
        folder: Holds a folder for each.
    """

    ids: list[str]
    folder: dagger.Directory


def default_model(project: Project, spec: ServiceSpec) -> dagger.Directory:
    """A service's default model, fetched by the engine from the package index.

    Args:
        project: Sources and catalog.
        spec: The service.

    Raises:
        CatalogError: It has none.
    """
    if spec.model is None:
        raise CatalogError(f"service {spec.name!r} has no default model; name it below `model` in its service.yaml")
    program = project.source.filter(include=[PLACING, f"{SDK}/__init__.py", f"{SDK}/manifest.py"])
    wheels = downloaded(project.source.file(f"services/{spec.name}/model.lock"))
    return (
        dag.container()
        .from_(BUILD_IMAGE)
        .with_mounted_directory("/source", program)
        .with_mounted_directory("/wheels", wheels)
        .with_new_file("/model.json", spec.model.model_dump_json())
        .with_exec(["python", f"/source/{PLACING}", "/model.json", "/wheels", "/out/model"])
        .directory("/out/model")
    )


async def brought_ids(spec: ServiceSpec, brought: dagger.Directory) -> list[str]:
    """Ids of the models that people bring for a service, its default first.

    Args:
        spec: The service.
        brought: A folder of models.
    """
    default = spec.model.id if spec.model else ""
    ids = [PurePosixPath(path).parent.name for path in await brought.glob(f"{spec.name}/*/{MANIFEST}")]
    return sorted(ids, key=lambda one: (one != default, one))


async def models_of(project: Project, spec: ServiceSpec, brought: dagger.Directory | None) -> Mounted | None:
    """The models that a service serves: those that people bring for it, else its default; None where it has neither.

    Args:
        project: Sources and catalog.
        spec: The service.
        brought: A folder of models.
    """
    if brought is not None and (ids := await brought_ids(spec, brought)):
        return Mounted(ids, brought.directory(spec.name))
    if spec.model is None:
        return None
    folder = dag.directory().with_directory(spec.model.id, default_model(project, spec))
    return Mounted([spec.model.id], folder)


def with_models(container: dagger.Container, spec: ServiceSpec, mounted: Mounted | None) -> dagger.Container:
    """A container that serves models, with the settings that service.yaml has for its default model.

    Args:
        container: The service's image.
        spec: The service.
        mounted: Its models.
    """
    if mounted is None:
        return container
    paths = ",".join(f"{MODELS}/{model_id}" for model_id in mounted.ids)
    container = container.with_mounted_directory(MODELS, mounted.folder).with_env_variable("COWABUNGAAI_MODEL", paths)
    for name, value in (spec.model.settings if spec.model else {}).items():
        container = container.with_env_variable(f"COWABUNGAAI_{name.upper().replace('-', '_')}", value)
    return container
