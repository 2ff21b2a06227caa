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

from cowabungaai_sdk import logs, telemetry
from cowabungaai_sdk.backend import Backend
from cowabungaai_sdk.manifest import ModelError
from cowabungaai_sdk.server import BackendServer, ServerConfig, ServerStartError

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
        add_own: adds the backend's own arguments, best by add_setting.

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
        ("port", _port, defaults.port, "port to listen on; 0 takes a free one"),
        ("drain-seconds", _seconds, defaults.drain_s, "time for calls in flight and in the queue after a stop"),
        ("max-message-bytes", _positive, defaults.max_message_bytes, "largest message"),
        ("max-concurrency", _count, None, "calls that the engine works on at once; 0: any number; unset: as it says"),
        ("max-queue", _count, defaults.max_queue, "calls that may wait for their turn; more are refused"),
        ("metrics-port", _port, defaults.metrics_port, "port of the metrics for Prometheus; 0: none"),
    )
    for name, kind, default, text in settings:
        add_setting(parser, name, kind, default, text)
    add_setting(parser, "log-level", _level, "info", f"least severe log lines to write: {', '.join(logs.LEVELS)}")


def add_setting(
    parser: argparse.ArgumentParser,
    name: str,
    kind: Callable[[str], object],
    default: object,
    text: str,
) -> None:
    """Adds an argument that has an environment variable too: `--max-queue` and COWABUNGAAI_MAX_QUEUE.

    Args:
        parser: gets the argument.
        name: its name without dashes in front.
        kind: reads a value; raises argparse.ArgumentTypeError where it is wrong.
        default: the value where neither is given; None means unset.
        text: what it is, for the help.
    """
    variable = f"COWABUNGAAI_{name.upper().replace('-', '_')}"
    value = os.environ.get(variable) or (None if default is None else str(default))
    shown = "" if default is None else f"; default: {default}"
    parser.add_argument(
        f"--{name}",
        # argparse sends string defaults through `type`: a bad environment variable is refused like an argument.
        type=kind,
        default=value,
        metavar="VALUE",
        help=f"{text} ({variable}{shown})",
    )


def boolean(text: str) -> bool:
    """Reads true or false, for add_setting.

    Args:
        text: either, in the ways that people write them.

    Raises:
        argparse.ArgumentTypeError: it is neither.
    """
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return values[text.lower()]


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


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; expected 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a count; expected a whole number from 0")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; expected a whole number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected seconds from 0")
    return seconds


def _level(text: str) -> str:
    if text not in logs.LEVELS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a level; expected one of {', '.join(logs.LEVELS)}")
    return text


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
