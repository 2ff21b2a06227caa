# SPDX-License-Identifier: Apache-2.0
"""The commands `keys` and `db`. What a script wants is on stdout, explanations are on stderr.

Exit status: 0 when done, 1 when it could not be done, 2 for wrong arguments.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from typing import Any

from pydantic import ValidationError

from cowabungaai_api.auth import keys, schema
from cowabungaai_api.auth.bodies import MAX_GRACE_S, CreateKey, key_answer, limits_answer
from cowabungaai_api.auth.config import MAX_LIMIT
from cowabungaai_api.auth.db import Database
from cowabungaai_api.auth.errors import AuthError
from cowabungaai_api.auth.principal import LIMIT_NAMES, Limits
from cowabungaai_api.auth.records import ApiKey, NewKey
from cowabungaai_api.auth.store import MAX_PAGE, KeyStore

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
MAX_SPAN_S = 100 * 365 * 86400
Subparsers = Any
"""argparse's class for them is private."""


def add_keys_parser(subparsers: Subparsers) -> None:
    """Adds the command `keys`.

    Args:
        subparsers: what add_subparsers returned.
    """
    parser = subparsers.add_parser("keys", help="make, list and revoke API keys")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    create = actions.add_parser("create", help="make a key; prints it, this once")
    create.add_argument("--name", required=True, help="what the key is for")
    create.add_argument("--admin", action="store_true", help="let it manage keys, too")
    create.add_argument("--model", action="append", metavar="PATTERN", help="a model it may use; repeatable (all)")
    create.add_argument("--expires", type=_span, metavar="SPAN", help="when it ends, such as 12h or 30d (never)")
    for name in LIMIT_NAMES:
        create.add_argument(f"--{name.replace('_', '-')}", type=_limit, metavar="N", help="limit of the key")

    actions.add_parser("list", help="list the keys, the newest first")
    for action, purpose in (
        ("show", "show what is known of a key"),
        ("revoke", "end a key for good"),
        ("rotate", "give a key a new secret; prints it, this once"),
    ):
        one = actions.add_parser(action, help=purpose)
        one.add_argument("id", metavar="KEY_ID", help="as `keys list` prints it")
        if action == "rotate":
            one.add_argument(
                "--grace", type=_grace, default=0, metavar="SPAN", help="how long the old one stays good (0s)"
            )
    generate = actions.add_parser("generate", help="print a key that is not stored, for the setting admin_key")
    for action in actions.choices.values():
        if action is not generate:
            action.add_argument("--json", action="store_true", help="print JSON")


def add_db_parser(subparsers: Subparsers) -> None:
    """Adds the command `db`.

    Args:
        subparsers: what add_subparsers returned.
    """
    parser = subparsers.add_parser("db", help="bring the database's tables to a version")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    upgrade = actions.add_parser("upgrade", help="make or change the tables; the gateway does so when it starts")
    upgrade.add_argument("revision", nargs="?", default=schema.HEAD, help="the version (the newest)")
    downgrade = actions.add_parser("downgrade", help="change the tables back; what only newer versions have is lost")
    downgrade.add_argument("revision", help="the version; `base` drops the tables")
    actions.add_parser("current", help="print the version of the tables")


def run(arguments: argparse.Namespace, database_url: str) -> int:
    """Runs `keys` or `db`.

    Args:
        arguments: what the parser of these commands made.
        database_url: as for Database.

    Returns:
        The exit status.
    """
    try:
        if arguments.action == "generate":
            print(keys.generate())
            _explain("This key is stored nowhere. Give it to the gateway in the setting admin_key or admin_key_file.")
            return 0
        return asyncio.run(_run(arguments, database_url))
    except AuthError as error:
        _explain(f"error: {error}")
        return 1


async def _run(arguments: argparse.Namespace, database_url: str) -> int:
    db = Database(database_url)
    try:
        if arguments.action in ("upgrade", "downgrade", "current"):
            return await _change_tables(db, arguments)
        await schema.upgrade(db)
        return await _ACTIONS[arguments.action](KeyStore(db), arguments)
    finally:
        await db.close()


async def _change_tables(db: Database, arguments: argparse.Namespace) -> int:
    if arguments.action == "upgrade":
        await schema.upgrade(db, arguments.revision)
    elif arguments.action == "downgrade":
        await schema.downgrade(db, arguments.revision)
    now = await schema.current(db)
    print(now or "base")
    if now != schema.HEAD:
        _explain(f"The newest version is {schema.HEAD}; `db upgrade` goes there.")
    return 0


async def _create(store: KeyStore, arguments: argparse.Namespace) -> int:
    fields = {"name": arguments.name, "models": arguments.model}
    try:
        body = CreateKey.model_validate(fields)
    except ValidationError as error:
        for mistake in error.errors():
            option = {"name": "--name", "models": "--model"}[str(mistake["loc"][0])]
            _explain(f"error: {option} {mistake['input']!r}: {mistake['msg']}")
        return 2
    limits = Limits(*(getattr(arguments, name) for name in LIMIT_NAMES))
    expires_at = None if arguments.expires is None else int(time.time()) + arguments.expires
    scopes = ("admin", "inference") if arguments.admin else ("inference",)
    _print_new(await store.create(body.name, scopes, body.models, limits, expires_at), arguments.json)
    return 0


async def _rotate(store: KeyStore, arguments: argparse.Namespace) -> int:
    _print_new(await store.rotate(arguments.id, arguments.grace), arguments.json)
    return 0


async def _show(store: KeyStore, arguments: argparse.Namespace) -> int:
    _print_key(await store.get(arguments.id), arguments.json)
    return 0


async def _revoke(store: KeyStore, arguments: argparse.Namespace) -> int:
    _print_key(await store.revoke(arguments.id), arguments.json)
    _explain("Gateways that know the key believe it for cache_seconds more.")
    return 0


async def _list(store: KeyStore, arguments: argparse.Namespace) -> int:
    found: list[ApiKey] = []
    more = True
    while more:
        page, more = await store.list(MAX_PAGE, after=found[-1].id if found else None)
        found += page
    if arguments.json:
        print(json.dumps([key_answer(key).model_dump() for key in found], indent=2))
        return 0
    rows = [("ID", "NAME", "KEY", "SCOPES", "MODELS", "EXPIRES", "LAST USED", "STATE")]
    rows += [
        (
            key.id,
            key.name,
            f"{key.prefix}...",
            ",".join(sorted(key.scopes)),
            _models(key),
            _when(key.expires_at),
            _when(key.last_used_at),
            _state(key),
        )
        for key in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


_ACTIONS = {"create": _create, "rotate": _rotate, "show": _show, "revoke": _revoke, "list": _list}


def _print_new(new: NewKey, as_json: bool) -> None:
    if as_json:
        print(json.dumps(key_answer(new.key).model_dump() | {"value": new.secret}, indent=2))
        return
    print(new.secret)
    _explain(f"This is the key {new.key.id} ({new.key.name}). It is shown this once: only a hash of it is stored.")


def _print_key(key: ApiKey, as_json: bool) -> None:
    if as_json:
        print(json.dumps(key_answer(key).model_dump(), indent=2))
        return
    limits = {name.replace("_", " "): value for name, value in limits_answer(key.limits) if value is not None}
    facts = {
        "id": key.id,
        "name": key.name,
        "key": f"{key.prefix}...",
        "state": _state(key),
        "scopes": ",".join(sorted(key.scopes)),
        "models": _models(key),
        "created": _when(key.created_at),
        "expires": _when(key.expires_at),
        "revoked": _when(key.revoked_at),
        "last used": _when(key.last_used_at),
        **limits,
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.ljust(width)}  {value}")


def _models(key: ApiKey) -> str:
    return "all" if key.models is None else ",".join(key.models) or "none"


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= time.time() else "active"


def _when(moment: int | None) -> str:
    return "never" if moment is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _explain(text: str) -> None:
    print(text, file=sys.stderr)


def _span(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    if not 0 < seconds <= MAX_SPAN_S:
        raise argparse.ArgumentTypeError(f"expected a number and s, m, h, d or w, such as 30d, got {text!r}")
    return seconds


def _grace(text: str) -> int:
    seconds = 0 if text in ("0", "0s") else _span(text)
    if seconds > MAX_GRACE_S:
        raise argparse.ArgumentTypeError(f"expected at most {MAX_GRACE_S // 86400}d, got {text!r}")
    return seconds


def _limit(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,16}", text) or not 0 < int(text) <= MAX_LIMIT:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to {MAX_LIMIT}, got {text!r}")
    return int(text)
