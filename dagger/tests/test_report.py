# SPDX-License-Identifier: Apache-2.0
"""Reading OCI archives, and the size budget."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from test_catalog import spec

from cowabungaai.catalog import ImageBudget
from cowabungaai.errors import BuildError
from cowabungaai.read_archive import facts, main
from cowabungaai.report import check_budget


def write_archive(file: Path, documents: dict[str, object]) -> None:
    """A tar of JSON documents."""
    with tarfile.open(file, "w") as archive:
        for name, document in documents.items():
            content = json.dumps(document).encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_facts_of_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest: dict[str, object] = {"layers": [{}, {}, {}]}
    digest = hashlib.sha256(json.dumps(manifest).encode()).hexdigest()
    index = {"manifests": [{"digest": f"sha256:{digest}", "annotations": {"io.containerd.image.name": "x/y:1"}}]}
    write_archive(tmp_path / "a.tar", {"index.json": index, f"blobs/sha256/{digest}": manifest})
    found = facts(tmp_path / "a.tar", "a.tar")
    size = (tmp_path / "a.tar").stat().st_size
    assert found == {"image": "x/y:1", "digest": f"sha256:{digest}", "size": size, "layers": 3}
    times = []
    for number in (2.5, 7.25, 1.0):
        times.append(tmp_path / f"built-at-{number}")
        times[-1].write_text(f"{number}\n")
    main(str(tmp_path / "a.tar"), "a.tar", *map(str, times))
    assert json.loads(capsys.readouterr().out) == {**found, "built_at": 7.25}


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ({"other.json": {}}, "a.tar is no OCI archive: it has no index.json"),
        ({"index.json": {"manifests": []}}, "a.tar: expected one image in the archive's index"),
    ],
)
def test_what_is_no_archive_is_refused(documents: dict[str, object], message: str, tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar", documents)
    with pytest.raises(SystemExit, match=message):
        main(str(tmp_path / "a.tar"), "a.tar")


def test_an_image_over_its_budget_is_refused() -> None:
    with pytest.raises(BuildError, match=r"61\.0 MB is over its budget of 60 MB"):
        check_budget(spec("a"), "cpu", 61_000_000)


def test_an_image_within_its_budget_passes() -> None:
    check_budget(spec("a"), "cpu", 60_000_000)


def test_the_gpu_flavor_has_a_budget_of_its_own_where_it_is_given_one() -> None:
    check_budget(spec("a"), "gpu", 60_000_000)
    both = spec("a").model_copy(update={"image": ImageBudget(budget_mb=60, gpu_budget_mb=5000)})
    check_budget(both, "gpu", 5_000_000_000)
    with pytest.raises(BuildError, match=r"image\.gpu_budget_mb in services/a/service\.yaml"):
        check_budget(both, "gpu", 5_100_000_000)
