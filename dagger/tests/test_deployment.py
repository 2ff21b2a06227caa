# SPDX-License-Identifier: Apache-2.0
"""Deployment repositories: which files are read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from cowabungaai.deployment import MANIFESTS, check_used, git_tree, update_folder
from cowabungaai.errors import ManifestError
from cowabungaai.manifest_updates import from_argument
from cowabungaai.manifests import Outcome

API = "ghcr.io/awdemos/cowabungaai/api"
UPDATE = from_argument(f"{API}@sha256:{'a' * 64}")
POD = f"apiVersion: v1\r\nkind: Pod\r\nspec: {{containers: [{{image: {API}}}]}}\r\n"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A repository, and where changes go."""
    root, changed = tmp_path / "root", tmp_path / "changed"
    (root / "base [1]").mkdir(parents=True)
    changed.mkdir()
    return root, changed


def test_files_that_change_are_written_with_their_bytes_and_permissions(folders: tuple[Path, Path]) -> None:
    root, changed = folders
    file = root / "base [1]" / "pod.yaml"
    file.write_bytes(POD.encode())
    file.chmod(0o750)
    (root / "other.yaml").write_text("a: 1\n")
    (root / "link.yaml").symlink_to(file)
    update_folder(root, changed, [UPDATE])
    written = [path for path in changed.rglob("*") if path.is_file()]
    assert [str(path.relative_to(changed)) for path in written] == ["base [1]/pod.yaml"]
    assert written[0].read_bytes().decode() == POD.replace(API, str(UPDATE.target))
    assert written[0].stat().st_mode & 0o777 == 0o750


def test_what_kubernetes_and_kustomize_read_is_looked_into(tmp_path: Path) -> None:
    names = {"Kustomization", "a/kustomization.yml", "a/b/patch.json", "pod.yaml"}
    for name in (*names, "README.md", "a/values.yaml.tpl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {str(file.relative_to(tmp_path)) for pattern in MANIFESTS for file in tmp_path.glob(pattern)}
    assert found == names


def test_a_file_that_is_not_in_utf_8_is_told_and_left_alone(folders: tuple[Path, Path]) -> None:
    root, changed = folders
    (root / "strange.yaml").write_bytes(b"a: 1\n# f\xfcr\n" + POD.encode())
    (root / "pod.yaml").write_bytes(POD.encode())
    outcome = update_folder(root, changed, [UPDATE])
    assert outcome.unreadable == ["strange.yaml:2: not UTF-8, left as it is: invalid start byte at byte 8"]
    assert [path.name for path in changed.iterdir()] == ["pod.yaml"]
    with pytest.raises(ManifestError, match=r"strange\.yaml:2: not UTF-8"):
        check_used(outcome, [from_argument(f"x/other@sha256:{'a' * 64}")])


def test_an_image_of_the_command_line_must_be_there() -> None:
    with pytest.raises(ManifestError, match=f"no manifest names {API}"):
        check_used(Outcome(), [UPDATE])


@pytest.mark.parametrize(
    "url",
    ["http://local:3000/a.git", "https://local/a.git"],
)
def test_a_server_that_nobody_binds_is_told(url: str) -> None:
    with pytest.raises(ManifestError, match=rf"--git {url}: the host 'local' is the one that --git-via binds"):
        anyio.run(git_tree, url, None, None)


def test_one_image_of_a_report_must_be_there() -> None:
    with pytest.raises(ManifestError, match="no manifest names any of the images") as caught:
        check_used(Outcome(unreadable=["a.yaml:1: not valid YAML"]), [])
    assert "a.yaml:1: not valid YAML" in str(caught.value)
    check_used(Outcome(used=[UPDATE]), [])
