"""Serves the gateway: `python -m cowabungaai_api --config models.yaml`, or `--model repeater=localhost:50051`.

Exit status: 0 after a drained stop, 1 where the address cannot be had, 2 for wrong arguments or configuration.
"""

import argparse
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from pydantic import ValidationError

from cowabungaai_api.app import create_app
from cowabungaai_api.config import ConfigError, GatewayConfig, Settings
from cowabungaai_api.models_file import parse_models, read_models
from cowabungaai_sdk import logs

log = logging.getLogger("cowabungaai.api")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
        argv: the arguments; those of the process by default.
    """
    try:
        settings = _settings(_parser().parse_args(argv))
        config = _config(settings)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    logs.configure(settings.log_level)
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        print(f"error: cannot listen on {settings.host} port {settings.port}: {error.strerror}", file=sys.stderr)
        return 1
    _serve(settings, config, listener)
    return 0


def _serve(settings: Settings, config: GatewayConfig, listener: socket.socket) -> None:
    fields = {"host": settings.host, "port": listener.getsockname()[1], "models": [m.name for m in config.models]}
    log.info("serving", extra={"fields": fields})
    log.warning("no authentication: every request is answered")
    # uvicorn drains on these signals, then raises them again for whoever handled them before.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(config),
            loop="uvloop",
            http="httptools",
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=settings.drain_seconds,
        )
    )
    server.run(sockets=[listener])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cowabungaai_api",
        description="Serves OpenAI's API in front of CowabungaAI backends.",
        epilog="Every setting has an environment variable too, COWABUNGAAI_API_<NAME>; arguments win.",
    )
    parser.add_argument("--config", type=Path, help="YAML file of models")
    parser.add_argument("--model", action="append", metavar="NAME=HOST:PORT", help="a model without a file; repeatable")
    parser.add_argument("--host", help="address to listen on (default: 0.0.0.0)")
    parser.add_argument("--port", help="port to listen on (default: 8080)")
    parser.add_argument("--log-level", choices=logs.LEVELS, help="least severe log lines to write (default: info)")
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    if models := given.pop("model", None):
        given["models"] = ",".join(models)
    # A source named as an argument replaces the one that the environment names.
    if "config" in given or "models" in given:
        given = {"config": None, "models": "", **given}
    try:
        return Settings(**given)
    except ValidationError as error:
        lines = [f"setting {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ConfigError("; ".join(lines)) from error


def _config(settings: Settings) -> GatewayConfig:
    if settings.config and settings.models:
        raise ConfigError("models are given twice, in a file and one by one; give --config or --model")
    if settings.config:
        models = read_models(settings.config)
    elif settings.models:
        models = parse_models(spec.strip() for spec in settings.models.split(","))
    else:
        raise ConfigError("no models; give --config FILE (COWABUNGAAI_API_CONFIG) or --model NAME=HOST:PORT")
    return GatewayConfig(
        models=models, request_timeout_s=settings.request_timeout_s, max_body_bytes=settings.max_body_bytes
    )


if __name__ == "__main__":
    sys.exit(main())
