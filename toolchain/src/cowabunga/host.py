# SPDX-License-Identifier: Apache-2.0
"""What this machine is and allows: Debian or not, root or not, capabilities, certificates, mirrors."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cowabunga import console, store
from cowabunga.errors import HostError
from cowabunga.paths import logs
from cowabunga.process import capture, run_logged

# Program → Debian package that holds it.
ENGINE_PROGRAMS = {
    "runc": "runc",
    "slirp4netns": "slirp4netns",
    "mmdebstrap": "mmdebstrap",
    "nsenter": "util-linux",
    "tar": "tar",
}
APT_LOCK_SECONDS = 300
TUN = Path("/dev/net/tun")
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
CERTIFICATES = Path("/usr/local/share/ca-certificates")
CERTIFICATE_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
)
# In the order of the kernel's capability numbers, from linux/capability.h.
CAPABILITIES = tuple(
    """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT
    SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
    MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
    """.split()  # noqa: SIM905 - a list of 41 quoted names is harder to compare with the header
)
# The engine mounts file systems, makes namespaces and configures their networks.
ENGINE_CAPABILITIES = ("SYS_ADMIN", "NET_ADMIN", "MKNOD", "SETUID", "SETGID", "SYS_CHROOT", "CHOWN", "DAC_OVERRIDE")


def is_root() -> bool:
    """Whether the launcher runs as root."""
    return os.geteuid() == 0


@cache
def os_release() -> dict[str, str]:
    """The fields of /etc/os-release."""
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip("\"'") for key, _, value in pairs}


def has_apt() -> bool:
    """Whether this is Debian or a relative of it, which apt serves."""
    return shutil.which("apt-get") is not None


def bounding_capabilities() -> list[str]:
    """Capabilities that this machine lets root hand to a container, as CAP_ names."""
    status = Path("/proc/self/status").read_text()
    match = re.search(r"^CapBnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    mask = int(match.group(1), 16) if match else 0
    return [f"CAP_{name}" for number, name in enumerate(CAPABILITIES) if mask >> number & 1]


def missing_capabilities() -> list[str]:
    """Capabilities without which the engine cannot work."""
    present = bounding_capabilities()
    return [name for name in ENGINE_CAPABILITIES if f"CAP_{name}" not in present]


def missing_packages() -> list[str]:
    """Debian packages whose programs the engine needs and the machine lacks."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    missing = [package for program, package in ENGINE_PROGRAMS.items() if not shutil.which(program, path=path)]
    if has_apt() and not DEBIAN_KEYRING.exists():
        missing.append("debian-archive-keyring")
    if has_apt() and certificate_bundle() is None:
        missing.append("ca-certificates")
    return missing


def prepare_packages() -> None:
    """Install what the engine needs, where apt and root are there.

    Raises:
        HostError: Something is missing and cannot be installed by the launcher; the message names it exactly.
        MirrorError: apt could not fetch it.
    """
    missing = missing_packages()
    if not missing:
        return
    command = f"apt-get install --no-install-recommends {' '.join(missing)}"
    if not has_apt():
        programs = [program for program, package in ENGINE_PROGRAMS.items() if package in missing]
        raise HostError(
            f"this machine ({os_release().get('PRETTY_NAME', 'not Debian')}) lacks: {', '.join(programs)}",
            "Install these programs with the machine's own package manager, then run it again.",
        )
    if not is_root():
        raise HostError(f"this machine lacks: {', '.join(missing)}", f"As root: {command}")
    with store.locked("apt"):
        missing = missing_packages()
        if missing:
            with console.step(f"installing {', '.join(missing)}", "apt-install"):
                _apt("update")
                _apt("install", "--no-install-recommends", *missing)


def _apt(verb: str, *arguments: str) -> None:
    """Run apt-get; it waits for another program that holds apt's lock."""
    command = ["apt-get", "-q", "-y", f"--option=DPkg::Lock::Timeout={APT_LOCK_SECONDS}", verb, *arguments]
    run_logged(command, logs() / "apt.log", f"apt-get {verb}", env={"DEBIAN_FRONTEND": "noninteractive"})


def require_engine_host() -> None:
    """Check that this machine can run the engine's container.

    Raises:
        HostError: It cannot; the message says what is missing.
    """
    if not is_root():
        raise HostError(
            "a container with an engine or a node in it needs root, and this is not root",
            "Run it as root; for builds, _EXPERIMENTAL_DAGGER_RUNNER_HOST may name an engine of the pinned version.",
        )
    if missing := missing_capabilities():
        raise HostError(
            f"root lacks the capabilities {', '.join(missing)} here", "Run it where root may make containers."
        )
    # Both are modules on many machines, which load when something first asks for them.
    if not _has_overlay():
        capture(["modprobe", "overlay"])
    if not TUN.exists():
        capture(["modprobe", "tun"])
    if not _has_overlay():
        raise HostError("the kernel has no overlay file system", "As root: modprobe overlay")
    if not TUN.exists():
        raise HostError(f"{TUN} is missing, which the container's network needs", "As root: modprobe tun")


def _has_overlay() -> bool:
    return "overlay" in Path("/proc/filesystems").read_text()


def certificate_bundle() -> Path | None:
    """File with all certificate authorities that this machine trusts."""
    configured = os.environ.get("SSL_CERT_FILE")
    candidates = ([Path(configured)] if configured else []) + list(CERTIFICATE_BUNDLES)
    return next((file for file in candidates if file.is_file()), None)


@dataclass(frozen=True)
class Mirrors:
    """Addresses of package mirrors as this machine's own clients are configured.

    Attributes:
        debian: Base address of the Debian archive.
        debian_security: Base address of the Debian security archive; None where the machine uses none.
        environment: Variables that point pip, uv, Go and npm at the machine's mirrors; empty where these use their own
            defaults.
    """

    debian: str
    debian_security: str | None
    environment: dict[str, str]


@cache
def mirrors(*, refresh: bool = True) -> Mirrors:
    """Read the mirrors from apt, pip, Go and npm.

    Args:
        refresh: Whether root may run `apt-get update` where apt has no lists yet, without which it names no archive.

    Raises:
        HostError: The machine names no Debian archive.
    """
    debian = os.environ.get("COWABUNGA_DEBIAN_MIRROR")
    security = os.environ.get("COWABUNGA_DEBIAN_SECURITY_MIRROR")
    if not debian and os_release().get("ID") == "debian":
        codename = os_release().get("VERSION_CODENAME", "")
        archives = _debian_archives()
        if codename not in archives and refresh and is_root():
            with store.locked("apt"):
                _apt("update")
            archives = _debian_archives()
        debian = archives.get(codename)
        security = security or archives.get(f"{codename}-security")
    if not debian:
        raise HostError(
            "no Debian archive is configured on this machine",
            "On Debian, run apt-get update. Elsewhere set COWABUNGA_DEBIAN_MIRROR (and "
            "COWABUNGA_DEBIAN_SECURITY_MIRROR) to the address of a Debian mirror.",
        )
    return Mirrors(debian.rstrip("/"), security.rstrip("/") if security else None, _client_environment())


def _debian_archives() -> dict[str, str]:
    """Code name → address of Debian's own archives that apt has lists of, not those of others for the same release."""
    form = "$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(SITE)"
    _, text = capture(["apt-get", "indextargets", "--format", form, "Created-By: Packages"])
    found: dict[str, str] = {}
    for line in text.splitlines():
        origin, component, codename, site = (*line.split("|"), "", "", "", "")[:4]
        if (origin, component) == ("Debian", "main"):
            found.setdefault(codename, site)
    return found


def without_credentials(address: str) -> str:
    """An address without user and password, for people and logs."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", address)


def _client_environment() -> dict[str, str]:
    """Addresses of pip, Go and npm where the machine's differ from the clients' defaults."""
    found: dict[str, str] = {}
    index = os.environ.get("PIP_INDEX_URL") or _pip_setting("index-url")
    if index:
        found |= {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index}
    extra = os.environ.get("PIP_EXTRA_INDEX_URL") or _pip_setting("extra-index-url")
    if extra:
        found |= {"PIP_EXTRA_INDEX_URL": extra, "UV_INDEX": extra}
    found |= {name: os.environ[name] for name in ("GOPROXY", "GOSUMDB", "GONOSUMDB") if os.environ.get(name)}
    if registry := os.environ.get("NPM_CONFIG_REGISTRY"):
        found["NPM_CONFIG_REGISTRY"] = registry
    return found


def _pip_setting(name: str) -> str:
    """A setting of pip's configuration files; empty where it is not set."""
    from configparser import ConfigParser

    files = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf", os.environ.get("PIP_CONFIG_FILE", ""))
    parser = ConfigParser(interpolation=None)
    parser.read([str(Path(file).expanduser()) for file in files if file])
    return parser.get("global", name, fallback="").strip()
