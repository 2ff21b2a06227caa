"""Updates a deployment repository: reads its manifests, sets digests, tells what was done."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import dagger
from dagger import dag

from cowabungaai import manifests
from cowabungaai.errors import ManifestError
from cowabungaai.manifests import Outcome, Update
from cowabungaai.published import parse_report

MANIFESTS = ("**/*.yaml", "**/*.yml", "**/Kustomization")


@dataclass(frozen=True)
class Manifest:
    """A file of the repository.

    Attributes:
        text: Its content.
        mode: Its permissions.
    """

    text: str
    mode: int


def git_tree(url: str, ref: str | None, token: dagger.Secret | None) -> dagger.Directory:
    """The files of a Git repository.

    Args:
        url: Of the repository.
        ref: Branch, tag or commit; its default branch where None.
        token: For repositories that are not public.
    """
    repository = dag.git(url, http_auth_token=token)
    return (repository.ref(ref) if ref else repository.head()).tree(discard_git_dir=True)


async def read_updates(images: dagger.File | None, arguments: Sequence[str]) -> tuple[list[Update], list[Update]]:
    """What to set: updates of the command line, which come first, and those of a report.

    Args:
        images: published.json, as publish leaves it.
        arguments: Each as NAME=REFERENCE.

    Raises:
        ManifestError: There is nothing to set, or an argument is not written as expected.
        PublishError: The report is none.
    """
    explicit = [manifests.from_argument(text) for text in arguments]
    reported: list[Update] = []
    if images is not None:
        reported = manifests.from_report(parse_report(await images.contents(), await images.name()))
    manifests.check_updates([*explicit, *reported])
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
    files = await _read(repository)
    texts = [(path, manifest.text) for path, manifest in files.items()]
    outcome = await anyio.to_thread.run_sync(manifests.update_files, texts, [*explicit, *reported])
    check_used(outcome, explicit)
    changed = repository
    for path, text in outcome.changed.items():
        changed = changed.with_new_file(path, text, permissions=files[path].mode)
    print("\n".join([*outcome.told, *outcome.unreadable]) or "all digests are as they should be")
    return changed.changes(repository)


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


async def _read(repository: dagger.Directory) -> dict[str, Manifest]:
    with tempfile.TemporaryDirectory() as folder:
        await repository.filter(include=list(MANIFESTS), exclude=[".git"]).export(folder)
        return await anyio.to_thread.run_sync(read_manifests, Path(folder))


def read_manifests(root: Path) -> dict[str, Manifest]:
    """Files below a folder by their paths in it; links are left out, what they lead to is read by its own name.

    Raises:
        ManifestError: A file is not written in UTF-8.
    """
    found: dict[str, Manifest] = {}
    for file in sorted(root.rglob("*")):
        if not file.is_file() or file.is_symlink():
            continue
        path = str(file.relative_to(root))
        try:
            found[path] = Manifest(file.read_bytes().decode(), file.stat().st_mode & 0o777)
        except UnicodeDecodeError as error:
            raise ManifestError(f"{path}: expected UTF-8, {error.reason} at byte {error.start}") from error
    return found
