# SPDX-License-Identifier: Apache-2.0
"""Generates the Python stubs of the protobuf contract, and guards it: `python services/sdk/generate.py [--check]`.

Needs grpcio-tools (requirements-test.lock pins it); the stubs themselves do not.
"""

import argparse
import json
import sys
import tempfile
from importlib import resources
from pathlib import Path

from compatibility import problems
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet
from google.protobuf.json_format import MessageToDict, ParseDict

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROTO = HERE / "proto"
RELEASED = PROTO / "released.json"
STUBS = HERE / "src" / "cowabungaai_sdk" / "v1"
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")


def generate(out: Path) -> None:
    """Writes the stubs of every contract file.

    Args:
        out: an existing folder; the stubs are put directly into it.

    Raises:
        SystemExit: protoc refused a contract file; its own message went to standard error.
    """
    with tempfile.TemporaryDirectory() as temporary:
        _protoc(PROTO, *(f"--{kind}={temporary}" for kind in ("python_out", "pyi_out", "grpc_python_out")))
        for stub in Path(temporary, "cowabungaai", "v1").iterdir():
            # protoc derives import paths from the contract's folders; ours live inside the SDK's package.
            text = stub.read_text().replace("from cowabungaai.v1 import", "from cowabungaai_sdk.v1 import")
            (out / stub.name).write_text(text)


def stale(committed: Path) -> list[str]:
    """Tells the stubs that differ from freshly generated ones, are missing, or have no contract any more.

    Args:
        committed: the folder of the stubs to check.

    Returns:
        a line for each, with its path from the repository's root if it lies there.
    """
    with tempfile.TemporaryDirectory() as temporary:
        generate(Path(temporary))
        fresh = _stubs(Path(temporary))
    old = _stubs(committed)
    folder = committed.resolve()
    shown = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    return [
        f"{shown / name}:1: stale" for name in sorted(fresh.keys() | old.keys()) if fresh.get(name) != old.get(name)
    ]


def describe(proto: Path) -> FileDescriptorSet:
    """The contract as protoc understands it.

    Args:
        proto: the folder of the contract's files.

    Raises:
        SystemExit: protoc refused a contract file; its own message went to standard error.
    """
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary, "contract.binpb")
        _protoc(proto, f"--descriptor_set_out={out}")
        found = FileDescriptorSet.FromString(out.read_bytes())
    for file in found.file:
        for message in file.message_type:
            _drop_json_names(message)
    return found


def broken(proto: Path, released: Path) -> list[str]:
    """Lists what the contract breaks for those who use its last release.

    Args:
        proto: the folder of the contract's files.
        released: the file that `--release` wrote.

    Raises:
        SystemExit: there is no such file, or it holds something else.
    """
    try:
        old = ParseDict(json.loads(released.read_text()), FileDescriptorSet())
    except FileNotFoundError as error:
        raise SystemExit(f"{released}: no such file; `--release` writes it") from error
    except ValueError as error:
        raise SystemExit(f"{released}: not a contract that `--release` wrote: {error}") from error
    return problems(old, describe(proto))


def release(proto: Path, released: Path) -> None:
    """Makes the present contract the one that later ones are compared with.

    Args:
        proto: the folder of the contract's files.
        released: the file to write.
    """
    released.write_text(json.dumps(MessageToDict(describe(proto)), indent=1, sort_keys=True) + "\n")


def _protoc(proto: Path, *arguments: str) -> None:
    from grpc_tools import protoc

    well_known = resources.files("grpc_tools") / "_proto"
    sources = map(str, sorted(proto.rglob("*.proto")))
    if code := protoc.main(["protoc", f"--proto_path={proto}", f"--proto_path={well_known}", *arguments, *sources]):
        raise SystemExit(code)


def _drop_json_names(message: DescriptorProto) -> None:
    """Takes out what only repeats the fields' names."""
    for member in message.field:
        member.ClearField("json_name")
    for nested in message.nested_type:
        _drop_json_names(nested)


def _stubs(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name.endswith(SUFFIXES)}


def _fail(lines: list[str], advice: str) -> int:
    for line in lines:
        print(line, file=sys.stderr)
    if lines:
        print(advice, file=sys.stderr)
    return 1 if lines else 0


def main() -> int:
    """Runs the command line; exits with 1 where a check fails."""
    parser = argparse.ArgumentParser(description="Generates the stubs of the protobuf contract, and guards it.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="write nothing; fail if the committed stubs are stale")
    what.add_argument("--check-compatible", action="store_true", help="fail if the contract breaks its last release")
    what.add_argument("--release", action="store_true", help="make the contract the one to compare with")
    parser.add_argument("--out", type=Path, default=STUBS, help="the stubs' folder (default: inside the SDK)")
    parser.add_argument("--proto", type=Path, default=PROTO, help="the contract's folder, for the last two")
    parser.add_argument("--released", type=Path, default=RELEASED, help="the last release's contract")
    arguments = parser.parse_args()
    if arguments.check:
        return _fail(stale(arguments.out), "run `python services/sdk/generate.py`")
    if arguments.check_compatible:
        advice = "old clients or backends would break; keep to the release, or make a package v2 beside it"
        return _fail(broken(arguments.proto, arguments.released), advice)
    if arguments.release:
        release(arguments.proto, arguments.released)
    else:
        generate(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
