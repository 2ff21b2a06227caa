# SPDX-License-Identifier: Apache-2.0
"""Updates a deployment repository: reads its manifests, sets digests, tells what was done."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import anyio
import dagger
from dagger import dag

from cowabungaai import manifest_updates, manifests
from cowabungaai.catalog import Catalog
from cowabungaai.errors import ManifestError
from cowabungaai.manifest_updates import Update
from cowabungaai.manifests import Outcome
from cowabungaai.published import parse_report
from cowabungaai.registries import BOUND_HOST

MANIFESTS = ("**/*.yaml", "**/*.yml", "**/*.json", "**/Kustomization")


async def git_tree(
    url: str, ref: str | None, token: dagger.Secret | None, via: dagger.Service | None = None
) -> dagger.Directory:
    """The files of a Git repository.

    Args:
        url: Of the repository.
        ref: Branch, tag or commit; its default branch where None.
        token: For repositories that are not public.
        via: The server that the url calls `local`, where only the machine that calls reaches it.

    Raises:
        ManifestError: Url and server do not go together.
    """
    bound = re.match(rf"https?://{BOUND_HOST}(?=[:/])", url)
    if bool(bound) != (via is not None):
        raise ManifestError(
            f"--git {url}: the host {BOUND_HOST!r} is the one that --git-via binds; expected both, as in "
            f"--git http://{BOUND_HOST}:PORT/deployment.git --git-via tcp://127.0.0.1:PORT, or neither"
        )
    if bound and via is not None:
        url = bound[0].removesuffix(BOUND_HOST) + await via.hostname() + url[bound.end() :]
    repository = dag.git(url, http_auth_token=token, experimental_service_host=via)
    return (repository.ref(ref) if ref else repository.head()).tree(discard_git_dir=True)


async def read_updates(
    images: dagger.File | None, arguments: Sequence[str], catalog: Catalog
) -> tuple[list[Update], list[Update]]:
    """What to set: updates of the command line, which come first, and those of a report.

    Args:
        images: published.json, as publish leaves it.
        arguments: Each as NAME=REFERENCE.
        catalog: Tells which services have one flavor alone.

    Raises:
        ManifestError: There is nothing to set, or an argument is not written as expected.
        PublishError: The report is none.
    """
    explicit = [manifest_updates.from_argument(text) for text in arguments]
    reported: list[Update] = []
    if images is not None:
        single = [spec.name for spec in catalog if len(spec.flavors) == 1]
        reported = manifest_updates.from_report(parse_report(await images.contents(), await images.name()), single)
    manifest_updates.check_updates([*explicit, *reported])
    return explicit, reported


async def update(
    repository: dagger.Directory, explicit: Sequence[Update], reported: Sequence[Update]
) -> dagger.Changeset:
    """Set digests in the manifests of a repository.

    Args:
        repository: Its files.
        explicit: Updates of images that must be there.
        reported: Updates of images that may be there; one at least of all must be.

    Raises:
        ManifestError: An image is named nowhere.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir=".") as changed:
        await repository.filter(include=list(MANIFESTS), exclude=[".git"]).export(folder)
        updates = [*explicit, *reported]
        outcome = await anyio.to_thread.run_sync(update_folder, Path(folder), Path(changed), updates)
        check_used(outcome, explicit)
        # Not as text: it would be readable in traces, and manifests may hold secrets besides images.
        written = dag.current_module().workdir(Path(changed).name)
        changes = repository.with_directory(".", written).changes(repository)
        # Before the folder is gone that it is read from.
        await changes.is_empty()
    print("\n".join([*outcome.told, *outcome.unreadable]) or "all digests are as they should be")
    return changes


def check_used(outcome: Outcome, explicit: Sequence[Update]) -> None:
    """Refuse a run that found nothing to do for an image that must be there.

    Raises:
        ManifestError: Such an image is named nowhere, or none at all is.
    """
    missing = [update.name for update in explicit if update not in outcome.used]
    if not missing and outcome.used:
        return
    what = f"no manifest names {', '.join(missing)}" if missing else "no manifest names any of the images"
    raise ManifestError("\n".join([f"{what}; looked into {', '.join(MANIFESTS)}", *outcome.unreadable]))


def update_folder(root: Path, changed: Path, updates: Sequence[Update]) -> Outcome:
    """Set digests in the files below a folder; links are left out, what they lead to is read by its own name.

    Args:
        root: The folder.
        changed: Folder that gets the files that change, with the permissions that they have.
        updates: What to set.
    """
    texts: dict[str, str] = {}
    strange: list[str] = []
    for file in sorted(root.rglob("*")):
        if file.is_symlink() or not file.is_file():
            continue
        path = str(file.relative_to(root))
        content = file.read_bytes()
        try:
            texts[path] = content.decode()
        except UnicodeDecodeError as error:
            # Whether it names one of the images nobody can tell.
            line = content.count(b"\n", 0, error.start) + 1
            strange.append(f"{path}:{line}: not UTF-8, left as it is: {error.reason} at byte {error.start}")
    outcome = manifests.update_files(texts.items(), updates)
    outcome.unreadable[:0] = strange
    for path, text in outcome.changed.items():
        target = changed / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
        shutil.copymode(root / path, target)
    return outcome
