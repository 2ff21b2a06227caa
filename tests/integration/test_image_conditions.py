# SPDX-License-Identifier: Apache-2.0
"""The images under the conditions of a cluster, and the base images that they are built on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from harness import CHECKOUT, WITH_MODELS, Built, described

from cowabunga import container, images, models, oci
from cowabunga.container import Container, Mount
from cowabunga.paths import run_home

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="running a container needs root")
UNPRIVILEGED = 65532
# Far more than it takes, for a machine that does other things, too.
START_SECONDS = 180


def unpack(archive: Path, target: Path) -> dict[str, object]:
    """Unpack an image's layers into a folder; its configuration."""
    with tarfile.open(archive) as tar:

        def blob(digest: str) -> bytes:
            member = tar.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
            assert member is not None
            return member.read()

        index = tar.extractfile("index.json")
        assert index is not None
        manifest = json.loads(blob(json.load(index)["manifests"][0]["digest"]))
        for layer in manifest["layers"]:
            plain = zstandard.ZstdDecompressor().decompressobj().decompress(blob(layer["digest"]))
            subprocess.run(["tar", "--extract", "--directory", target], input=plain, check=True)
        config: dict[str, object] = json.loads(blob(manifest["config"]["digest"]))["config"]
    for mount_point in ("proc", "dev", "sys", "run", "tmp"):
        (target / mount_point).mkdir(exist_ok=True)
    return config


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Name of a container that is gone after the test."""
    monkeypatch.setenv("COWABUNGA_HOME", str(tmp_path / "home"))
    run_home().mkdir(parents=True)
    yield "image-under-test"
    container.stop("image-under-test", grace_seconds=5)
    container.remove_control_groups()
    shutil.rmtree(run_home())


def run_inside(name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program in the container."""
    runc = ["runc", "--root", str(run_home() / "runc"), "exec", name]
    return subprocess.run([*runc, *command], capture_output=True, text=True, check=False, timeout=60)


def volumes(service: str, folder: Path) -> list[Mount]:
    """What a cluster mounts where the service's service.yaml says that it writes."""
    mounts = []
    for number, target in enumerate(described(service).get("writable", ())):
        source = folder / f"volume-{number}"
        source.mkdir(mode=0o700)
        os.chown(source, UNPRIVILEGED, UNPRIVILEGED)
        mounts.append(Mount(source, target, writable=True))
    return mounts


@pytest.fixture(scope="session")
def model_mounts() -> dict[str, Mount]:
    """What a cluster mounts where a service serves models; from the machine's own cache, which tests do not change."""
    return {service: Mount(models.ensure(service)[0].path.parent, "/models") for service in WITH_MODELS}


GRPC_PROBE = ["python3", "-m", "cowabungaai_sdk.probe", "127.0.0.1:50051"]
PROBES = {
    "repeater": GRPC_PROBE,
    "api": ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"],
    **dict.fromkeys(WITH_MODELS, GRPC_PROBE),
}


@pytest.mark.parametrize("service", sorted(PROBES))
def test_an_image_serves_with_a_read_only_root_no_capability_and_no_network(
    built: Built, model_mounts: dict[str, Mount], name: str, service: str, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    config = unpack(built.archive(service), root)
    assert config["User"] == f"{UNPRIVILEGED}:{UNPRIVILEGED}"
    entrypoint, environment = config["Entrypoint"], config["Env"]
    assert isinstance(entrypoint, list)
    assert isinstance(environment, list)
    settings = [f"{variable}={value}" for variable, value in models.settings_of(service).items()]
    if service == "api":
        settings.append("COWABUNGAAI_API_MODELS=repeater=127.0.0.1:50051")
    log = tmp_path / "log"
    mounts = [*volumes(service, tmp_path), *([model_mounts[service]] if service in model_mounts else [])]
    container.start(
        Container(name, root, entrypoint, mounts, environment=[*environment, *settings], user=UNPRIVILEGED), log
    )
    deadline = time.monotonic() + START_SECONDS
    while (probe := run_inside(name, *PROBES[service])).returncode != 0:
        assert time.monotonic() < deadline, probe.stderr + log.read_text()
        time.sleep(0.2)
    refused = run_inside(name, "python3", "-c", "open('/written', 'w')")
    assert "Read-only file system" in refused.stderr
    assert "uid=65532" in run_inside(name, "python3", "-c", "import os; print(f'uid={os.getuid()}')").stdout


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike a home directory or pytest's own."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("image", images.BASE_IMAGES)
def test_the_same_packages_give_the_same_digest(image: str, open_folder: Path) -> None:
    known = oci.manifest_digest(images.layout(image))
    code = f"from cowabunga import images, oci; print(oci.manifest_digest(images.layout({image!r})))"
    environment = {
        **os.environ,
        "COWABUNGA_HOME": str(open_folder),
        "PYTHONPATH": str(CHECKOUT / "toolchain" / "src"),
    }
    again = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert again.stdout.split()[-1] == known
