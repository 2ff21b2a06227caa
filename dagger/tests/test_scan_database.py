# SPDX-License-Identifier: Apache-2.0
"""The vulnerability database: its age, its metadata, and how it is taken out of archives and folders."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cowabungaai import open_database
from cowabungaai.errors import DatabaseError
from cowabungaai.vulnerability_db import age_words, check_metadata, parse_age

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def metadata(*, version: int = 2, updated: str = "2026-11-25T06:00:00.200836692Z") -> str:
    return json.dumps({"Version": version, "NextUpdate": updated, "UpdatedAt": updated})


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as target:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("text", "age"), [("7d", WEEK), ("168h", WEEK), (" 90m ", timedelta(minutes=90)), ("1d", timedelta(days=1))]
)
def test_ages_are_read(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "7", "7 d", "d", "-1d", "0d", "1w", "1.5d", "7d1h", "9999999d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(DatabaseError, match=r"--max-db-age: expected a number of days, .* such as 7d or 168h, got"):
        parse_age(text)


@pytest.mark.parametrize(
    ("age", "words"), [(WEEK, "7 days"), (timedelta(hours=47), "47 hours"), (timedelta(minutes=119), "119 minutes")]
)
def test_ages_are_told(age: timedelta, words: str) -> None:
    assert age_words(age) == words


def test_a_young_database_is_good() -> None:
    assert check_metadata(metadata(), "db", NOW, WEEK).updated_at.day == 25


def test_an_old_database_is_refused_with_its_date_and_age() -> None:
    with pytest.raises(DatabaseError) as raised:
        check_metadata(metadata(updated="2026-11-01T06:00:00Z"), "the database db.tar.gz", NOW, WEEK)
    assert str(raised.value).startswith(
        "the database db.tar.gz was updated on 2026-11-01 06:00 UTC, 25 days ago; --max-db-age allows 7 days"
    )


def test_the_last_moment_is_young_enough() -> None:
    check_metadata(metadata(updated="2026-11-19T12:00:00Z"), "db", NOW, WEEK)
    with pytest.raises(DatabaseError):
        check_metadata(metadata(updated="2026-11-19T11:59:59Z"), "db", NOW, WEEK)


def test_a_database_from_the_future_shows_a_wrong_clock() -> None:
    check_metadata(metadata(updated="2026-11-26T12:30:00Z"), "db", NOW, WEEK)
    with pytest.raises(DatabaseError, match="is this machine's clock right"):
        check_metadata(metadata(updated="2026-11-27T12:00:00Z"), "db", NOW, WEEK)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (metadata(version=1), "schema version 1, this Trivy reads version 2"),
        ("{}", "metadata.json is not as Trivy writes it: Version, UpdatedAt"),
        ("nonsense", "metadata.json is not as Trivy writes it: no JSON"),
    ],
)
def test_metadata_of_another_kind_is_refused(text: str, told: str) -> None:
    with pytest.raises(DatabaseError, match=told):
        check_metadata(text, "db", NOW, WEEK)


@pytest.mark.parametrize("prefix", ["", "./"])
def test_an_archive_is_unpacked(tmp_path: Path, prefix: str) -> None:
    files = {f"{prefix}trivy.db": b"pages", f"{prefix}metadata.json": b"{}", "../evil": b"no"}
    open_database.take(archive(tmp_path / "db.tar.gz", files), tmp_path / "out")
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == {
        "trivy.db": b"pages",
        "metadata.json": b"{}",
    }
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"metadata.json": b"{}"}, "the archive has no trivy.db at its top"),
        ({"db/trivy.db": b"x", "db/metadata.json": b"{}"}, "has no trivy.db and no metadata.json at its top"),
        ({"trivy.db": b"", "metadata.json": b"{}"}, "there is none: no trivy.db"),
    ],
)
def test_archives_without_a_database_are_refused(tmp_path: Path, files: dict[str, bytes], told: str) -> None:
    with pytest.raises(open_database.UnusableError, match=told):
        open_database.take(archive(tmp_path / "db.tar.gz", files), tmp_path / "out")


def test_what_is_no_archive_is_refused_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "db.tar.gz").write_bytes(b"not an archive")
    command = [sys.executable, open_database.__file__, str(tmp_path / "db.tar.gz"), str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("it is no readable tar.gz archive: ")
    assert run.stderr.count("\n") == 1


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "db.tar.gz", {"trivy.db": bytes(range(256)) * 4000, "metadata.json": b"{}"})
    whole.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(open_database.UnusableError, match="it is no readable"):
        open_database.take(whole, tmp_path / "out")


def test_an_empty_cache_has_none(tmp_path: Path) -> None:
    with pytest.raises(open_database.UnusableError, match=r"there is none: no trivy.db and no metadata.json"):
        open_database.identity(tmp_path)


def test_identity_changes_with_the_database_and_not_with_its_download(tmp_path: Path) -> None:
    (tmp_path / "trivy.db").write_bytes(b"pages")
    file = tmp_path / "metadata.json"
    file.write_text('{"Version": 2, "UpdatedAt": "a", "DownloadedAt": "b"}')
    first = open_database.identity(tmp_path)
    file.write_text('{"Version": 2, "UpdatedAt": "a", "DownloadedAt": "c"}')
    assert open_database.identity(tmp_path) == first
    file.write_text('{"Version": 2, "UpdatedAt": "d", "DownloadedAt": "c"}')
    assert open_database.identity(tmp_path) != first


def test_what_a_database_does_not_know_is_told(tmp_path: Path) -> None:
    (tmp_path / "trivy.db").write_bytes(b"\0\1debian 13\2pip::GitHub\3")
    assert open_database.unknown(tmp_path, ["debian 13", "pip::", "go::"]) == ["go::"]


def test_a_cache_gives_up_the_database_of_another_mirror(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    database = tmp_path / "db/trivy.db"
    database.touch()
    open_database.main(["--of", "one.example/trivy-db:2", str(tmp_path)])
    assert not database.exists(), "nobody knows where it is from"
    (tmp_path / "db").mkdir()
    database.touch()
    open_database.main(["--of", "one.example/trivy-db:2", str(tmp_path)])
    assert database.exists()
    open_database.main(["--of", "two.example/trivy-db:2", str(tmp_path)])
    assert not database.exists()
