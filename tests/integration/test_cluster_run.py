# SPDX-License-Identifier: Apache-2.0
"""What operators do, in a real cluster without a network: install, set, upgrade, go back, remove, add a model."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import Released, Run, exported

from cowabunga import models

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="a container with a node in it needs root"),
]
NAMESPACE = "cowabungaai"
EMBEDDINGS = "text-embeddings"
SETTINGS = "uds-config.yaml"
# What an application does: the official client, with the gateway's address in the cluster.
CLIENT = "import sys, openai\nclient = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=8)\n"
CHAT = """
said = client.chat.completions.create(model="repeater", messages=[{"role": "user", "content": "to be or not to be"}])
print([model.id for model in client.models.list()], said.choices[0].message.content)
"""
SAID = "['repeater'] to be or not to be"
# The cluster hands a changed configuration on within two minutes; the gateway takes it without a restart.
EMBED = """
import time
end = time.monotonic() + 120
while sys.argv[3] not in [model.id for model in client.models.list()] and time.monotonic() < end:
    time.sleep(1)
vectors = [client.embeddings.create(model=model, input="to be").data[0].embedding for model in sys.argv[3:]]
print(len(vectors[0]), vectors[0] == vectors[1])
"""
Kubectl = Callable[..., dict[str, Any]]
Cluster = Callable[..., str]


@pytest.fixture(scope="module")
def cluster(cowabunga: Run) -> Iterator[Cluster]:
    """Runs a command where it reaches the cluster, which is a new one."""
    if cowabunga("cluster", "status").returncode == 0:
        pytest.fail("a cluster runs already; these tests need their own: ./cowabunga cluster down")
    finished = cowabunga("cluster", "up")
    assert finished.returncode == 0, finished.stderr

    def run(*command: str | Path, **options: Any) -> str:
        finished = cowabunga("cluster", "run", *command, **options)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        said: str = finished.stdout
        return said

    yield run
    assert cowabunga("cluster", "down").returncode == 0


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Kubectl:
    """What kubectl tells of things, in the bundle's namespace."""

    def ask(*arguments: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(cluster("kubectl", "--namespace", NAMESPACE, *arguments, "--output", "json"))
        return told

    return ask


@pytest.fixture(scope="module")
def old(released: Released, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that is installed first: that of a signed release."""
    folder = tmp_path_factory.mktemp("old")
    shutil.copy(released.folder / "bundles" / "dev-uds-config.yaml", folder / SETTINGS)
    return Path(shutil.copy(released.bundle, folder))


@pytest.fixture
def new(dagger: Run, sources: Path, tmp_path: Path) -> Path:
    """The bundle that comes after it: a service has changed."""
    file = sources / "services/repeater/src/cowabungaai_repeater/__init__.py"
    file.write_text(f"{file.read_text()}\n# In another bundle, without another version of its own.\n")
    return exported(dagger, tmp_path / "new", "--source", sources, "bundle", "--name=dev", "--version=1.2.4")


def deploy(cluster: Cluster, file: Path, **settings: Any) -> str:
    """Deploy a bundle as its instructions say: with the settings that lie beside it, changed; what is said of it."""
    configuration = yaml.safe_load((file.parent / SETTINGS).read_text())
    for package in configuration["variables"].values():
        package.update({name: value for name, value in settings.items() if name in package})
    chosen = file.parent / "chosen.yaml"
    chosen.write_text(yaml.safe_dump(configuration))
    command = ("uds", "deploy", file, "--confirm", "--no-progress", "--no-color")
    return cluster("env", f"UDS_CONFIG={chosen}", "sh", "-c", 'exec "$@" 2>&1', "sh", *command)


def answer(cluster: Cluster, kubectl: Kubectl, program: str = CHAT, *arguments: str) -> str:
    """What the official client gets, with the key that the chart made."""
    secret = kubectl("get", "secret", "cowabungaai-api-admin-key")
    key = base64.b64decode(secret["data"]["admin-key"]).decode()
    address = kubectl("get", "service", "cowabungaai-api")["spec"]["clusterIP"]
    url = f"http://{address}:8080/openai/v1"
    return cluster(sys.executable, "-c", CLIENT + program, url, key, *arguments).strip()


def images(kubectl: Kubectl) -> dict[str, str]:
    """Images of the pods that run, by their apps."""
    pods = kubectl("get", "pods", "--field-selector=status.phase=Running")["items"]
    return {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]: pod["status"]["containerStatuses"][0]["imageID"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


def test_it_is_installed_and_answers(cluster: Cluster, kubectl: Kubectl, old: Path) -> None:
    assert "Verified OK" in deploy(cluster, old), "uds looks for the signatures of packages by the key in the bundle"
    assert answer(cluster, kubectl) == SAID
    for pod in kubectl("get", "pods")["items"]:
        (container,) = pod["spec"]["containers"]
        assert container["image"].startswith("127.0.0.1:5000/"), "Zarf's agent names the cluster's registry"
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_setting_is_changed_and_the_key_stays(cluster: Cluster, kubectl: Kubectl, old: Path) -> None:
    before = kubectl("get", "secret", "cowabungaai-api-admin-key")["data"]
    deploy(cluster, old, REPEATER_REPLICAS=2)
    # The autoscaler makes them, which looks every 15 seconds.
    ready = "--for=jsonpath={.status.readyReplicas}=2"
    kubectl("wait", "deployment/cowabungaai-repeater", ready, "--timeout=60s")
    assert kubectl("get", "secret", "cowabungaai-api-admin-key")["data"] == before
    assert answer(cluster, kubectl) == SAID


def test_it_is_upgraded_and_taken_back(cluster: Cluster, kubectl: Kubectl, old: Path, new: Path) -> None:
    first = images(kubectl)
    deploy(cluster, new)
    second = images(kubectl)
    assert second["cowabungaai-repeater"] != first["cowabungaai-repeater"]
    assert second["cowabungaai-api"] == first["cowabungaai-api"]
    assert answer(cluster, kubectl) == SAID
    deploy(cluster, old)
    assert images(kubectl) == first
    assert answer(cluster, kubectl) == SAID


def test_it_is_removed_but_for_its_keys(cluster: Cluster, kubectl: Kubectl, old: Path) -> None:
    cluster("uds", "remove", old, "--confirm", "--no-progress", "--no-color")
    assert kubectl("get", "deployments")["items"] == []
    assert kubectl("get", "secret", "cowabungaai-api-admin-key")["data"]


def test_a_model_is_added_beside_the_first(dagger: Run, cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> None:
    chosen = (f"--services={EMBEDDINGS}", "--services=api")
    file = exported(dagger, tmp_path / "bundle", "bundle", "--name=latest", *chosen)
    deploy(cluster, file)
    # The same weights by another name: the answers must be the same.
    mine = shutil.copytree(models.ensure(EMBEDDINGS)[0].path, tmp_path / "mine", ignore=lambda *_: ["manifest.json"])
    weights = ("--model", mine, "--model-id=mine", "--model-licence=Apache-2.0")
    package = tmp_path / "model.tar.zst"
    finished = dagger("call", "package-model", *weights, "export", "--path", package)
    assert finished.returncode == 0, finished.stderr
    described = yaml.safe_load(cluster("zarf", "package", "inspect", "definition", package, "--no-color"))
    package = package.rename(package.with_name(f"zarf-package-{described['metadata']['name']}.tar.zst"))
    cluster("zarf", "package", "deploy", package, "--confirm", "--no-color")
    (image,) = described["components"][0]["imageArchives"][0]["images"]
    # What follows from the bundle's packages is commented out in its settings.
    settings = file.parent / SETTINGS
    settings.write_text(settings.read_text().replace("    # MODELS: ", "    MODELS: "))
    offered = yaml.safe_load(settings.read_text())["variables"]["cowabungaai-api"]["MODELS"]
    more = {
        "TEXT_EMBEDDINGS_MODELS": [{"image": image, "id": "mine"}],
        "MODELS": [*offered, {"name": "mine", "backend": EMBEDDINGS, "backend_model": "mine"}],
    }
    deploy(cluster, file, **more)
    assert answer(cluster, kubectl, EMBED, "mine", EMBEDDINGS) == "384 True"
