# SPDX-License-Identifier: Apache-2.0
"""What a build leaves in its folder, with a plain copy in the engine's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from cowabunga.receiving import FOLDER, receiving

KNOWN = "images/*.tar"


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which an earlier build left two archives and something else its notes."""
    monkeypatch.setenv("COWABUNGA_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "dist"
    (folder / "images").mkdir(parents=True)
    for name in ("images/api.tar", "images/api-gpu.tar", "notes.txt"):
        (folder / name).write_text("old")
    return folder


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder, with what is in it."""
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_what_was_written_replaces_and_the_rest_stays(target: Path) -> None:
    with receiving(target, KNOWN) as incoming:
        assert content(incoming) == {"images/api.tar": "old", "images/api-gpu.tar": "old"}
        assert (incoming / "images/api.tar").samefile(target / "images/api.tar")
        for name in ("api-gpu.tar", "api.tar"):  # As wiping does, and what writes a file anew.
            (incoming / "images" / name).unlink()
        (incoming / "images/api.tar").write_text("new")
        (incoming / "build-report.json").write_text("{}")
    assert content(target) == {
        "images/api.tar": "new",
        "images/api-gpu.tar": "old",
        "notes.txt": "old",
        "build-report.json": "{}",
    }
    assert not (target / FOLDER).exists()


def test_an_unchanged_archive_is_the_same_file_afterwards(target: Path) -> None:
    before = (target / "images/api.tar").stat()
    with receiving(target, KNOWN):
        pass
    assert (target / "images/api.tar").stat().st_ino == before.st_ino
    assert (target / "images/api.tar").stat().st_nlink == 1


def test_a_build_that_fails_changes_nothing(target: Path) -> None:
    before = content(target)
    with pytest.raises(KeyboardInterrupt), receiving(target, KNOWN) as incoming:  # noqa: PT012
        (incoming / "images/whisper.tar").write_text("half")
        raise KeyboardInterrupt
    assert content(target) == before


def test_what_a_killed_build_left_is_removed(target: Path) -> None:
    (target / FOLDER / "images").mkdir(parents=True)
    (target / FOLDER / "images/half.tar").write_text("half")
    with receiving(target, KNOWN):
        pass
    assert "images/half.tar" not in content(target)


def test_a_folder_that_is_empty_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COWABUNGA_HOME", str(tmp_path / "cache"))
    with receiving(tmp_path / "dist", KNOWN) as incoming:
        (incoming / "images").mkdir()
        (incoming / "images/api.tar").write_text("new")
    assert content(tmp_path / "dist") == {"images/api.tar": "new"}
