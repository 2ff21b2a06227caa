# SPDX-License-Identifier: Apache-2.0
"""What is measured: how each target is started, one process each, and what it is compared with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import machine, probe
from bench.processes import Fleet, Started, accepts
from cowabunga import services
from cowabunga.errors import CowabungaError, JobError, UsageError
from cowabunga.python_tools import REQUIREMENTS
from shared.ports import free_port

MODEL = "echo"
# LiteLLM asks for a key that looks like one; it is of this machine's loopback alone.
PEER_KEY = "sk-bench-gateway-of-the-loopback"
ROUTER_NOTE = "Rust. Its fast streams wait for the client's delayed acknowledgement, 40 ms: compare their CPU time."
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "ready?"}]}


@dataclass(frozen=True)
class Running:
    """A target that answers.

    Attributes:
        process: Its first process; it may have children.
        address: Base URL that ends in /v1, or HOST:PORT of gRPC.
        model: What it is asked for.
        key: Bearer key; empty where it wants none.
    """

    process: Started
    address: str
    model: str = MODEL
    key: str = ""

    @property
    def pids(self) -> list[int]:
        """All its processes.

        Raises:
            JobError: It has ended; the message has the end of its output.
        """
        code = self.process.process.poll()
        if code is not None:
            raise JobError(
                f"{self.process.name} has ended with {code}:\n{self.process.tail()}", f"Log: {self.process.log}"
            )
        return probe.family(self.process.pid)


@dataclass(frozen=True)
class Ground:
    """What all targets stand on.

    Attributes:
        fleet: Starts their processes.
        program: Of the echo server and the load generator.
        folder: For configuration and databases; removed at the end.
    """

    fleet: Fleet
    program: Path
    folder: Path


@dataclass(frozen=True)
class Target:
    """Something to measure.

    Attributes:
        key: Its name on the command line and in reports.
        title: What people read.
        base: Key of what stands behind it and what it is compared with.
        start: Starts it, given what stands behind it.
        prepare: Makes what starting it needs, with progress of its own.
        native: Whether it speaks gRPC, so that the native client asks it.
        package: Of the package index, where it is not of these sources.
        note: What a reader must know.
    """

    key: str
    title: str
    base: str | None
    start: Callable[[Ground, Running | None], Running]
    prepare: Callable[[], object]
    native: bool = False
    package: str = ""
    note: str = ""

    @property
    def version(self) -> str:
        """Of the package; empty where it is of these sources."""
        return machine.pinned(self.package, _lock(self.package)) if self.package else ""


def _lock(package: str) -> Path:
    return REQUIREMENTS / f"bench-{package}.lock"


def _behind(base: Running | None) -> Running:
    if base is None:
        raise ValueError("a gateway needs something behind it")
    return base


def start_echo(ground: Ground, _: Running | None) -> Running:
    """Start the echo server that stands behind the gateways."""
    port = free_port()
    process = ground.fleet.start("echo", [ground.program, "echo", "-addr", f"127.0.0.1:{port}"])
    return _ready(Running(process, f"http://127.0.0.1:{port}/v1"))


def start_repeater(ground: Ground, _: Running | None) -> Running:
    """Start the repeater, which answers over gRPC."""
    port = free_port()
    words, variables = services.command("repeater", ["--host", "127.0.0.1", "--port", str(port)])
    process = ground.fleet.start("repeater", words, variables)
    process.until(lambda: accepts(port))
    return Running(process, f"127.0.0.1:{port}", model="repeater")


def start_api(ground: Ground, base: Running | None) -> Running:
    """Start our gateway before an HTTP server."""
    return _gateway(ground, "api", f"{_behind(base).address}", _behind(base).model)


def start_api_grpc(ground: Ground, base: Running | None) -> Running:
    """Start our gateway before a gRPC backend."""
    return _gateway(ground, "api-grpc", f"grpc://{_behind(base).address}", _behind(base).model)


def _gateway(ground: Ground, name: str, replica: str, model: str) -> Running:
    port = free_port()
    file = ground.folder / f"{name}.yaml"  # JSON is YAML too.
    file.write_text(
        json.dumps(
            {
                "models": [{"name": MODEL, "backend": "behind", "backend_model": model}],
                "backends": {"behind": {"replicas": [replica]}},
            }
        )
    )
    words, variables = services.command("api", ["--config", str(file), "--host", "127.0.0.1", "--port", str(port)])
    key = _generate_key()
    variables |= {
        "COWABUNGAAI_API_ADMIN_KEY": key,
        "COWABUNGAAI_API_DATABASE_URL": f"sqlite:///{ground.folder / f'{name}.db'}",
    }
    process = ground.fleet.start(name, words, variables)
    return _ready(Running(process, f"http://127.0.0.1:{port}/openai/v1", key=key))


def _generate_key() -> str:
    words, variables = services.command("api", ["keys", "generate"])
    made = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
    if made.returncode or not made.stdout.split():
        raise JobError(f"the gateway's `keys generate` ended with {made.returncode}: {made.stderr.strip()[-500:]}")
    return made.stdout.split()[-1]


def start_litellm(ground: Ground, base: Running | None) -> Running:
    """Start LiteLLM's proxy with one worker, a key, and logging of errors alone."""
    python = _peer("litellm")
    port = free_port()
    file = ground.folder / "litellm.yaml"
    behind = {"model": f"openai/{MODEL}", "api_base": _behind(base).address, "api_key": "none"}
    file.write_text(
        json.dumps(
            {
                "model_list": [{"model_name": MODEL, "litellm_params": behind}],
                "general_settings": {"master_key": PEER_KEY},
            }
        )
    )
    # Its table of prices comes with the package; the newest one would be fetched from a site.
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    options = ["--config", file, "--host", "127.0.0.1", "--port", port, "--num_workers", 1, "--telemetry", "False"]
    process = ground.fleet.start("litellm", [python.parent / "litellm", *map(str, options)], quiet)
    return _ready(Running(process, f"http://127.0.0.1:{port}/v1", key=PEER_KEY))


def start_sglang_router(ground: Ground, base: Running | None) -> Running:
    """Start sglang's router with a key, metrics, and logging of warnings alone."""
    python = _peer("sglang-router")
    port, metrics = free_port(), free_port()
    worker = _behind(base).address.removesuffix("/v1")
    options = ["--host", "127.0.0.1", "--port", port, "--worker-urls", worker, "--policy", "round_robin"]
    options += ["--log-level", "warn", "--prometheus-host", "127.0.0.1", "--prometheus-port", metrics]
    options += ["--api-key", PEER_KEY]
    process = ground.fleet.start("sglang-router", [python, "-m", "sglang_router.launch_router", *map(str, options)], {})
    return _ready(Running(process, f"http://127.0.0.1:{port}/v1", key=PEER_KEY))


def _peer(package: str) -> Path:
    """The Python of a peer's environment; a failure says how to measure without it."""
    try:
        return services.environment(f"bench-{package}", _lock(package))
    except CowabungaError as error:
        others = ",".join(key for key in TARGETS if key != package)
        hint = f"{error.hint} Without it: --targets {others}".strip()
        raise type(error)(f"{package} cannot be measured: {error.message}", hint) from error


def _ready(running: Running) -> Running:
    """Wait until a question over HTTP is answered: the only readiness that counts here."""
    headers = {"Authorization": f"Bearer {running.key}"} if running.key else {}

    def answers() -> bool:
        try:
            url = f"{running.address}/chat/completions"
            return httpx.post(url, json=ASKED, headers=headers, timeout=30, trust_env=False).is_success
        except httpx.TransportError:
            return False

    running.process.until(answers)
    return running


TARGETS = {
    target.key: target
    for target in (
        Target("echo", "Echo directly", None, start_echo, lambda: None, note="The limit: nothing stands between."),
        Target(
            "api",
            "CowabungaAI",
            "echo",
            start_api,
            lambda: services.service_environment("api"),
            note="With a key, metrics and validation of every request.",
        ),
        Target(
            "sglang-router",
            "sglang-router",
            "echo",
            start_sglang_router,
            lambda: _peer("sglang-router"),
            package="sglang-router",
            note=ROUTER_NOTE,
        ),
        Target(
            "litellm",
            "LiteLLM proxy",
            "echo",
            start_litellm,
            lambda: _peer("litellm"),
            package="litellm",
            note="Python, one worker.",
        ),
        Target(
            "repeater",
            "Repeater, gRPC",
            None,
            start_repeater,
            lambda: services.service_environment("repeater"),
            native=True,
            note="Directly, asked by one Python process, which is the limit of what can be asked.",
        ),
        Target(
            "api-grpc",
            "CowabungaAI to gRPC",
            "repeater",
            start_api_grpc,
            lambda: services.service_environment("api"),
            note="What is added is understated: its base is asked by a slower client.",
        ),
    )
}


def choose(keys: Iterable[str]) -> tuple[Target, ...]:
    """The targets of these keys and what stands behind them, in the order of the report.

    Args:
        keys: As on the command line.

    Raises:
        UsageError: There is no such target; the message lists those that are.
    """
    wanted = set()
    for key in keys:
        if key not in TARGETS:
            raise UsageError(f"--targets: no target is named {key!r}", f"The targets are: {', '.join(TARGETS)}.")
        wanted |= {key, TARGETS[key].base}
    return tuple(target for target in TARGETS.values() if target.key in wanted)
