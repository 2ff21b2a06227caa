# SPDX-License-Identifier: Apache-2.0
"""Sets image digests in Kubernetes manifests and kustomize files, by their structure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import yaml

from cowabungaai import yaml_splice
from cowabungaai.errors import ManifestError
from cowabungaai.image_reference import ImageReference, full_name, parse_reference
from cowabungaai.published import PublishReport
from cowabungaai.yaml_splice import Edit

CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
KUSTOMIZE_API = "kustomize.config.k8s.io/"
FLUX_API = "kustomize.toolkit.fluxcd.io/"
GPU_SUFFIX = "-gpu"


@dataclass(frozen=True)
class Update:
    """An image that manifests shall name.

    Attributes:
        name: The repository that they name now, with its registry.
        target: What they shall name; has a digest.
        flavor: Where cpu or gpu, it is only for images whose tag does not end in -gpu, or does; None is for all.
    """

    name: str
    target: ImageReference
    flavor: str | None = None

    def names(self, repository: str) -> bool:
        """Whether it is for images of a repository."""
        # What has been moved to another repository stays up to date.
        return full_name(repository) in (self.name, full_name(self.target.repository))

    @property
    def moves(self) -> bool:
        """Whether images get another repository; all others keep theirs, since a digest is the same in every one."""
        return self.name != full_name(self.target.repository)

    def fits(self, tag: str) -> bool:
        """Whether it is for the flavor that a tag tells."""
        return self.flavor is None or self.flavor == ("gpu" if tag.endswith(GPU_SUFFIX) else "cpu")


@dataclass
class Outcome:
    """What was found in files.

    Attributes:
        changed: Path to new content.
        told: A line for each image that was changed: file, line, from what to what.
        unreadable: A line for each file that names one of the images but could not be read, or place that is not clear.
        used: Updates whose images were found, changed or not.
    """

    changed: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    used: list[Update] = field(default_factory=list)


def from_report(report: PublishReport, of_one_flavor: Collection[str] = ()) -> list[Update]:
    """Updates to what was published.

    Args:
        report: Of a run of publish.
        of_one_flavor: Services that have no other flavor, so that every image of theirs is meant.
    """
    found = [
        (None if image.service in of_one_flavor else image.flavor, parse_reference(place.tagged))
        for image in report.images
        for place in image.places
    ]
    return [Update(full_name(target.repository), target, flavor) for flavor, target in found if target is not None]


def from_argument(text: str) -> Update:
    """An update from `name=repository[:tag]@sha256:...`, or without the name where the repository stays.

    Raises:
        ManifestError: It is not written so.
    """
    name, _, reference = text.rpartition("=")
    target = parse_reference(reference)
    current = parse_reference(name) if name else target
    if target is None or target.digest is None or current is None or (name and (current.tag or current.digest)):
        raise ManifestError(
            f"--image: expected NAME=REPOSITORY[:TAG]@sha256:DIGEST, NAME without tag or digest, got {text!r}"
        )
    return Update(full_name(current.repository), target)


def check_updates(updates: Sequence[Update]) -> None:
    """Refuse updates of one image to two digests.

    Raises:
        ManifestError: There are such, or there are none at all.
    """
    if not updates:
        raise ManifestError("nothing to set: pass --images published.json, or --image NAME=REPOSITORY@sha256:DIGEST")
    seen: dict[tuple[str, str | None], ImageReference] = {}
    for update in updates:
        # By both names: the next run finds images by the new one.
        for name in (update.name, full_name(update.target.repository)):
            other = seen.setdefault((name, update.flavor), update.target)
            if other.digest != update.target.digest:
                raise ManifestError(f"{name} is given twice: {other} and {update.target}")


def update_files(files: Iterable[tuple[str, str]], updates: Sequence[Update]) -> Outcome:
    """Set the images of manifests.

    Args:
        files: Path and content of each.
        updates: What to set.
    """
    outcome = Outcome()
    for path, text in files:
        # Most files name none of the images; what cannot be read is of interest only where it might.
        if not any(_mentions(text, update) for update in updates):
            continue
        try:
            changed = _File(path, text, updates, outcome).updated()
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            outcome.unreadable.append(
                f"{path}:{mark.line + 1 if mark else 1}: not valid YAML, left as it is: {problem}"
            )
            continue
        if changed != text:
            outcome.changed[path] = changed
    return outcome


def _mentions(text: str, update: Update) -> bool:
    names = (update.name, full_name(update.target.repository))
    return any(name.removeprefix("docker.io/").removeprefix("library/") in text for name in names)


class _File:
    """A file while its images are set."""

    def __init__(self, path: str, text: str, updates: Sequence[Update], outcome: Outcome) -> None:
        self.path, self.text, self.updates, self.outcome = path, text, updates, outcome
        self.edits: dict[Edit, str] = {}

    def updated(self) -> str:
        for document in yaml_splice.documents(self.text):
            if not isinstance(document, yaml.MappingNode):
                continue
            self._kustomization(document)
            if yaml_splice.text_of(document, "apiVersion") and yaml_splice.text_of(document, "kind"):
                for mapping in yaml_splice.mappings(document):
                    self._pod(mapping)
        self.outcome.told += [told for _, told in sorted(self.edits.items())]
        return yaml_splice.apply(self.text, self.edits)

    def _update_for(self, node: yaml.Node, repository: str, tag: str | None) -> Update | None:
        named = [update for update in self.updates if update.names(repository)]
        if tag is None and named and named[0].flavor is not None:
            place = f"{self.path}:{node.start_mark.line + 1}"
            self.outcome.unreadable.append(
                f"{place}: {repository} has no tag, which tells cpu from gpu, left as it is; --image sets it"
            )
            return None
        found = next((update for update in named if update.fits(tag or "")), None)
        if found is not None and found not in self.outcome.used:
            self.outcome.used.append(found)
        return found

    def _edit(self, node: yaml.Node, edit: Edit | None, told: str) -> None:
        place = f"{self.path}:{node.start_mark.line + 1}"
        if edit is None:
            self.outcome.unreadable.append(f"{place}: written over several lines, left as it is: {told}")
        else:
            self.edits.setdefault(edit, f"{place}: {told}")

    def _pod(self, mapping: yaml.MappingNode) -> None:
        """Containers of a pod, wherever in a document it is described."""
        for key in CONTAINERS:
            containers = yaml_splice.value_of(mapping, key)
            for container in containers.value if isinstance(containers, yaml.SequenceNode) else ():
                if isinstance(container, yaml.MappingNode):
                    image = yaml_splice.value_of(container, "image")
                    if isinstance(image, yaml.ScalarNode):
                        self._image(image)

    def _image(self, node: yaml.ScalarNode) -> None:
        current = parse_reference(node.value)
        if current is None:
            return
        # Without tag and digest it is `latest`, which is of the flavor cpu.
        tag = current.tag if current.digest else current.tag or "latest"
        update = self._update_for(node, current.repository, tag)
        if update is None:
            return
        target = update.target
        if full_name(current.repository) == full_name(target.repository):
            # However people write it, with Docker Hub's name or without.
            target = ImageReference(current.repository, target.tag, target.digest)
        if str(target) != node.value:
            self._edit(node, yaml_splice.replace(self.text, node, str(target)), f"{node.value} → {target}")

    def _kustomization(self, document: yaml.MappingNode) -> None:
        api = yaml_splice.text_of(document, "apiVersion") or ""
        holder: yaml.Node | None = None
        if PurePosixPath(self.path).name in KUSTOMIZATION_FILES or api.startswith(KUSTOMIZE_API):
            holder = document
        elif api.startswith(FLUX_API):
            holder = yaml_splice.value_of(document, "spec")
        images = yaml_splice.value_of(holder, "images") if isinstance(holder, yaml.MappingNode) else None
        for entry in images.value if isinstance(images, yaml.SequenceNode) else ():
            if isinstance(entry, yaml.MappingNode):
                self._kustomize_image(entry)

    def _kustomize_image(self, entry: yaml.MappingNode) -> None:
        fields = {key: yaml_splice.text_of(entry, key) for key in ("name", "newName", "newTag", "digest")}
        name, tag = fields["name"], fields["newTag"]
        if not name:
            return
        names = dict.fromkeys((fields["newName"] or name, name))
        update = next((found for one in names if (found := self._update_for(entry, one, tag)) is not None), None)
        if update is None:
            return
        target = update.target
        wanted: dict[str, str] = {}
        if update.moves and full_name(next(iter(names))) != full_name(target.repository):
            wanted["newName"] = target.repository
        if target.digest:
            wanted["digest"] = target.digest
        if target.tag and tag is not None:
            wanted["newTag"] = target.tag
        missing: dict[str, str] = {}
        for key, value in wanted.items():
            node = yaml_splice.value_of(entry, key)
            if not isinstance(node, yaml.ScalarNode):
                missing[key] = value
            elif node.value != value:
                edit = yaml_splice.replace(self.text, node, value)
                self._edit(node, edit, f"{name}: {key} {fields[key] or 'nothing'} → {value}")
        if missing:
            self._add(entry, missing, name, stale_tag=tag is not None and not target.tag)

    def _add(self, entry: yaml.MappingNode, missing: dict[str, str], name: str, *, stale_tag: bool) -> None:
        """Give an entry keys; the digest comes instead of a tag of which nobody knows whether it still holds."""
        told = f"{name}: {', '.join(f'{key} {value}' for key, value in missing.items())}"
        own = {key.value: (key, value) for key, value in entry.value if isinstance(value, yaml.ScalarNode)}
        if stale_tag and "digest" in missing and "newTag" in own:
            key, value = own["newTag"]
            self._edit(key, yaml_splice.replace(self.text, key, "digest"), told)
            self._edit(value, yaml_splice.replace(self.text, value, missing.pop("digest")), f"{name}: newTag is gone")
        if missing:
            edit = yaml_splice.insert(self.text, entry, list(own)[-1], missing) if own else None
            self._edit(entry, edit, told)
