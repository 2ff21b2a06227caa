"""Generates the Python stubs of the protobuf contract: `python services/sdk/generate.py [--check]`.

Needs grpcio-tools (requirements-test.lock pins it); the stubs themselves do not.
"""

import argparse
import sys
import tempfile
from importlib import resources
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTO = HERE / "proto"
STUBS = HERE / "src" / "cowabungaai_sdk" / "v1"
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")


def generate(out: Path) -> None:
    """Writes the stubs of every contract file.

    Args:
        out: an existing folder; the stubs are put directly into it.

    Raises:
        SystemExit: protoc refused a contract file; its own message went to standard error.
    """
    from grpc_tools import protoc

    sources = sorted(PROTO.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as temporary:
        well_known = resources.files("grpc_tools") / "_proto"
        code = protoc.main(
            [
                "protoc",
                f"--proto_path={PROTO}",
                f"--proto_path={well_known}",
                *(f"--{kind}={temporary}" for kind in ("python_out", "pyi_out", "grpc_python_out")),
                *map(str, sources),
            ]
        )
        if code:
            raise SystemExit(code)
        for stub in Path(temporary, "cowabungaai", "v1").iterdir():
            # protoc derives import paths from the contract's folders; ours live inside the SDK's package.
            text = stub.read_text().replace("from cowabungaai.v1 import", "from cowabungaai_sdk.v1 import")
            (out / stub.name).write_text(text)


def stale(committed: Path) -> list[str]:
    """Names the stubs that differ from freshly generated ones, are missing, or have no contract any more.

    Args:
        committed: the folder of the stubs to check.
    """
    with tempfile.TemporaryDirectory() as temporary:
        generate(Path(temporary))
        fresh = _stubs(Path(temporary))
    old = _stubs(committed)
    return sorted(name for name in fresh.keys() | old.keys() if fresh.get(name) != old.get(name))


def _stubs(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name.endswith(SUFFIXES)}


def main() -> int:
    """Runs the command line; exits with 1 where --check finds stale stubs."""
    parser = argparse.ArgumentParser(description="Generates the stubs of the protobuf contract.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the committed stubs are stale")
    parser.add_argument("--out", type=Path, default=STUBS, help="the stubs' folder (default: inside the SDK)")
    arguments = parser.parse_args()
    if not arguments.check:
        generate(arguments.out)
        return 0
    if names := stale(arguments.out):
        print(f"stale stubs: {', '.join(names)}; run `python services/sdk/generate.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
