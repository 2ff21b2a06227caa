# SPDX-License-Identifier: Apache-2.0
"""The command: what it measures, writes and says, with a gateway that is an echo itself."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bench import __main__ as command
from bench.gateway import measure, targets
from bench.gateway.report import GatewayReport
from bench.gateway.targets import TARGETS, Ground, Running, choose
from bench.processes import Fleet
from cowabunga import services
from cowabunga.errors import MirrorError, UsageError
from shared.ports import free_port


def start_pretended(ground: Ground, base: Running | None) -> Running:
    """A gateway that answers by itself."""
    port = free_port()
    process = ground.fleet.start("pretended", [ground.program, "echo", "-addr", f"127.0.0.1:{port}"])
    return targets._ready(Running(process, f"http://127.0.0.1:{port}/v1", key="any"))


def start_wrong(ground: Ground, base: Running | None) -> Running:
    """A gateway whose streams have one token too many."""
    port = free_port()
    words = [str(ground.program), "echo", "-addr", f"127.0.0.1:{port}", "-tokens", "65"]
    return targets._ready(Running(ground.fleet.start("wrong", words), f"http://127.0.0.1:{port}/v1"))


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours is replaced by an echo."""
    monkeypatch.setitem(TARGETS, "api", replace(TARGETS["api"], start=start_pretended, prepare=lambda: None))


@pytest.fixture
def fleets(monkeypatch: pytest.MonkeyPatch) -> list[Fleet]:
    """All fleets that were made."""
    made: list[Fleet] = []

    class Noted(Fleet):
        def __enter__(self) -> Noted:
            made.append(self)
            return self

    monkeypatch.setattr(measure, "Fleet", Noted)
    return made


def invoke(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(command.app, ["gateway", *arguments])


def all_ended(fleet: Fleet) -> bool:
    """Whether every process of a fleet has ended."""
    return bool(fleet._all) and all(started.process.poll() is not None for started in fleet._all)


@pytest.mark.usefixtures("pretended")
def test_both_files_are_written_and_all_is_ended(tmp_path: Path, fleets: list[Fleet]) -> None:
    options = ["--targets", "api", "--clients", "2,1", "--rounds", "2", "--seconds", "0.1"]
    done = invoke(*options, "--quick", "--output", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    found = GatewayReport.model_validate_json((tmp_path / "out" / "gateway.json").read_text())
    assert [(cell.target, cell.stream, cell.clients, len(cell.rounds)) for cell in found.cells] == [
        (key, stream, clients, 2) for stream in (False, True) for clients in (1, 2) for key in ("echo", "api")
    ]
    assert all(cell.figures.added_p50 for cell in found.cells if cell.target == "api")
    assert all(target.memory.peak >= target.memory.idle > 0 for target in found.targets)
    assert [goal.unit for goal in found.goals] == ["seconds"]
    assert "CowabungaAI gateway benchmark" in (tmp_path / "out" / "gateway.html").read_text()
    assert "round 2 of 2, streamed answers, 2 clients: CowabungaAI" in done.output
    assert all_ended(fleets[0])


def test_json_alone_goes_to_standard_output(tmp_path: Path) -> None:
    options = ["--targets", "echo", "--clients", "1", "--quick", "--seconds", "0.1"]
    done = invoke(*options, "--output", str(tmp_path), "--json")
    assert json.loads(done.stdout)["targets"][0]["key"] == "echo"


def test_a_backend_is_asked_over_grpc(tmp_path: Path) -> None:
    options = ["--targets", "repeater", "--clients", "2", "--quick", "--seconds", "0.1"]
    done = invoke(*options, "--output", str(tmp_path))
    assert done.exit_code == 0, done.output
    found = GatewayReport.model_validate_json((tmp_path / "gateway.json").read_text())
    whole, streamed = (cell.rounds[0] for cell in found.cells)
    assert whole.requests >= 2
    assert (streamed.tokens, streamed.events_per_answer) == (64, 64)
    assert streamed.first_token is not None
    assert 0 < streamed.first_token.p50 < streamed.latency.p50
    assert sum(process.cpu_seconds for process in whole.processes) >= 0


def test_a_backend_that_refuses_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(ground: Ground, base: Running | None) -> Running:
        return replace(targets.start_repeater(ground, base), model="nosuch")

    monkeypatch.setitem(TARGETS, "repeater", replace(TARGETS["repeater"], start=start))
    done = invoke("--targets", "repeater", "--quick", "--output", str(tmp_path))
    assert done.exit_code == 1
    assert "Repeater, gRPC, whole answers, 16 clients: error: NOT_FOUND" in done.output


def test_a_wrong_answer_ends_the_run_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fleets: list[Fleet]
) -> None:
    monkeypatch.setitem(TARGETS, "api", replace(TARGETS["api"], start=start_wrong, prepare=lambda: None))
    done = invoke("--quick", "--targets", "api", "--clients", "1", "--output", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert "CowabungaAI, streamed answers, 16 clients: error: answer of" in done.output
    assert not (tmp_path / "out").exists()
    assert all_ended(fleets[0])


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_all_that_was_started(tmp_path: Path, fleets: list[Fleet], number: signal.Signals) -> None:
    def interrupt() -> None:
        deadline = time.monotonic() + 60
        while not (fleets and len(fleets[0]._all) == 2) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(1)
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        begun = time.monotonic()
        done = invoke("--targets", "api", "--clients", "1", "--seconds", "60", "--output", str(tmp_path))
    finally:
        thread.join()
        signal.signal(signal.SIGTERM, before)
    assert done.exit_code == 130, done.output
    assert time.monotonic() - begun < 50
    assert "everything that was started is ended" in done.output
    assert all_ended(fleets[0])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--targets", "api,nosuch"], "no target is named 'nosuch'"),
        (["--clients", "1,x"], "--clients: 'x' is no number from 1 to 4096"),
        (["--clients", "0"], "--clients: '0'"),
    ],
)
def test_a_wrong_option_is_told_before_anything_runs(
    options: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "take", lambda *_: pytest.fail("measured"))
    done = invoke(*options)
    assert done.exit_code == 2
    assert told in done.output


@pytest.mark.parametrize("package", ["litellm", "sglang-router"])
def test_a_peer_that_cannot_be_had_is_told_with_the_way_around(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, lock: Path) -> Path:
        raise MirrorError("the mirror refused", "Look at the mirror.")

    monkeypatch.setattr(services, "environment", refuse)
    with pytest.raises(MirrorError, match=f"{package} cannot be measured: the mirror refused") as raised:
        TARGETS[package].prepare()
    named = raised.value.hint.rpartition("--targets ")[2].split(",")
    assert package not in named
    assert {"echo", "api"} <= set(named)
    assert raised.value.hint.startswith("Look at the mirror. Without it: ")


def test_what_stands_behind_a_target_comes_along_before_it() -> None:
    assert [target.key for target in choose(["api-grpc", "api"])] == ["echo", "api", "repeater", "api-grpc"]
    with pytest.raises(UsageError):
        choose([""])


def test_each_round_begins_with_another_target() -> None:
    three = choose(["api", "litellm"])
    assert [measure.turns(three, number)[0].key for number in range(4)] == ["echo", "api", "litellm", "echo"]
    assert all(set(measure.turns(three, number)) == set(three) for number in range(4))


def test_peers_are_pinned() -> None:
    for package in ("litellm", "sglang-router"):
        assert TARGETS[package].version[0].isdecimal()
    assert TARGETS["api"].version == ""
