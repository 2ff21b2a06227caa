# SPDX-License-Identifier: Apache-2.0
"""The contract keeps to its last release, and breaks are found: one test a rule."""

import subprocess
import sys
from pathlib import Path

import pytest

GENERATE = Path(__file__).parents[1] / "generate.py"

RELEASED = """
syntax = "proto3";
package cowabungaai.v1;
enum Color { COLOR_UNSPECIFIED = 0; COLOR_RED = 1; COLOR_BLUE = 2; reserved 5; }
message Thing {
  reserved 9 to 11;
  reserved "old";
  string name = 1;
  optional uint32 size = 2;
  repeated Color colors = 3;
  oneof place { string street = 4; string town = 5; }
  map<string, int32> counts = 6;
  message Inner { bool yes = 1; }
  Inner inner = 7;
}
message Other { string name = 1; }
service Shop {
  rpc Buy(Thing) returns (Other);
  rpc Watch(Thing) returns (stream Other);
}
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, GENERATE, "--proto", folder, "--released", folder / "released.json", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script


def write(folder: Path, text: str, name: str = "shop.proto") -> None:
    (folder / name).write_text(text)


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """The file that `--release` writes of RELEASED."""
    folder = tmp_path_factory.mktemp("released")
    write(folder, RELEASED)
    assert run(folder, "--release").returncode == 0
    return folder / "released.json"


@pytest.fixture
def check(tmp_path, released):
    """Changes RELEASED, and checks it against itself."""

    def check_change(before: str, after: str, name: str = "shop.proto") -> subprocess.CompletedProcess[str]:
        assert before in RELEASED
        (tmp_path / "released.json").write_text(released.read_text())
        write(tmp_path, RELEASED.replace(before, after), name)
        return run(tmp_path, "--check-compatible")

    return check_change


def test_present_contract_keeps_to_its_last_release():
    command = [sys.executable, GENERATE, "--check-compatible"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("string name = 1;\n  optional", "string name = 1;\n  string more = 12;\n  optional"),
        ("string town = 5; }", "string town = 5; string land = 12; }"),
        ("COLOR_BLUE = 2;", "COLOR_BLUE = 2; COLOR_GREEN = 3;"),
        ("message Other {", "message Third {}\nmessage Other {"),
        ("rpc Buy", "rpc Sell(Other) returns (Thing);\n  rpc Buy"),
        ("service Shop {", "service Bank {}\nservice Shop {"),
        ("message Other {", "// A remark.\nmessage Other {"),
        ("optional uint32 size = 2;", 'reserved 2; reserved "size";'),
        ("COLOR_RED = 1;", 'reserved 1; reserved "COLOR_RED";'),
        ("reserved 9 to 11;", "reserved 8 to 12;"),
    ],
)
def test_additions_and_reserved_removals_pass(check, before, after):
    result = check(before, after)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "optional uint32 size = 2;",
            "",
            'message cowabungaai.v1.Thing: field size (2) was removed; put `reserved 2; reserved "size";` in its place',
        ),
        ("optional uint32 size = 2;", "reserved 2;", "field size (2) was removed"),
        ("size = 2;", "size = 12;", "message cowabungaai.v1.Thing: field size was renumbered from 2 to 12"),
        ("uint32 size = 2;", "uint32 length = 2;", "field size (2) was renamed to length"),
        ("uint32 size", "int64 size", "field size: its type changed from uint32 to int64"),
        ("Inner inner", "Other inner", "its type changed from .cowabungaai.v1.Thing.Inner to .cowabungaai.v1.Other"),
        ("optional uint32 size", "uint32 size", "field size: its label changed from optional to singular"),
        ("repeated Color", "Color", "field colors: its label changed from repeated to singular"),
        ("string street = 4; string town = 5; }", "string town = 5; } string street = 4;", "from place to none"),
        ("oneof place {", "oneof spot {", "field street: its oneof changed from place to spot"),
        ("map<string, int32>", "map<string, int64>", "Thing.CountsEntry: field value: its type changed"),
        ("bool yes = 1;", "", "message cowabungaai.v1.Thing.Inner: field yes (1) was removed"),
        ("COLOR_BLUE = 2;", "", "enum cowabungaai.v1.Color: value COLOR_BLUE (2) was removed"),
        ("COLOR_BLUE = 2;", "COLOR_BLUE = 3;", "value COLOR_BLUE was renumbered from 2 to 3"),
        ("COLOR_BLUE = 2;", "COLOR_NAVY = 2;", "value COLOR_BLUE (2) was renamed to COLOR_NAVY"),
        ("reserved 5;", "", "enum cowabungaai.v1.Color: reserved 5 to 5 is not reserved any more"),
        ("reserved 9 to 11;", "reserved 9, 10;", "reserved 9 to 11 is not reserved any more"),
        ('reserved "old";', "", "the reserved name old is not reserved any more"),
        ("rpc Buy(Thing) returns (Other);", "", "service cowabungaai.v1.Shop: method Buy was removed"),
        ("rpc Buy(Thing)", "rpc Buy(Other)", "method Buy: its request changed"),
        ("Buy(Thing) returns (Other)", "Buy(Thing) returns (Thing)", "method Buy: its response changed"),
        ("rpc Buy(Thing)", "rpc Buy(stream Thing)", "method Buy: its stream of requests changed from False to True"),
        ("stream Other", "Other", "method Watch: its stream of responses changed from True to False"),
        ("package cowabungaai.v1;", "package cowabungaai.v2;", "its package changed from cowabungaai.v1 to"),
        ("service Shop {", "service Store {", "service cowabungaai.v1.Shop was removed"),
    ],
)
def test_breaks_are_refused(check, before, after, message):
    result = check(before, after)
    assert result.returncode == 1
    assert message in result.stderr
    assert result.stderr.startswith("shop.proto: ")


def test_removed_message_is_refused(tmp_path, released):
    (tmp_path / "released.json").write_text(released.read_text())
    write(tmp_path, RELEASED.replace("Other", "Another"))
    assert "shop.proto: message cowabungaai.v1.Other was removed" in run(tmp_path, "--check-compatible").stderr


def test_removed_enum_is_refused(tmp_path, released):
    (tmp_path / "released.json").write_text(released.read_text())
    write(tmp_path, RELEASED.replace("Color", "Hue"))
    assert "shop.proto: enum cowabungaai.v1.Color was removed" in run(tmp_path, "--check-compatible").stderr


def test_renamed_file_is_refused(check):
    result = check("message Other", "message Other", "store.proto")
    assert "shop.proto: removed" in result.stderr
    assert "shop.proto: message cowabungaai.v1.Thing was moved to store.proto" in result.stderr


def test_moved_enum_is_refused(tmp_path, released):
    (tmp_path / "released.json").write_text(released.read_text())
    enum = next(line for line in RELEASED.splitlines() if line.startswith("enum"))
    write(tmp_path, RELEASED.replace(enum, 'import "color.proto";'))
    write(tmp_path, f'syntax = "proto3";\npackage cowabungaai.v1;\n{enum}\n', "color.proto")
    result = run(tmp_path, "--check-compatible")
    assert "shop.proto: enum cowabungaai.v1.Color was moved to color.proto" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), ("{", "not a contract that `--release` wrote")]
)
def test_release_that_cannot_be_read_is_said(tmp_path, content, message):
    write(tmp_path, RELEASED)
    if content is not None:
        (tmp_path / "released.json").write_text(content)
    result = run(tmp_path, "--check-compatible")
    assert message in result.stderr
    assert (result.returncode, "Traceback" in result.stderr) == (1, False)
