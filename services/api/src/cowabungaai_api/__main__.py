# SPDX-License-Identifier: Apache-2.0
"""The gateway's command line: `python -m cowabungaai_api [serve|keys|db|check|openapi] ...`.

Exit status: 0 after a drained stop, 1 where the address or the database cannot be had, 2 for wrong arguments or
configuration.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr, ValidationError

from cowabungaai_api.config.file import GatewayConfig
from cowabungaai_api.config.load import ConfigError, parse_models, read_config
from cowabungaai_api.config.settings import Settings
from cowabungaai_sdk import logs


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
        argv: the arguments; those of the process by default.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "serve")
    arguments = _parser().parse_args(given)
    try:
        settings = _settings(arguments)
        if arguments.command in ("keys", "db"):
            from cowabungaai_api.auth import cli

            return cli.run(arguments, settings.database_url.get_secret_value())
        if arguments.command == "openapi":
            return _openapi(settings)
        config = _config(settings)
        if arguments.command == "check":
            print(f"{len(config.models)} models, {len(config.backends)} backends: no mistake found")
            return 0
        from cowabungaai_api.serve import serve

        return serve(settings, config)
    except ConfigError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    from cowabungaai_api.auth import cli

    parser = argparse.ArgumentParser(
        prog="cowabungaai_api",
        description="Serves OpenAI's API in front of CowabungaAI backends.",
        epilog="Without a command: serve. Every setting has an environment variable too, COWABUNGAAI_API_<NAME>; "
        "arguments win.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve the API until SIGTERM")
    check = commands.add_parser("check", help="check a configuration file, and say every mistake with its line")
    for command in (serve, check):
        command.add_argument("--config", type=Path, help="YAML or TOML file of models and backends")
        command.add_argument(
            "--model", action="append", metavar="NAME=ADDRESS", help="a model without a file; repeatable"
        )
    serve.add_argument("--host", help="address to listen on (default: 0.0.0.0)")
    serve.add_argument("--port", help="port to listen on (default: 8080)")
    serve.add_argument("--log-level", choices=logs.LEVELS, help="least severe log lines to write (default: info)")
    cli.add_keys_parser(commands)
    cli.add_db_parser(commands)
    commands.add_parser("openapi", help="print the OpenAPI document")
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    names = ("config", "host", "port", "log_level", "database_url")
    given = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    if models := getattr(arguments, "model", None) if arguments.command in ("serve", "check") else None:
        given["models"] = ",".join(models)
    # A source named as an argument replaces the one that the environment names.
    if "config" in given or "models" in given:
        given = {"config": None, "models": "", **given}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        lines = [f"setting {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ConfigError("\n".join(lines)) from error
    return settings.model_copy(
        update={
            name: SecretStr(_secret(name, path))
            for name in ("database_url", "admin_key")
            if (path := getattr(settings, f"{name}_file")) is not None
        }
    )


def _secret(name: str, path: Path) -> str:
    try:
        text = path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"setting {name}_file: {path} cannot be read: {error.strerror}") from error
    if not text:
        raise ConfigError(f"setting {name}_file: {path} is empty")
    return text


def _config(settings: Settings) -> GatewayConfig:
    if settings.config and settings.models:
        raise ConfigError("models are given twice, in a file and one by one; give --config or --model")
    if settings.config:
        return read_config(settings.config)
    if settings.models:
        return parse_models(spec.strip() for spec in settings.models.split(","))
    raise ConfigError("no models; give --config FILE (COWABUNGAAI_API_CONFIG) or --model NAME=ADDRESS")


def _openapi(settings: Settings) -> int:
    from cowabungaai_api.app import make_fastapi

    print(json.dumps(make_fastapi().openapi(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
