# SPDX-License-Identifier: Apache-2.0
"""The commands `keys` and `db`, on both databases."""

import argparse
import json
import re
import time
from collections.abc import Callable

import pytest

from cowabungaai_api.auth import cli, keys

Run = Callable[..., tuple[int, str, str]]
ID = re.compile(r"key_[0-9a-f]{30}")


@pytest.fixture
def run(database_url: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; its status, stdout and stderr."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser(prog="cowabungaai_api")
        commands = parser.add_subparsers(dest="command", required=True)
        cli.add_keys_parser(commands)
        cli.add_db_parser(commands)
        try:
            status = cli.run(parser.parse_args(arguments), database_url)
        except SystemExit as error:
            status = int(error.code or 0)
        return status, *capsys.readouterr()

    return ran


def made(run: Run, *options: str) -> tuple[str, str]:
    """Makes a key; its id and secret."""
    status, out, err = run("keys", "create", "--name", "first", *options)
    assert status == 0
    found = ID.search(err)
    assert found is not None
    return found[0], out.strip()


def test_only_the_key_is_on_stdout(run: Run) -> None:
    status, out, err = run("keys", "create", "--name", "first")
    assert status == 0
    assert keys.is_well_formed(out.removesuffix("\n"))
    assert "shown this once" in err
    assert out.strip() not in err


def test_every_option_of_create(run: Run) -> None:
    limits = ["--requests-per-minute", "1", "--tokens-per-minute", "2", "--requests-per-day", "3"]
    limits += ["--tokens-per-day", "4", "--tokens-per-month", "5"]
    options = ["--name", "all", "--admin", "--model", "a-*", "--model", "b", "--expires", "30d", *limits, "--json"]
    status, out, err = run("keys", "create", *options)
    assert (status, err) == (0, "")
    key = json.loads(out)
    assert keys.is_well_formed(key["value"])
    assert (key["name"], key["scopes"], key["models"]) == ("all", ["admin", "inference"], ["a-*", "b"])
    assert list(key["limits"].values()) == [1, 2, 3, 4, 5]
    assert key["expires_at"] == pytest.approx(time.time() + 30 * 86400, abs=60)


def test_the_list_is_a_table(run: Run) -> None:
    first, _ = made(run)
    second, _ = made(run, "--admin", "--model", "llama-*", "--expires", "1h")
    run("keys", "revoke", first)
    status, out, _ = run("keys", "list")
    assert status == 0
    head, *rows = out.splitlines()
    assert [row.split()[0] for row in rows] == [second, first]
    for column in ("NAME", "KEY", "SCOPES", "MODELS", "EXPIRES", "LAST USED", "STATE"):
        start = head.index(column)
        assert all(row[start - 1] == " " and row[start] != " " for row in rows)
    assert rows[0].endswith("active")
    assert rows[1].endswith("revoked")
    listed = json.loads(run("keys", "list", "--json")[1])
    assert [key["id"] for key in listed] == [second, first]


def test_the_list_goes_over_pages(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made_ids = [made(run)[0] for _ in range(5)]
    monkeypatch.setattr(cli, "MAX_PAGE", 2)
    listed = json.loads(run("keys", "list", "--json")[1])
    assert [key["id"] for key in listed] == made_ids[::-1]


def test_an_empty_list_has_a_head(run: Run) -> None:
    assert run("keys", "list")[1].split()[0] == "ID"
    assert json.loads(run("keys", "list", "--json")[1]) == []


def test_show(run: Run) -> None:
    id, secret = made(run, "--tokens-per-day", "7")
    status, out, _ = run("keys", "show", id)
    assert status == 0
    facts = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in out.splitlines())
    assert facts["key"] == f"{secret[:11]}..."
    assert (facts["state"], facts["models"], facts["tokens per day"]) == ("active", "all", "7")
    assert json.loads(run("keys", "show", id, "--json")[1])["id"] == id
    assert secret not in out


def test_revoke_and_rotate(run: Run) -> None:
    id, secret = made(run)
    status, out, _ = run("keys", "rotate", id, "--grace", "1h")
    assert status == 0
    assert keys.is_well_formed(out.strip())
    assert out.strip() != secret
    assert keys.is_well_formed(json.loads(run("keys", "rotate", id, "--json", "--grace", "0")[1])["value"])
    status, out, err = run("keys", "revoke", id)
    assert status == 0
    assert "revoked" in out
    assert "cache_seconds" in err
    status, out, err = run("keys", "rotate", id)
    assert (status, out) == (1, "")
    assert err == f"error: The API key '{id}' is revoked, which is for good; make a new one.\n"


@pytest.mark.parametrize("action", ["show", "revoke", "rotate"])
def test_a_key_that_is_not_there_is_told(run: Run, action: str) -> None:
    assert run("keys", action, "nope") == (1, "", "error: There is no API key with the id 'nope'.\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create"], "--name"),
        (["create", "--name", ""], "--name ''"),
        (["create", "--name", "a\x1b"], "--name"),
        (["create", "--name", "a", "--model", ""], "--model ''"),
        (["create", "--name", "a", "--expires", "30"], "expected a number and s, m, h, d or w, such as 30d, got '30'"),
        (["create", "--name", "a", "--expires", "0d"], "got '0d'"),
        (["create", "--name", "a", "--expires", "99999999w"], "got '99999999w'"),
        (["create", "--name", "a", "--tokens-per-day", "0"], "expected a whole number from 1"),
        (["create", "--name", "a", "--tokens-per-day", "1e3"], "got '1e3'"),
        (["rotate", "key", "--grace", "31d"], "expected at most 30d"),
        (["nonsense"], "nonsense"),
        ([], "ACTION"),
    ],
)
def test_wrong_arguments_are_told(run: Run, arguments: list[str], told: str) -> None:
    status, out, err = run("keys", *arguments)
    assert (status, out) == (2, "")
    assert told in err


def test_a_generated_key_needs_no_database(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = argparse.Namespace(action="generate")
    assert cli.run(arguments, "nonsense") == 0
    assert keys.is_well_formed(capsys.readouterr().out.strip())


def test_the_versions_of_the_tables(run: Run) -> None:
    assert run("db", "current") == (0, "base\n", "The newest version is 0001; `db upgrade` goes there.\n")
    assert run("db", "upgrade") == (0, "0001\n", "")
    assert run("db", "current") == (0, "0001\n", "")
    assert run("db", "downgrade", "base")[:2] == (0, "base\n")
    status, out, err = run("db", "downgrade", "nonsense")
    assert (status, out) == (1, "")
    assert err.startswith("error: database ")
    assert run("db", "downgrade")[0] == 2


def test_a_database_that_cannot_be_used_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = argparse.Namespace(action="current")
    assert cli.run(arguments, "postgresql://u:secret@127.0.0.1:1/d") == 1
    err = capsys.readouterr().err
    assert err.startswith("error: database postgresql://u@127.0.0.1:1/d: ")
    assert "secret" not in err
