# SPDX-License-Identifier: Apache-2.0
"""Builds images from Debian's packages: pinned by a lock file, the same bytes for the same packages."""

from __future__ import annotations

import os
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cowabunga import console, oci, store
from cowabunga.errors import LockedError, UsageError
from cowabunga.host import DEBIAN_KEYRING, Mirrors, mirrors
from cowabunga.paths import TOOLCHAIN, cache_home, digest_of, logs
from cowabunga.process import need, run_logged

IMAGES = TOOLCHAIN / "images"
# Raise it when this module makes other bytes from the same lock.
RECIPE = "3"
INSTALLED = "installed.txt"
BASE_IMAGES = ("debian", "python")
# No file in an image is younger than this; 2025-08-09, the day Debian 13 was released.
SOURCE_DATE_EPOCH = 1754697600
# Left out of images: nothing reads them there.
EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*")
# Written at installation, with times and host names in them.
VOLATILE = (
    "var/log/*.log",
    "var/log/apt/*",
    "var/cache/ldconfig/aux-cache",
    "var/cache/debconf/*-old",
    "var/lib/dpkg/*-old",
    "etc/apt/sources.list",
    "etc/apt/preferences.d/lock",
    "etc/hostname",
    "etc/resolv.conf",
)


@dataclass(frozen=True)
class Spec:
    """An image's description, from `toolchain/images/<name>.yaml`."""

    name: str
    variant: str
    suite: str
    packages: tuple[str, ...]
    tags: tuple[str, ...]
    setup: str
    config: dict[str, Any]

    @property
    def lock(self) -> Path:
        """File that pins every package: `name=version` per line."""
        return IMAGES / f"{self.name}.lock"


def names() -> list[str]:
    """Names of all images, sorted."""
    return sorted(path.stem for path in IMAGES.glob("*.yaml"))


def load(name: str) -> Spec:
    """An image's description.

    Raises:
        UsageError: There is no such image.
    """
    file = IMAGES / f"{name}.yaml"
    if not file.is_file():
        raise UsageError(f"no image is named {name!r}", f"The images are: {', '.join(names())}.")
    raw = yaml.safe_load(file.read_text())
    return Spec(
        name,
        raw.get("variant", "extract"),
        raw["suite"],
        # What only some of the services' images have is locked with the rest.
        (*raw["packages"], *raw.get("optional", ())),
        tuple(raw.get("tags", ())),
        raw.get("setup", ""),
        raw.get("config", {}),
    )


def root_key(spec: Spec) -> str:
    """Digest of all that decides an image's root file system."""
    return digest_of(IMAGES / f"{spec.name}.yaml", spec.lock, RECIPE)


def root_tar(spec: Spec) -> Path:
    """An uncompressed tar of an image's root file system, built where the cache has none of this lock.

    Raises:
        LockedError: Packages are not as locked, and COWABUNGA_LOCKED=1 is set.
    """
    locked = read_lock(spec.lock)
    built = False

    def build(target: Path) -> None:
        nonlocal built
        built = True
        _bootstrap(spec, locked, target)

    entry = store.ensure(f"root-{spec.name}", root_key(spec), build, verify=False)
    report_drift(spec, locked, read_lock(entry / INSTALLED), warn=built)
    return entry / "root.tar"


def unpack_root(tar: Path, target: Path, log: Path) -> Path:
    """Unpack a root file system, less its devices, which a container gets from runc; the folder that holds it."""
    root = target / "root"
    root.mkdir()
    unpack = [need("tar"), "--extract", f"--file={tar}", f"--directory={root}", "--exclude=./dev/*"]
    run_logged(unpack, log, f"unpacking {tar}")
    return root


def layout_key(spec: Spec, machine: Mirrors) -> str:
    """Digest of all that decides a base image's layout."""
    return digest_of(root_key(spec), sources_list(spec.suite, machine), str(sorted(machine.environment.items())))


def layout(name: str) -> Path:
    """OCI layout of a base image: the packages in one layer, the machine's mirrors in a second, small one."""
    spec = load(name)
    tar = root_tar(spec)
    machine = mirrors()

    def build(target: Path) -> None:
        with console.step(f"packing the {name} image", f"pack-{name}"):
            settings = target / "settings.tar"
            oci.tar_of({"etc/apt/sources.list": (sources_list(spec.suite, machine).encode(), 0o644)}, settings)
            layers = [oci.add_layer(target, tar), oci.add_layer(target, settings)]
            settings.unlink()
            env = [*spec.config.get("Env", []), *(f"{k}={v}" for k, v in sorted(machine.environment.items()))]
            oci.write_image(target, layers, {**spec.config, "Env": env})

    return store.ensure(f"image-{name}", layout_key(spec, machine), build, verify=False)


def sources_list(suite: str, machine: Mirrors) -> str:
    """The lines of apt's sources for a suite on this machine's mirrors."""
    lines = [f"deb {machine.debian} {suite} main", f"deb {machine.debian} {suite}-updates main"]
    if machine.debian_security:
        lines.append(f"deb {machine.debian_security} {suite}-security main")
    return "\n".join(lines) + "\n"


def read_lock(file: Path) -> dict[str, str]:
    """Package → version of a lock file."""
    lines = (line.strip() for line in file.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: version for name, _, version in pairs}


def write_lock(spec: Spec, versions: dict[str, str]) -> None:
    """Write a lock file, sorted by name."""
    head = f"# Packages of the {spec.name} image. Renew: ./cowabunga images lock {spec.name}\n"
    spec.lock.write_text(head + "".join(f"{name}={version}\n" for name, version in sorted(versions.items())))


def _bootstrap(spec: Spec, locked: dict[str, str], target: Path) -> None:
    """Make the root file system with mmdebstrap and note the versions that it took.

    Args:
        spec: The image.
        locked: Package to version; the newest are taken where it is empty.
        target: Receives root.tar and the list of versions.
    """
    tar, installed, preferences = target / "root.tar", target / INSTALLED, target / "preferences"
    # Above 1000, apt takes exactly this version, and falls back to the newest where the mirror has it no more.
    preferences.write_text(
        "".join(f"Package: {name}\nPin: version {ver}\nPin-Priority: 1001\n\n" for name, ver in locked.items())
    )
    command: list[str | Path] = [
        # Its mounts are then never the machine's, however it ends.
        *(need("unshare"), "--mount", "--propagation", "private"),
        need("mmdebstrap"),
        f"--variant={spec.variant}",
        f"--architectures={oci.architecture()}",
        "--format=tar",
        f"--keyring={DEBIAN_KEYRING}",
        "--aptopt=Acquire::Languages none",
        "--aptopt=APT::Install-Recommends false",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
        f"--include={','.join(spec.packages)}",
        f'--setup-hook=cp {shlex.quote(str(preferences))} "$1/etc/apt/preferences.d/lock"',
    ]
    if spec.setup:
        command.append(f'--customize-hook=chroot "$1" sh -euc {shlex.quote(spec.setup)}')
    command += [
        f"{_version_hook(spec)} > {shlex.quote(str(installed))}",
        '--customize-hook=cd "$1" && rm -f ' + " ".join(VOLATILE),
        spec.suite,
        tar,
        *sources_list(spec.suite, mirrors()).splitlines(),
    ]
    temporary = target / "tmp"
    # apt's own user must reach it nowhere: the owner of two of apt's folders would tell whether it could.
    temporary.mkdir(mode=0o700)
    env = {"SOURCE_DATE_EPOCH": str(SOURCE_DATE_EPOCH), "TMPDIR": str(temporary), "DEBIAN_FRONTEND": "noninteractive"}
    with console.step(f"building the {spec.name} root file system from Debian packages", f"root-{spec.name}"):
        run_logged(command, logs() / f"root-{spec.name}.log", f"building the {spec.name} image", env=env)
    store.remove(temporary)
    preferences.unlink()


def _version_hook(spec: Spec) -> str:
    """The hook that prints `name=version` of every package, from dpkg's records or from the archives themselves."""
    form = r"'${Package}=${Version}\n'"
    if spec.variant == "extract":
        read = f'dpkg-deb -W --showformat={form} "$deb"'
        return f'--extract-hook=for deb in "$1"/var/cache/apt/archives/*.deb; do {read}; done'
    return f'--customize-hook=dpkg-query --admindir="$1/var/lib/dpkg" -W -f {form}'


def report_drift(spec: Spec, locked: dict[str, str], installed: dict[str, str], *, warn: bool) -> None:
    """Say which packages differ from the lock.

    Args:
        spec: The image.
        locked: Package to version, as pinned.
        installed: Package to version, as they are.
        warn: Whether a difference is told where it is allowed.

    Raises:
        LockedError: Some differ, and COWABUNGA_LOCKED=1 is set.
    """
    changed = sorted(
        f"{name} {locked.get(name, 'absent')} → {installed.get(name, 'absent')}"
        for name in locked.keys() | installed.keys()
        if locked.get(name) != installed.get(name)
    )
    if not changed:
        return
    message = f"{len(changed)} packages of the {spec.name} image are not as locked: {', '.join(changed[:5])}"
    hint = f"The mirror has moved on. ./cowabunga images lock {spec.name} records what it has now."
    if os.environ.get("COWABUNGA_LOCKED") == "1":
        raise LockedError(message, hint)
    if warn:
        console.warn(f"{message}. {hint}")


def relock(name: str) -> Spec:
    """Resolve an image's packages anew and write its lock, which stays as it is where that fails."""
    spec = load(name)
    cache_home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_home(), prefix="relock-") as folder:
        _bootstrap(spec, {}, Path(folder))
        write_lock(spec, read_lock(Path(folder) / INSTALLED))
    return spec
