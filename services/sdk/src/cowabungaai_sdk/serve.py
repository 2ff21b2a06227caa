# SPDX-License-Identifier: Apache-2.0
"""Command line that serves a backend: `cowabungaai-serve package.module:Class --port 50051`.

Exit status: 0 after a drained stop, 1 where the backend could not start, 2 for wrong arguments.
"""

import argparse
import asyncio
import importlib
import logging
import signal
import sys
from collections.abc import Callable, Sequence

from cowabungaai_sdk import logs, telemetry
from cowabungaai_sdk.backend import Backend
from cowabungaai_sdk.manifest import ModelError
from cowabungaai_sdk.server import BackendServer, ServerConfig, ServerStartError
from cowabungaai_sdk.settings import add_setting, amount, one_of, whole

log = logging.getLogger("cowabungaai.serve")


async def serve(backend: Backend, config: ServerConfig) -> None:
    """Serves a backend until SIGTERM or SIGINT, then drains.

    Args:
        backend: what to serve.
        config: how to serve it.

    Raises:
        ServerStartError: the backend has no capability, could not listen, or could not load.
        ModelError: a model is not what it should be.
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
            if isinstance(error, ServerStartError | ModelError):
                raise error
            log.error("load failed", exc_info=error)
            raise ServerStartError(f"the backend could not load: {type(error).__name__}; the log says where")
        await stopping
    finally:
        loading.cancel()
        await server.stop()


def run(
    make_backend: Callable[[argparse.Namespace], Backend],
    argv: Sequence[str] | None = None,
    prog: str | None = None,
    add_own: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
) -> int:
    """Serves one known backend as a command line: what a backend's own `__main__` calls.

    Args:
        make_backend: makes the backend from the parsed arguments; called once they are known to be right.
        argv: the arguments; those of the process by default.
        prog: the program's name in help and messages.
        add_own: adds the backend's own arguments, best by settings.add_setting.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog=prog, description="Serves a CowabungaAI backend over gRPC.")
    add_own(parser)
    add_arguments(parser)
    return run_with(make_backend, parser.parse_args(argv))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that every backend takes; each has an environment variable of the same meaning.

    Args:
        parser: gets the arguments.
    """
    defaults = ServerConfig()
    settings: tuple[tuple[str, Callable[[str], object], object, str], ...] = (
        ("host", str, defaults.host, "address to listen on"),
        ("port", whole(0, 65535), defaults.port, "port to listen on; 0 takes a free one"),
        (
            "drain-seconds",
            amount("seconds"),
            defaults.drain_s,
            "time for calls in flight and in the queue after a stop",
        ),
        ("max-message-bytes", whole(1), defaults.max_message_bytes, "largest message"),
        ("max-concurrency", whole(), None, "calls that the engine works on at once; 0: any number; unset: as it says"),
        ("max-queue", whole(), defaults.max_queue, "calls that may wait for their turn; more are refused"),
        ("metrics-port", whole(0, 65535), defaults.metrics_port, "port of the metrics for Prometheus; 0: none"),
    )
    for name, kind, default, text in settings:
        add_setting(parser, name, kind, default, text)
    add_setting(
        parser, "log-level", one_of(logs.LEVELS), "info", f"least severe log lines to write: {', '.join(logs.LEVELS)}"
    )


def run_with(make_backend: Callable[[argparse.Namespace], Backend], arguments: argparse.Namespace) -> int:
    """Serves a backend as the arguments of add_arguments say.

    Args:
        make_backend: makes the backend from the arguments.
        arguments: parsed arguments.

    Returns:
        The exit status.
    """
    logs.configure(arguments.log_level)
    config = ServerConfig(
        host=arguments.host,
        port=arguments.port,
        drain_s=arguments.drain_seconds,
        max_message_bytes=arguments.max_message_bytes,
        max_concurrency=arguments.max_concurrency,
        max_queue=arguments.max_queue,
        metrics_port=arguments.metrics_port,
    )
    telemetry.configure("cowabungaai-backend")
    try:
        asyncio.run(serve(make_backend(arguments), config))
    except (ServerStartError, ModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        telemetry.shutdown()
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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
        argv: the arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(prog="cowabungaai-serve", description="Serves a backend over gRPC.")
    parser.add_argument("backend", type=backend_class, help="the backend, as package.module:Class")
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    return run_with(lambda _: arguments.backend(), arguments)


if __name__ == "__main__":
    sys.exit(main())
