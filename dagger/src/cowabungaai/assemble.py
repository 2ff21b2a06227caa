# SPDX-License-Identifier: Apache-2.0
"""Makes the root file system on which every service's image stands: pinned Debian packages, unpacked, nothing run.

Runs as a program inside a container that has apt: assemble.py REQUEST_JSON LOCK ROOT DRIFT_FILE
There is no shell, no package manager and no compiler in the result. Each package leaves its record in
/var/lib/dpkg/status.d, where vulnerability scanners look for it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# What servers do not import; its bytecode would be a tenth of the smallest image. Without it, it runs all the same.
NEVER_RUN = (
    r"/(unittest|xml|xmlrpc|curses|dbm|wsgiref|ensurepip|venv|tkinter|multiprocessing|pathlib/_abc|zoneinfo|_pyrepl|sysconfig"
    r"|encodings/(?!__init__|aliases|ascii|utf_8|latin_1|idna|cp437|utf_16)"
    r"|(_pydecimal|_pyio|_pydatetime|_pylong|_strptime|_osx_support|_aix_support|pydoc|doctest|mailbox|imaplib|ftplib"
    r"|smtplib|poplib|pdb|bdb|pickletools|cProfile|profile|pstats|trace|plistlib|webbrowser|tarfile|optparse|difflib"
    r"|tabnanny|pyclbr|modulefinder|rlcompleter|cmd|code|codeop|timeit|nturl2path|ntpath|statistics|fractions|py_compile"
    r"|compileall|zipapp|getpass|fileinput|filecmp|netrc|sched|shelve|wave|colorsys|symtable|tracemalloc|turtle)[.]py)"
)
# Documentation, translations, character sets but Unicode's, Python's own tests, and what needs libraries left out.
EXCLUDED = (
    "usr/lib/*/gconv",
    "usr/lib/python3.*/lib-dynload/_*test*.so",
    "usr/lib/python3.*/lib-dynload/_codecs_*.so",
    "usr/lib/python3.*/lib-dynload/_curses*.so",
    "usr/lib/python3.*/lib-dynload/_dbm*.so",
    "usr/lib/python3.*/lib-dynload/readline*.so",
    "usr/lib/python3.*/pydoc_data",
    "usr/lib/python3.*/test",
    "usr/lib/python3.*/turtle*",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/gcc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl5",
)
PASSWD = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n"  # noqa: S105 - accounts without passwords
GROUP = "root:x:0:\nnonroot:x:65532:\n"


def read_lock(text: str) -> dict[str, str]:
    """Package → version."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def output_of(*command: str) -> str:
    """Standard output of a program that must succeed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def available(package: str, version: str) -> bool:
    """Whether the mirror has this version."""
    return any(
        line.split("|")[1].strip() == version for line in output_of("apt-cache", "madison", package).splitlines()
    )


def requests(
    locked: dict[str, str], needed: list[str], without: list[str], has: Callable[[str, str], bool] = available
) -> tuple[list[str], list[str]]:
    """What to ask apt for, and what of it is not as locked.

    Args:
        locked: Package to version.
        needed: Packages that the image has.
        without: Of these, what is left out all the same.
        has: Whether the mirror has a version of a package.

    Returns:
        Packages, with their locked versions where the mirror has them; and a line for each that has none.
    """
    wanted: list[str] = []
    drift: list[str] = []
    for package in sorted(set(needed) - set(without)):
        version = locked.get(package)
        if version is not None and has(package, version):
            wanted.append(f"{package}={version}")
            continue
        wanted.append(package)
        drift.append(f"{package} {f'{version} is gone from the mirror' if version else 'is not in the lock file'}")
    return wanted, drift


def closure(packages: list[str]) -> list[str]:
    """Packages and all that they depend on, as apt resolves them on an empty system; sorted."""
    empty = ["-o", "Dir::State::status=/dev/null", "-o", "APT::Install-Recommends=false"]
    simulated = output_of("apt-get", "install", "--simulate", *empty, *packages)
    return sorted({line.split()[1] for line in simulated.splitlines() if line.startswith("Inst ")})


def unpack(archive: Path, root: Path) -> None:
    """Unpack a package and keep its record, with the archive's digest."""
    subprocess.run(["dpkg-deb", "-x", str(archive), str(root)], check=True)
    keep_record(output_of("dpkg-deb", "-f", str(archive)), archive, root)


def keep_record(described: str, archive: Path, root: Path) -> None:
    """Write what dpkg knows of a package, and which archive it was, as a mirror's index has it; provenance tells that.

    Args:
        described: The control file.
        archive: The package.
        root: Of the file system.
    """
    name = next(line.removeprefix("Package: ") for line in described.splitlines() if line.startswith("Package: "))
    directory = root / "var/lib/dpkg/status.d"
    directory.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (directory / name).write_text(f"{described.rstrip()}\nSHA256: {digest}\n")


def finish(root: Path) -> None:
    """What the packages' own scripts would have done, and what nobody needs taken away."""
    for path in (found for pattern in EXCLUDED for found in root.glob(pattern)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(file.read_text() for file in certificates))
    shutil.rmtree(root / "usr/share/ca-certificates", ignore_errors=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    # Without bytecode, which nothing can write later, each start would compile the standard library anew.
    library = root / "usr/lib/python3.13"
    compile_all = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-x", NEVER_RUN]
    subprocess.run([*compile_all, "-s", str(root), "-p", "/", str(library)], check=True)
    for name in ("python3", "python"):
        (root / "usr/bin" / name).unlink(missing_ok=True)
        (root / "usr/bin" / name).symlink_to("python3.13")


def stamp(root: Path, epoch: int) -> None:
    """Give every file the same time, in seconds since 1970."""
    for path in (root, *root.rglob("*")):
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def main(request_file: str, lock: str, root: str, drift_file: str) -> None:
    """Download and unpack."""
    request = json.loads(Path(request_file).read_text())
    target = Path(root)
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "update", "-q"], check=True)
    wanted, drift = requests(read_lock(Path(lock).read_text()), closure(request["packages"]), request["without"])
    Path(drift_file).write_text("".join(f"{line}\n" for line in drift))
    if drift and request["locked"]:
        sys.exit("not as locked: " + "; ".join(drift) + ". Renew the lock: ./cowabunga images lock runtime")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        subprocess.run(["apt-get", "download", "-q", *wanted], check=True, cwd=folder)
        # base-files first: it holds the links /bin, /lib and /sbin.
        archives = sorted(
            Path(folder).glob("*.deb"), key=lambda file: (not file.name.startswith("base-files_"), file.name)
        )
        for archive in archives:
            unpack(archive, target)
    finish(target)
    stamp(target, request["epoch"])


if __name__ == "__main__":
    main(*sys.argv[1:])
