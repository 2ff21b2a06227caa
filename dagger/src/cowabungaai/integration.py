# SPDX-License-Identifier: Apache-2.0
"""Runs the suite of the whole stack: the gateway twice, a backend and PostgreSQL, as services of the engine."""

from __future__ import annotations

import secrets

import dagger
from dagger import dag

from cowabungaai import pytest_run
from cowabungaai.images import USER, build
from cowabungaai.pytest_run import REPORT, Ran, arguments
from cowabungaai.sources import Project
from cowabungaai.stack import backend_of, gateway_of, new_admin_key, stack_with
from cowabungaai.wheels import BUILD_IMAGE, PLACED, packages_stage, shell, with_debian

SITE = "/site"
SUITE = "/tests/e2e"
TEST_SECONDS = 120
REPLICAS = ("gateway-a", "gateway-b")
DATABASE_HOST = "postgres"
DATABASE_PORT = 5432
DATABASE_USER = "cowabungaai"
POSTGRES = "postgresql-17"
PROGRAMS = "/usr/lib/postgresql/17/bin"
PASSWORD_VARIABLE = "POSTGRES_PASSWORD"  # noqa: S105 - the name of a variable
# The cluster is made when the service starts, with the password of this run; the image holds none.
START = f"""
umask 077
printf %s "${PASSWORD_VARIABLE}" > /tmp/password
{PROGRAMS}/initdb --pgdata=/tmp/data --username={DATABASE_USER} --auth=scram-sha-256 --pwfile=/tmp/password --no-sync
rm /tmp/password
unset {PASSWORD_VARIABLE}
echo "host all all all scram-sha-256" >> /tmp/data/pg_hba.conf
exec {PROGRAMS}/postgres -D /tmp/data -c listen_addresses='*' -c port={DATABASE_PORT} -c unix_socket_directories=/tmp
"""


async def run_suite(project: Project, suite: dagger.Directory, backend: str) -> Ran:
    """The suite's report on the stack.

    Args:
        project: Sources and catalog.
        suite: The folder with the tests and their requirements.lock.
        backend: A service that serves chat; its model has its name.

    Raises:
        CatalogError: The service is no backend.
    """
    spec = gateway_of(project)
    backend_of(project, backend)
    key = await new_admin_key(project)
    password, run = secrets.token_urlsafe(32), secrets.token_hex(4)
    database = postgres(dag.set_secret(f"cowabungaai-postgres-password-{run}", password))
    url = dag.set_secret(
        f"cowabungaai-postgres-url-{run}",
        f"postgresql://{DATABASE_USER}:{password}@{DATABASE_HOST}:{DATABASE_PORT}/postgres",
    )
    with_database = (
        (await stack_with(project, [backend], key))
        .gateway.with_service_binding(DATABASE_HOST, database)
        .with_secret_variable("COWABUNGAAI_API_DATABASE_URL", url)
    )
    packages = packages_stage(project.source, suite.file("requirements.lock"))
    container = (
        # The gateway's own image, so that the tests can run its commands.
        (await build(project, spec.name))
        .container.with_mounted_directory(SITE, packages.directory(PLACED))
        .with_mounted_directory(SUITE, suite)
        .with_directory(REPORT, dag.directory(), owner=USER)
        .with_mounted_temp("/tmp")  # noqa: S108 - inside a container of its own
        .with_workdir(REPORT)
        .with_env_variable("PYTHONPATH", SITE)
        .with_service_binding(DATABASE_HOST, database)
        .with_secret_variable("COWABUNGAAI_API_DATABASE_URL", url)
        .with_secret_variable("COWABUNGAAI_API_KEY", key)
        .with_env_variable("COWABUNGAAI_MODEL", backend)
        .with_env_variable("COWABUNGAAI_GATEWAYS", " ".join(f"http://{name}:{spec.port}" for name in REPLICAS))
        # Else the engine would give the answers of an earlier run.
        .with_env_variable("COWABUNGAAI_RUN", secrets.token_hex(8))
    )
    for name in REPLICAS:
        # What differs by nothing would be one service, not two.
        replica = with_database.with_env_variable("COWABUNGAAI_REPLICA", name).as_service(use_entrypoint=True)
        container = container.with_service_binding(name, replica)
    command = arguments(SUITE, "-ra", "--tb=short", "--strict-markers", f"--timeout={TEST_SECONDS}")
    return await pytest_run.run(container, "integration", command)


def postgres(password: dagger.Secret) -> dagger.Service:
    """Debian's PostgreSQL, with an empty database that ends with it.

    Args:
        password: Of the user DATABASE_USER, which may do everything in it.
    """
    base = dag.container().from_(BUILD_IMAGE)
    # Else the package makes a cluster of its own when it is installed.
    base = base.with_new_file("/etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n")
    return (
        with_debian(base, POSTGRES)
        .with_user("postgres")
        .with_secret_variable(PASSWORD_VARIABLE, password)
        .with_exposed_port(DATABASE_PORT)
        .with_entrypoint(shell(START))
        .as_service(use_entrypoint=True)
    )
