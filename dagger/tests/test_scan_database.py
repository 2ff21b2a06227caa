# SPDX-License-Identifier: Apache-2.0
"""The vulnerability database: its age, its metadata, and how it is taken out of archives and folders."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import dagger
import gql
import pytest
from dagger import dag
from dagger._exceptions import QueryErrorValue

from cowabungaai import open_database, vulnerability_db
from cowabungaai.errors import DatabaseError
from cowabungaai.vulnerability_db import Wanted, age_words, check_metadata, parse_age, why

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


def folder(path: Path, pages: bytes = b"pages", updated: str = "a") -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "trivy.db").write_bytes(pages)
    (path / "metadata.json").write_text(json.dumps({"Version": 2, "UpdatedAt": updated, "DownloadedAt": "b"}))
    return path


def leaf(*names: str) -> bytes:
    """A page of BoltDB's with buckets."""
    position, elements = 16 * len(names), b""
    for number, name in enumerate(names):
        elements += struct.pack("<IIII", 1, position - 16 * number, len(name), 0)
        position += len(name)
    return struct.pack("<QHHI", 0, 2, len(names), 0) + elements + "".join(names).encode()


def branch(*pages: int) -> bytes:
    elements = b"".join(struct.pack("<IIQ", 0, 0, page) for page in pages)
    return struct.pack("<QHHI", 0, 1, len(pages), 0) + elements


def bolt(path: Path, root: int, *pages: bytes) -> Path:
    """A BoltDB file with a root page; the first of the pages is the third, after two that say where the root is."""
    heads = [
        struct.pack("<QHHI", number, 4, 0, 0)
        + struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, 512, 0, page, 0, 0, 2 + len(pages), transaction)
        for number, (page, transaction) in enumerate([(root, 7), (99, 6)])
    ]
    path.write_bytes(b"".join(page.ljust(512, b"\0") for page in (*heads, *pages)))
    return path.parent


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, open_database.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
    ended = run(tmp_path / "db.tar.gz", tmp_path / "out")
    assert ended.returncode == 1
    assert ended.stderr.startswith("it is no readable tar.gz archive: ")
    assert ended.stderr.count("\n") == 1


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "db.tar.gz", {"trivy.db": bytes(range(256)) * 4000, "metadata.json": b"{}"})
    whole.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(open_database.UnusableError, match="it is no readable"):
        open_database.take(whole, tmp_path / "out")


def test_a_changed_archive_is_refused(tmp_path: Path) -> None:
    changed = archive(tmp_path / "db.tar.gz", {"trivy.db": b"pages", "metadata.json": b"{}"})
    content = gzip.decompress(changed.read_bytes())
    first, second = bytearray(gzip.compress(content[:700])), gzip.compress(content[700:])
    first[-8] ^= 1  # of the checksum
    changed.write_bytes(first + second)
    with pytest.raises(open_database.UnusableError, match="it is no readable"):
        open_database.take(changed, tmp_path / "out")


@pytest.mark.parametrize("packed", [True, False])
def test_a_full_disk_is_told_as_such(tmp_path: Path, packed: bool) -> None:
    files = {"trivy.db": bytes(1 << 16), "metadata.json": b"{}"}
    source = archive(tmp_path / "db.tar.gz", files) if packed else folder(tmp_path / "db", files["trivy.db"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/trivy.db").symlink_to("/dev/full")
    ended = run(source, tmp_path / "out")
    assert ended.returncode == 2, "the database may be good"
    assert ended.stderr.startswith("it could not be opened: [Errno 28] No space left on device")
    assert ended.stderr.count("\n") == 1


def test_an_empty_cache_has_none(tmp_path: Path) -> None:
    with pytest.raises(open_database.UnusableError, match=r"there is none: no trivy.db and no metadata.json"):
        open_database.identity(tmp_path)


def test_identity_changes_with_the_database_and_not_with_its_download(tmp_path: Path) -> None:
    first = open_database.identity(folder(tmp_path))
    metadata = tmp_path / "metadata.json"
    metadata.write_text(metadata.read_text().replace('"b"', '"c"'))
    assert open_database.identity(tmp_path) == first
    others = [folder(tmp_path / "later", updated="d"), folder(tmp_path / "other", b"PAGES")]
    assert len({first, *map(open_database.identity, others)}) == 3


def test_a_database_that_another_run_has_replaced_is_not_taken_for_the_one_asked_for(tmp_path: Path) -> None:
    cache = folder(tmp_path / "db")
    known = open_database.identity(cache)
    open_database.take(cache, tmp_path / "out", known)
    folder(cache, b"PAGES")
    ended = run(cache, tmp_path / "out", known)
    assert ended.returncode == 2
    assert "another run has put another one in its place meanwhile" in ended.stderr


def test_what_a_database_does_not_know_is_told(tmp_path: Path) -> None:
    database = bolt(
        tmp_path / "trivy.db",
        2,
        branch(3, 4),
        leaf("cargo::GitHub", "data-source", "debian 13"),
        leaf("pip::GitHub", "vulnerability"),
        leaf("go::a page that was given up"),
    )
    with (tmp_path / "trivy.db").open("ab") as file:
        file.write(b"an advisory on npm::")
    assert open_database.unknown(database, ["cargo::", "debian 13", "go::", "npm::", "pip::"]) == ["go::", "npm::"]


@pytest.mark.parametrize(
    ("content", "told"), [(b"no pages" * 100, "trivy.db is no BoltDB file"), (b"short", "trivy.db is not whole")]
)
def test_what_is_no_database_knows_nothing(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "trivy.db").write_bytes(content)
    with pytest.raises(open_database.UnusableError, match=told):
        open_database.unknown(tmp_path, ["go::"])


def fetching(tmp_path: Path, mirror: str) -> subprocess.CompletedProcess[str]:
    """A fetch by a program that fetches only what the cache lacks, as Trivy does."""
    program = f"""
from pathlib import Path
folder = Path({str(tmp_path)!r}, "db")
if not folder.exists():
    folder.mkdir()
    (folder / "trivy.db").write_text({mirror!r})
    (folder / "metadata.json").write_text("{{}}")
"""
    return run("--fetch", mirror, tmp_path, sys.executable, "-c", program)


def test_a_cache_gives_up_the_database_of_another_mirror(tmp_path: Path) -> None:
    database = folder(tmp_path / "db", b"of nobody") / "trivy.db"
    for mirror in ("one.example/trivy-db:2", "two.example/trivy-db:2"):
        ended = fetching(tmp_path, mirror)
        assert database.read_text() == mirror
        assert ended.stdout == open_database.identity(tmp_path / "db")
    database.write_text("kept")
    fetching(tmp_path, "two.example/trivy-db:2")
    assert database.read_text() == "kept"


def test_a_fetch_that_failed_tells_what_was_said_last(tmp_path: Path) -> None:
    ended = run("--fetch", "one.example/x:2", tmp_path, sys.executable, "-c", "import sys; sys.exit('first\\nlast')")
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (2, "last")


def test_two_databases_are_one_too_many() -> None:
    both = Wanted(dag.directory().file("db.tar.gz"), "registry.example/trivy-db:2", None, None, WEEK)
    with pytest.raises(DatabaseError, match="--db and --db-ref are two databases; give one of them"):
        anyio.run(vulnerability_db.open_database, dag.container(), both)


def failed(code: int, stderr: str) -> dagger.ExecError:
    facts = {"_type": "EXEC_ERROR", "cmd": ["python"], "exitCode": code, "stdout": "", "stderr": stderr}
    error = dagger.QueryError([QueryErrorValue("it failed", extensions=facts)], gql.GraphQLRequest("{ container }"))
    assert isinstance(error, dagger.ExecError)
    return error


def test_another_database_is_advised_only_where_it_would_help() -> None:
    unusable = why(failed(1, "a warning\nthere is none"), "the database x")
    assert str(unusable) == "the database x: there is none; give one by --db FILE or --db-ref REFERENCE"
    full = why(failed(2, "it could not be opened: [Errno 28] No space left on device\n"), "the database x")
    assert str(full) == "the database x: it could not be opened: [Errno 28] No space left on device"
    assert str(why(failed(137, ""), "the database x")) == "the database x: the program ended with exit code 137"


def test_pages_that_lead_back_to_themselves_are_told(tmp_path: Path) -> None:
    told = run("--knows", bolt(tmp_path / "trivy.db", 2, branch(3), branch(2)), "go::")
    assert told.returncode == 1
    assert "its pages lead back to themselves" in told.stderr
