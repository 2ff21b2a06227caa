# SPDX-License-Identifier: Apache-2.0
"""Settings of the process, from its environment and arguments."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

DATABASE = "sqlite:////var/lib/cowabungaai/api.db"


class Settings(BaseSettings):
    """Settings of the process; each from the environment variable `COWABUNGAAI_API_<NAME>`.

    Args:
        config: the YAML or TOML file of models and backends.
        models: models without a file, `NAME=BACKEND` with commas between; for development.
        host: address to listen on.
        port: TCP port to listen on; 0 takes a free one.
        database_url: where keys and usage are kept, `sqlite:////PATH` or `postgresql://USER@HOST/NAME`.
        database_url_file: a file that holds database_url, as a mounted secret.
        admin_key: a key that may do everything and is not in the database.
        admin_key_file: a file that holds it, as a mounted secret.
        public_metrics: whether /metrics is answered without a key.
        max_body_bytes: the largest JSON body, in bytes.
        max_upload_bytes: the largest form with a file, in bytes.
        max_connections: how many connections are held at once; more are answered with 503.
        drain_delay_seconds: how long requests are still taken after the stop began, so that load balancers notice, in
            seconds.
        drain_seconds: how long requests in flight may go on after the stop began, in seconds.
        reload_seconds: how often the file is looked at for changes, in seconds; 0 never.
        log_level: least severe log lines to write.
    """

    model_config = SettingsConfigDict(env_prefix="COWABUNGAAI_API_", frozen=True)

    config: Path | None = None
    models: str = ""
    # In a container only its own network namespace is listened on; the cluster's policy decides who gets there.
    host: str = "0.0.0.0"  # noqa: S104
    port: int = Field(default=8080, ge=0, le=65535)
    database_url: SecretStr = SecretStr(DATABASE)
    database_url_file: Path | None = None
    admin_key: SecretStr | None = None
    admin_key_file: Path | None = None
    public_metrics: bool = False
    max_body_bytes: int = Field(default=8 * 1024 * 1024, gt=0)
    max_upload_bytes: int = Field(default=26 * 1024 * 1024, gt=0)
    max_connections: int = Field(default=10_000, gt=0)
    drain_delay_seconds: float = Field(default=2.0, ge=0)
    drain_seconds: int = Field(default=30, ge=0)
    reload_seconds: float = Field(default=1.0, ge=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
