# SPDX-License-Identifier: Apache-2.0
"""Stages of an image's build that hold Python packages: those of a lock file, and the services' own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import dagger
from dagger import dag

from cowabungaai.catalog import ServiceSpec
from cowabungaai.sources import service_directory

BUILD_IMAGE = "python:3.13-slim-trixie"
LOCK = "requirements.lock"
GPU_LOCK = "requirements-gpu.lock"
UV_LOCK = "toolchain/requirements/uv-program.lock"
BUILD_LOCK = "services/requirements-build.lock"
# Where Debian's Python looks for packages that are not Debian's.
SITE = "/usr/local/lib/python3.13/dist-packages"
# Stages fill a tree as it will lie in the image, so that the folders above the packages have their time set as well.
TREE = "/tree"
PLACED = f"{TREE}{SITE}"
# No file in an image is younger, so that its bytes do not tell when it was built; 2025-08-09.
SOURCE_DATE_EPOCH = 1754697600
STAMP = "find {0} -exec touch --no-dereference --date=@" + str(SOURCE_DATE_EPOCH) + " {{}} +"
BUILT_AT = "/built-at"
NOW = f"date +%s.%N > {BUILT_AT}"
# Bytecode is compiled with hashes, not times, of the sources: the same bytes always, and no check at start.
COMPILE = "python -m compileall -q --invalidation-mode unchecked-hash -s {0} -p " + SITE + " {0}"
COMPILER = ("g++", "git", "make")
# In which uv notes when the file of a wheel was made, where it installs one from a file.
UV_TIMES = "*.dist-info/uv_cache.json"
# Where sources that are compiled lie.
UNPACKED = "/sources"
# A source distribution of another form than .tar.gz would have been passed over.
ALL_COMPILED = """[ "$(ls /sdists | wc -l)" = "$(ls /wheels | wc -l)" ] || {
  echo "expected a wheel of each source distribution; got $(ls /wheels | xargs) of $(ls /sdists | xargs)" >&2
  exit 1
}"""
APT_LISTS = "/var/lib/apt/lists"
DEBIAN_RECORDS = "/debian-records"
# Where an image says which Debian packages compiled what is in it; `courier describe` reads it there.
COMPILED_WITH = "/usr/share/cowabungaai/compiled-with"


def builder(source: dagger.Directory, platform: dagger.Platform | None) -> dagger.Container:
    """The stage in which wheels are built and installed: Python, pip and the pinned uv."""
    return (
        dag.container(platform=platform)
        .from_(BUILD_IMAGE)
        .with_mounted_cache("/root/.cache/uv", dag.cache_volume("cowabungaai-uv"))
        .with_env_variable("UV_LINK_MODE", "copy")
        .with_env_variable("UV_NATIVE_TLS", "1")
        .with_env_variable("SOURCE_DATE_EPOCH", str(SOURCE_DATE_EPOCH))
        .with_env_variable("PIP_ROOT_USER_ACTION", "ignore")
        .with_mounted_file("/locks/uv.lock", source.file(UV_LOCK))
        .with_mounted_file("/locks/build.lock", source.file(BUILD_LOCK))
        .with_exec(["pip", "install", "--quiet", "--require-hashes", "-r", "/locks/uv.lock", "-r", "/locks/build.lock"])
    )


def with_apt(container: dagger.Container) -> dagger.Container:
    """A container whose apt keeps its lists between runs; one at a time may use them."""
    lists = dag.cache_volume("cowabungaai-apt")
    return container.with_mounted_cache(APT_LISTS, lists, sharing=dagger.CacheSharingMode.LOCKED)


def with_debian(container: dagger.Container, *packages: str) -> dagger.Container:
    """A container with Debian packages, which keeps nobody waiting for apt's lists once they are installed.

    DEBIAN_RECORDS tells which packages came, and the digests of their archives.

    Args:
        container: Made from BUILD_IMAGE.
        packages: Their names.
    """
    install = f"apt-get install -qy --no-install-recommends {shlex.join(packages)}"
    script = (
        "export DEBIAN_FRONTEND=noninteractive\napt-get update -q\n"
        f"new=$({install} --simulate | sed -n 's/^Inst \\([^ ]*\\).*/\\1/p')\n{install}\n"
        "apt-cache show --no-all-versions $new |"
        f" grep -E '^((Package|Version|Architecture|SHA256):|$)' > {DEBIAN_RECORDS}"
    )
    return with_apt(container).with_exec(shell(script)).without_mount(APT_LISTS)


def shell(script: str) -> list[str]:
    """The arguments that run a script, which ends at its first failure."""
    return ["sh", "-euc", script]


def wheel(source: dagger.Directory, spec: ServiceSpec, platform: dagger.Platform | None) -> dagger.File:
    """A service's wheel."""
    return (
        builder(source, platform)
        .with_mounted_directory("/src", service_directory(source, spec.name))
        .with_workdir("/src")
        .with_exec(["uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", "/wheels"])
        .with_exec(shell(f"mv /wheels/*.whl /wheels/{spec.package}.zip"))
        .file(f"/wheels/{spec.package}.zip")
    )


def split_lock(text: str, patterns: Iterable[str]) -> tuple[str, str]:
    """Parts a lock file in two.

    Args:
        text: Requirements, each with its hashes on indented lines below it.
        patterns: Of packages' names, such as `nvidia-*`.

    Returns:
        The entries whose package matches, and all others.
    """
    wanted = list(patterns)
    chosen: list[str] = []
    others: list[str] = []
    target = others
    for line in text.splitlines(keepends=True):
        if not line.startswith((" ", "#", "\n")):
            name = re.split(r"[=<>!~ ;@\[]", line, maxsplit=1)[0]
            target = chosen if any(fnmatchcase(name, pattern) for pattern in wanted) else others
        target.append(line)
    return "".join(chosen), "".join(others)


async def dependencies_stages(
    source: dagger.Directory, spec: ServiceSpec, platform: dagger.Platform | None = None, *, lock: str = LOCK
) -> list[dagger.Container]:
    """Stages with the packages that a lock file of a service names, installed into PLACED: one for each image layer.

    Args:
        source: The root of the repository.
        spec: The service; says which packages are compiled, what has a layer of its own, and what is left out.
        platform: Such as linux/amd64; the engine's own where None.
        lock: The file's name in the service's folder.
    """
    rest = await source.file(f"services/{spec.name}/{lock}").contents()
    compiled = None
    if spec.compiled:
        entries, rest = split_lock(rest, spec.compiled.packages)
        compiled = compiled_wheels(source, spec, entries, platform) if entries else None
    stages: list[dagger.Container] = []
    for patterns in spec.layers:
        entries, rest = split_lock(rest, patterns)
        if entries:
            # The first is the heaviest: who has room for it when nothing is built yet has it for all.
            room_mb = spec.image.room_mb if lock == GPU_LOCK and not stages else None
            stages.append(packages_stage(source, text_file(entries), platform, room_mb=room_mb, left_out=spec.left_out))
    stages.append(packages_stage(source, text_file(rest), platform, compiled=compiled, left_out=spec.left_out))
    return stages


def compiled_wheels(
    source: dagger.Directory, spec: ServiceSpec, entries: str, platform: dagger.Platform | None
) -> dagger.Directory:
    """Wheels of packages that come as sources, compiled with what the service's requirements-compile.lock names.

    Beside them lie the records of Debian's compilers, as `compiled-with`.

    Args:
        source: The root of the repository.
        spec: The service.
        entries: Of its lock file, with hashes; nothing else of it makes the engine compile anew.
        platform: Such as linux/amd64; the engine's own where None.
    """
    assert spec.compiled is not None  # noqa: S101 - the caller looked
    tools = source.file(f"services/{spec.name}/requirements-compile.lock")
    stage = (
        with_debian(builder(source, platform), *COMPILER)
        .with_mounted_file("/locks/compile.lock", tools)
        .with_exec(["pip", "install", "--quiet", "--require-hashes", "-r", "/locks/compile.lock"])
    )
    # Compilers write down the paths of sources: always the same ones, and of those only what lies below.
    given = spec.compiled.environment
    flags = {name: f"-ffile-prefix-map={UNPACKED}/= {given.get(name, '')}".rstrip() for name in ("CFLAGS", "CXXFLAGS")}
    for name, value in sorted({**given, **flags}.items()):
        stage = stage.with_env_variable(name, value)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    download = ["pip", "download", *options, "--no-binary=:all:", "--require-hashes", "--dest=/sdists"]
    # Not by pip, which unpacks into a folder with a random name.
    unpack = (
        f"for sdist in /sdists/*.tar.gz; do\n  folder={UNPACKED}/$(basename $sdist .tar.gz)\n  mkdir -p $folder\n"
        "  tar -x -f $sdist -C $folder --strip-components=1 --no-same-owner\ndone\n"
    )
    return (
        stage.with_mounted_file("/locks/compiled.lock", text_file(entries))
        .with_exec([*download, "-r", "/locks/compiled.lock"])
        .with_exec(shell(f"{unpack}pip wheel {shlex.join(options)} --wheel-dir=/wheels {UNPACKED}/*"))
        .with_exec(shell(f"{ALL_COMPILED}\nmv {DEBIAN_RECORDS} /wheels/compiled-with"))
        .directory("/wheels")
    )


def packages_stage(
    source: dagger.Directory,
    lock: dagger.File,
    platform: dagger.Platform | None = None,
    *,
    room_mb: int | None = None,
    compiled: dagger.Directory | None = None,
    left_out: Sequence[str] = (),
) -> dagger.Container:
    """A stage with the packages that a lock file names, installed into PLACED.

    Args:
        source: The root of the repository.
        lock: Requirements with hashes.
        platform: Such as linux/amd64; the engine's own where None.
        room_mb: What the disk must have free, in megabytes, where it has to be looked at.
        compiled: Wheels that were built here, to be installed besides.
        left_out: Globs below PLACED of what is not wanted.
    """
    install = f"uv pip install --quiet --no-deps --target {PLACED}"
    steps = [f"{install} --require-hashes -r /locks/requirements.lock"]
    stage = builder(source, platform).with_mounted_file("/locks/requirements.lock", lock)
    module = dag.current_module().source()
    if room_mb is not None:
        stage = stage.with_mounted_file("/check_room.py", module.file("src/cowabungaai/check_room.py"))
        steps.insert(0, f"python /check_room.py {room_mb}")
    if compiled is not None:
        stage = stage.with_mounted_directory("/compiled", compiled)
        steps.append(f"{install} /compiled/*.whl")
        steps.append(f"install -D -m 644 /compiled/compiled-with {TREE}{COMPILED_WITH}")
        left_out = [*left_out, UV_TIMES]
    if left_out:
        stage = stage.with_mounted_file("/leave_out.py", module.file("src/cowabungaai/leave_out.py"))
        steps.append(f"python /leave_out.py {PLACED} {shlex.join(left_out)}")
    # Types are for those who write code.
    steps.append(f"find {PLACED} -name '*.pyi' -delete")
    steps += [f"rm -rf {PLACED}/bin {PLACED}/.lock", COMPILE.format(PLACED), STAMP.format(TREE), NOW]
    return stage.with_exec(shell("\n".join(steps)))


def code_stage(
    source: dagger.Directory, specs: list[ServiceSpec], platform: dagger.Platform | None = None
) -> dagger.Container:
    """A stage with the services' own wheels installed into PLACED, and the time at which it ran."""
    stage = builder(source, platform)
    for spec in specs:
        stage = stage.with_mounted_file(f"/wheels/{spec.package}.zip", wheel(source, spec, platform))
    return stage.with_exec(
        shell(
            f"mkdir -p {PLACED}\nfor wheel in /wheels/*.zip; do python -m zipfile -e $wheel {PLACED}; done\n"
            f"{COMPILE.format(PLACED)}\n{STAMP.format(TREE)}\n{NOW}"
        )
    )


def downloaded(lock: dagger.File) -> dagger.Directory:
    """The files that a lock file names, as they are in the package index.

    Args:
        lock: Requirements with hashes.
    """
    download = ["pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--require-hashes", "--dest", "/wheels"]
    stage = dag.container().from_(BUILD_IMAGE).with_mounted_file("/download.lock", lock)
    return stage.with_exec([*download, "-r", "/download.lock"]).directory("/wheels")


def text_file(text: str) -> dagger.File:
    """A file with this content."""
    return dag.directory().with_new_file("file", text).file("file")
