# SPDX-License-Identifier: Apache-2.0
"""Small packages by the real zarf, signed with real keys, and what an attacker or a bad disk makes of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
import zstandard

from cowabungaai import provenance

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PASSWORD = "of-these-tests"  # noqa: S105 - of keys that are made here
BUILD = provenance.Build(module_version="0.1.0", engine_version="v0", base_images={}, listing="")


@dataclass(frozen=True)
class Key:
    """A key pair's files."""

    private: Path
    public: Path


@dataclass(frozen=True)
class Workshop:
    """The programs that make, sign and check packages."""

    zarf: Path
    courier: Path

    def run(self, program: Path, *arguments: str | Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a program; it must end with this code, unless that is None."""
        environment = {**os.environ, "COSIGN_PASSWORD": PASSWORD}
        finished = subprocess.run(
            [program, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, env=environment
        )
        assert code is None or finished.returncode == code, finished.stdout + finished.stderr
        return finished

    def key(self, folder: Path) -> Key:
        """A new key pair."""
        folder.mkdir(parents=True)
        made = Key(folder / "cosign.key", folder / "cosign.pub")
        self.run(self.courier, "keygen", "--private", made.private, "--public", made.public)
        return made

    def package(
        self,
        folder: Path,
        images: Mapping[str, bytes],
        *,
        key: Key | None,
        options: Sequence[str] = (),
        **metadata: str,
    ) -> Path:
        """A package of images: reference to OCI archive; metadata is name, version and the like."""
        source = folder / "source"
        source.mkdir(parents=True)
        archives = []
        for number, (reference, archive) in enumerate(images.items()):
            (source / f"{number}.tar").write_bytes(archive)
            archives.append({"path": f"{number}.tar", "images": [reference]})
        about = {"name": "cowabungaai-demo", "version": "0.1.0", "architecture": "amd64", **metadata}
        component = {"name": "demo", "required": True, "imageArchives": archives}
        described = {"kind": "ZarfPackageConfig", "metadata": about, "components": [component]}
        (source / "zarf.yaml").write_text(yaml.safe_dump(described))
        signing: list[str | Path] = ["--signing-key", key.private, "--signing-key-pass", PASSWORD] if key else []
        made = folder / "packages"
        self.run(self.zarf, "package", "create", source, "--confirm", "-o", made, *signing, *options)
        (file,) = made.iterdir()
        return file

    def attest(self, file: Path, key: Key, folder: Path | None = None, **changes: Any) -> Path:
        """Write and sign the provenance of a package or bundle, into a folder beside its own."""
        described = provenance.parse_description(self.run(self.courier, "describe", file).stdout)
        statement = provenance.statement(described.model_copy(update=changes), {"service": "demo"}, BUILD)
        target = folder or file.parent.parent / "provenance"
        target.mkdir(exist_ok=True)
        (target / "statement.json").write_text(statement.to_json())
        signed = target / f"{file.name}{provenance.SUFFIX}"
        self.run(self.courier, "attest", target / "statement.json", "--key", key.private, "-o", signed)
        (target / "statement.json").unlink()
        return signed


def tar(files: Mapping[str, bytes]) -> bytes:
    """An archive of files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def image(
    reference: str, files: Mapping[str, bytes], labels: Mapping[str, str] | None = None, architecture: str = "amd64"
) -> bytes:
    """An image of one layer, as an OCI archive."""
    blobs: dict[str, bytes] = {}

    def blob(media_type: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    plain = tar(files)
    layer = blob(LAYER, gzip.compress(plain, mtime=0))
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]}
    config = {"architecture": architecture, "os": "linux", "config": {"Labels": dict(labels or {})}, "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob(CONFIG, json.dumps(config).encode()),
        "layers": [layer],
    }
    names = {"org.opencontainers.image.ref.name": reference, "io.containerd.image.name": reference}
    entry = {**blob(MANIFEST, json.dumps(manifest).encode()), "annotations": names}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    layout = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode()}
    return tar({**layout, **blobs})


def model_image(weights: bytes, told: bytes | None = None) -> tuple[str, bytes]:
    """An image that carries a model: its reference, and its archive.

    Args:
        weights: Of the model.
        told: The weights that its manifest tells of, where those are others.
    """
    told = weights if told is None else told
    digest = hashlib.sha256(told).hexdigest()
    listed = {"path": "weights.gguf", "size": len(told), "sha256": digest}
    manifest = {"format": 1, "id": "tiny", "licence": "MIT", "files": [listed]}
    named = hashlib.sha256(f"weights.gguf\0{digest}\n".encode()).hexdigest()
    labels = {"ai.cowabunga.model.id": "tiny", "ai.cowabunga.model.digest": named}
    files = {"model/manifest.json": json.dumps(manifest).encode(), "model/weights.gguf": weights, "copy": b"program"}
    reference = f"ghcr.io/cowabungaai/models/tiny:sha256-{named[:12]}"
    return reference, image(reference, files, labels)


def unpacked(file: Path) -> dict[str, bytes]:
    """The files of a package or bundle."""
    found = {}
    with (
        file.open("rb") as source,
        zstandard.ZstdDecompressor().stream_reader(source) as plain,
        tarfile.open(fileobj=plain, mode="r|") as archive,
    ):
        for member in archive:
            if content := archive.extractfile(member):
                found[member.name] = content.read()
    return found


def read_layout(archive: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The first entry of an OCI archive's index, and the archive's blobs by their paths."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        files = {one.name: content.read() for one in opened if (content := opened.extractfile(one))}
    entry: dict[str, Any] = json.loads(files["index.json"])["manifests"][0]
    return entry, {name: content for name, content in files.items() if name.startswith("blobs/")}


def packed(target: Path, files: Mapping[str, bytes]) -> Path:
    """A package or bundle of files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(tar(files)))
    return target
