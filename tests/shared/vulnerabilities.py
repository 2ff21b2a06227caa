# SPDX-License-Identifier: Apache-2.0
"""Small vulnerability databases, made by the official builder from advisories of our own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from cowabunga import gotools

SCHEMA = 2
LAYER_TYPE = "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
SUITE, RELEASE = "trixie", "13"
# The builder asks Go for the names of the standard library's packages; for these advisories none will do.
DRIVER = "#!/bin/sh\ncat > /dev/null\necho '{}'\n"


@dataclass(frozen=True)
class Advisory:
    """A fault that is mended in a version.

    Attributes:
        id: A CVE's.
        package: Source package of Debian's, or a package of the ecosystem.
        fixed: The version without it.
        ecosystem: Debian, or one of OSV's, such as PyPI and Go.
        severity: HIGH, MODERATE or LOW; Debian's are always HIGH.
    """

    id: str
    package: str
    fixed: str
    ecosystem: str = "Debian"
    severity: str = "HIGH"


# What a database must know of, for a scan of images and sources to mean anything; nothing of ours has any of it.
ELSEWHERE = [
    Advisory("CVE-2099-0002", "nginx", "99.0-1"),
    Advisory("CVE-2099-0003", "no-such", "1.0", "PyPI", "LOW"),
    Advisory("CVE-2099-0004", "example.test/no-such", "1.0.0", "Go", "LOW"),
]


def build(folder: Path, advisories: list[Advisory], updated: datetime | None = None) -> Path:
    """Make a database as the official artifact has it.

    Args:
        folder: An empty one to work in.
        advisories: What it knows.
        updated: When it claims to have been made; now, if not given.

    Returns:
        A tar.gz with trivy.db and metadata.json.
    """
    sources, out, driver = folder / "sources", folder / "out", folder / "driver"
    for advisory in advisories:
        _write_debian(sources, advisory) if advisory.ecosystem == "Debian" else _write_osv(sources, advisory)
    tracker = sources / "vuln-list-debian" / "tracker"
    for name in ("CVE", "DLA", "DSA"):
        (tracker / name).mkdir(parents=True, exist_ok=True)
    _write(tracker / "distributions.json", {SUITE: {"major-version": RELEASE}})
    (sources / "cocoapods-specs" / "Specs").mkdir(parents=True)
    (sources / "ghsa" / "advisories" / "github-reviewed").mkdir(parents=True, exist_ok=True)
    driver.write_text(DRIVER)
    driver.chmod(0o755)
    trivy_db = gotools.ensure("trivy-db") / "trivy-db"
    command: list[str | Path] = [trivy_db, "build", "--cache-dir", sources, "--output-dir", out]
    targets = ["--only-update", "debian", "--only-update", "ghsa"]
    environment = {**os.environ, "GOPACKAGESDRIVER": str(driver)}
    made = subprocess.run([*command, *targets], env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    if updated is not None:
        metadata = json.loads((out / "metadata.json").read_text())
        _write(out / "metadata.json", {**metadata, "UpdatedAt": updated.astimezone(UTC).isoformat()})
    archive = folder / "db.tar.gz"
    with tarfile.open(archive, "w:gz") as target:
        for name in ("trivy.db", "metadata.json"):
            target.add(out / name, name)
    return archive


def push(archive: Path, host: str, name: str) -> None:
    """Put a database into a registry, as mirrors of the official one have it.

    Args:
        archive: A database.
        host: Of a registry without TLS.
        name: Of the repository.
    """
    with httpx.Client(base_url=f"http://{host}/v2/{name}", trust_env=False, timeout=60) as client:

        def blob(content: bytes, media_type: str) -> dict[str, Any]:
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            begun = client.post("/blobs/uploads/").raise_for_status()
            location = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest})
            client.put(location, content=content).raise_for_status()
            return {"mediaType": media_type, "digest": digest, "size": len(content)}

        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": blob(b"{}", "application/vnd.aquasec.trivy.config.v1+json"),
            "layers": [
                {
                    **blob(archive.read_bytes(), LAYER_TYPE),
                    "annotations": {"org.opencontainers.image.title": "db.tar.gz"},
                }
            ],
        }
        content = json.dumps(manifest).encode()
        client.put(f"/manifests/{SCHEMA}", content=content, headers={"Content-Type": MANIFEST_TYPE}).raise_for_status()


def _write(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def _write_debian(sources: Path, advisory: Advisory) -> None:
    mended = {"Type": "package", "Package": advisory.package, "Kind": "fixed", "Version": advisory.fixed}
    header = {"ID": advisory.id, "Description": f"(A fault of {advisory.package})"}
    annotations = [{**mended, "Severity": "high"}, {**mended, "Release": SUITE}]
    file = sources / "vuln-list-debian" / "tracker" / "CVE" / f"{advisory.id}.json"
    _write(file, {"Header": header, "Annotations": annotations})


def _write_osv(sources: Path, advisory: Advisory) -> None:
    name = advisory.id.replace("CVE-", "GHSA-")
    events = [{"introduced": "0"}, {"fixed": advisory.fixed}]
    affected = {
        "package": {"ecosystem": advisory.ecosystem, "name": advisory.package},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    content = {
        "schema_version": "1.4.0",
        "id": name,
        "aliases": [advisory.id],
        "summary": f"A fault of {advisory.package}",
        "affected": [affected],
        "database_specific": {"severity": advisory.severity},
    }
    _write(sources / "ghsa" / "advisories" / "github-reviewed" / "2099" / "01" / name / f"{name}.json", content)
