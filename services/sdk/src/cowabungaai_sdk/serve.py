"""Command line that serves a backend: `cowabungaai-serve package.module:Class --port 50051`.

Exit status: 0 after a drained stop, 1 where the backend could not start, 2 for wrong arguments.
"""

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

from cowabungaai_sdk import logs
from cowabungaai_sdk.backend import Backend
from cowabungaai_sdk.channels import MESSAGE_BYTES
from cowabungaai_sdk.server import BackendServer, ServerConfig, ServerStartError

log = logging.getLogger("cowabungaai.serve")


async def serve(backend: Backend, config: ServerConfig) -> None:
    """Serves a backend until SIGTERM or SIGINT, then drains.

    Args:
        backend: what to serve.
        config: how to serve it.

    Raises:
        ServerStartError: the backend has no capability, could not listen, or could not load.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = BackendServer(backend, config)
    await server.start()
    stopping = asyncio.create_task(stop.wait())
    loading = asyncio.create_task(server.load())
    try:
        await asyncio.wait([stopping, loading], return_when=asyncio.FIRST_COMPLETED)
        if loading.done() and (error := loading.exception()):
            log.error("load failed", exc_info=error)
            raise ServerStartError(f"the backend could not load: {type(error).__name__}; the log says where")
        await stopping
    finally:
        loading.cancel()
        await server.stop()


def run(make_backend: Callable[[], Backend], argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Serves one known backend as a command line: what a backend's own `__main__` calls.

    Args:
        make_backend: makes the backend; called once the arguments are known to be right.
        argv: the arguments; those of the process by default.
        prog: the program's name in help and messages.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog=prog, description="Serves a CowabungaAI backend over gRPC.")
    add_arguments(parser)
    return run_with(make_backend, parser.parse_args(argv))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that every backend takes; each has an environment variable of the same meaning.

    Args:
        parser: gets the arguments.
    """
    defaults, env = ServerConfig(), os.environ.get
    # argparse sends string defaults through `type`: a bad environment variable is refused like an argument.
    parser.add_argument("--host", default=env("COWABUNGAAI_HOST", defaults.host), help="address (COWABUNGAAI_HOST)")
    parser.add_argument(
        "--port", type=_port, default=env("COWABUNGAAI_PORT", str(defaults.port)), help="port (COWABUNGAAI_PORT)"
    )
    parser.add_argument(
        "--drain-seconds",
        type=float,
        default=env("COWABUNGAAI_DRAIN_SECONDS", str(defaults.drain_s)),
        help="time for calls in flight after a stop (COWABUNGAAI_DRAIN_SECONDS)",
    )
    parser.add_argument(
        "--max-message-bytes",
        type=int,
        default=env("COWABUNGAAI_MAX_MESSAGE_BYTES", str(MESSAGE_BYTES)),
        help="largest message (COWABUNGAAI_MAX_MESSAGE_BYTES)",
    )
    parser.add_argument(
        "--log-level",
        choices=logs.LEVELS,
        default=env("COWABUNGAAI_LOG_LEVEL", "info"),
        help="least severe log lines to write (COWABUNGAAI_LOG_LEVEL)",
    )


def run_with(make_backend: Callable[[], Backend], arguments: argparse.Namespace) -> int:
    """Serves a backend as the arguments of add_arguments say.

    Args:
        make_backend: makes the backend.
        arguments: parsed arguments.

    Returns:
        The exit status.
    """
    logs.configure(arguments.log_level)
    config = ServerConfig(arguments.host, arguments.port, arguments.drain_seconds, arguments.max_message_bytes)
    try:
        asyncio.run(serve(make_backend(), config))
    except ServerStartError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def backend_class(spec: str) -> Callable[[], Backend]:
    """Finds a backend's class.

    Args:
        spec: `package.module:Class`.

    Raises:
        argparse.ArgumentTypeError: there is no such class; the message says which part is missing.
    """
    module_name, _, class_name = spec.partition(":")
    if not module_name or not class_name:
        raise argparse.ArgumentTypeError(f"{spec!r} is not of the form package.module:Class")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise argparse.ArgumentTypeError(f"cannot import {module_name!r}: {error}") from error
    found = getattr(module, class_name, None)
    if not callable(found):
        raise argparse.ArgumentTypeError(f"module {module_name!r} has no class {class_name!r}")
    make: Callable[[], Backend] = found
    return make


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; expected 0 to 65535")
    return int(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
        argv: the arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(prog="cowabungaai-serve", description="Serves a backend over gRPC.")
    parser.add_argument("backend", type=backend_class, help="the backend, as package.module:Class")
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    return run_with(arguments.backend, arguments)


if __name__ == "__main__":
    sys.exit(main())
