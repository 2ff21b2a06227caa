# SPDX-License-Identifier: Apache-2.0
"""Sets image digests in Kubernetes manifests and kustomize files, by their structure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import yaml

from cowabungaai import yaml_splice
from cowabungaai.image_reference import ImageReference, full_name, parse_reference
from cowabungaai.manifest_updates import Update
from cowabungaai.yaml_files import problem_of
from cowabungaai.yaml_splice import Edit

CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
KUSTOMIZATION_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
JSON = ".json"
KUSTOMIZE_API = "kustomize.config.k8s.io/"
FLUX_API = "kustomize.toolkit.fluxcd.io/"
HELM_API = "helm.toolkit.fluxcd.io/"
# Fields of a kustomization whose entries may be objects or patches, written as text.
INLINE = ("patches", "patchesStrategicMerge", "patchesJson6902", "transformers")
# Operations of a JSON patch (RFC 6902) that put their value into an object.
PUTTING = ("add", "replace")


@dataclass
class Outcome:
    """What was found in files.

    Attributes:
        changed: Path to new content.
        told: A line for each image that was changed: file, line, from what to what.
        unreadable: A line for each file that could not be read, and for each place that names an image and was left.
        used: Updates whose images were found, changed or not.
    """

    changed: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    used: list[Update] = field(default_factory=list)


def update_files(files: Iterable[tuple[str, str]], updates: Sequence[Update]) -> Outcome:
    """Set the images of manifests.

    Args:
        files: Path and content of each.
        updates: What to set.
    """
    outcome = Outcome()
    for path, text in files:
        # What cannot be read is of interest only where it might name one of the images.
        if not any(update.mentioned(text) for update in updates):
            continue
        try:
            changed = _File(path, text, updates, outcome).updated()
        except yaml.YAMLError as error:
            line, problem = problem_of(error, text)
            outcome.unreadable.append(f"{path}:{line}: not valid YAML, left as it is: {problem}")
            continue
        if changed != text:
            outcome.changed[path] = changed
    return outcome


def _of_containers(steps: list[str]) -> bool:
    """Whether a step of a path, if there is one, is a list of containers."""
    return bool(steps) and steps[0] in CONTAINERS


class _File:
    """A file, or a text inside one, while its images are set.

    Args:
        path: Of the file.
        text: What is read.
        updates: What to set.
        outcome: What is found is added to it.
        first_line: Where the text begins in the file, from 0.
    """

    def __init__(self, path: str, text: str, updates: Sequence[Update], outcome: Outcome, first_line: int = 0) -> None:
        self.path, self.text, self.updates, self.outcome = path, text, updates, outcome
        self.first_line = first_line
        # With the line, from 0, and what is told of it.
        self.edits: dict[Edit, tuple[int, str]] = {}

    def updated(self) -> str:
        # Unlike JSON, YAML as it is read here has no tabs between its values; all places stay as they are.
        text = self.text.replace("\t", " ") if self.path.endswith(JSON) else self.text
        for document in yaml_splice.documents(text):
            if isinstance(document, yaml.SequenceNode):
                self._json_patch(document)
            if not isinstance(document, yaml.MappingNode):
                continue
            for holder in self._holders(document):
                if isinstance(holder, yaml.MappingNode):
                    self._kustomization(holder)
            if yaml_splice.text_of(document, "apiVersion") and yaml_splice.text_of(document, "kind"):
                for mapping in yaml_splice.mappings(document):
                    self._pod(mapping)
        self.outcome.told += [f"{self.path}:{line + 1}: {told}" for _, (line, told) in sorted(self.edits.items())]
        return yaml_splice.apply(self.text, self.edits)

    def _update_for(self, node: yaml.Node, repository: str, tag: str | None) -> Update | None:
        named = [update for update in self.updates if update.names(repository)]
        if tag is None and named and named[0].flavor is not None:
            self._leave(node, f"{repository} has no tag, which tells cpu from gpu, left as it is; --image sets it")
            return None
        found = next((update for update in named if update.fits(tag or "")), None)
        if found is not None and found not in self.outcome.used:
            self.outcome.used.append(found)
        return found

    def _line(self, node: yaml.Node) -> int:
        return self.first_line + node.start_mark.line

    def _leave(self, node: yaml.Node, why: str) -> None:
        told = f"{self.path}:{self._line(node) + 1}: {why}"
        # An anchor is met once for each place that takes it over.
        if told not in self.outcome.unreadable:
            self.outcome.unreadable.append(told)

    def _edit(self, node: yaml.Node, edit: Edit | None, told: str) -> None:
        if edit is None:
            self._leave(node, f"written over several lines, left as it is: {told}")
        else:
            self.edits.setdefault(edit, (self._line(node), told))

    def _pod(self, mapping: yaml.MappingNode) -> None:
        """Containers of a pod, wherever in a document it is described."""
        for key in CONTAINERS:
            self._containers(yaml_splice.value_of(mapping, key))

    def _containers(self, node: yaml.Node | None) -> None:
        for container in yaml_splice.entries(node):
            self._container(container)

    def _container(self, node: yaml.Node) -> None:
        image = yaml_splice.value_of(node, "image") if isinstance(node, yaml.MappingNode) else None
        if isinstance(image, yaml.ScalarNode):
            self._image(image)

    def _image(self, node: yaml.ScalarNode) -> None:
        if target := self._wanted(node):
            self._edit(node, yaml_splice.replace(self.text, node, target), f"{node.value} → {target}")

    def _wanted(self, node: yaml.ScalarNode) -> str | None:
        """What a reference shall become; None where it stays, or is none."""
        current = parse_reference(node.value)
        if current is None:
            return None
        # Without tag and digest it is `latest`, which is of the flavor cpu.
        tag = current.tag if current.digest else current.tag or "latest"
        update = self._update_for(node, current.repository, tag)
        if update is None:
            return None
        target = update.target
        if full_name(current.repository) == full_name(target.repository):
            # However people write it, with Docker Hub's name or without.
            target = ImageReference(current.repository, target.tag, target.digest)
        return str(target) if str(target) != node.value else None

    def _holders(self, document: yaml.MappingNode) -> list[yaml.Node | None]:
        """Where a document may have the fields of a kustomization."""
        api = yaml_splice.text_of(document, "apiVersion") or ""
        if PurePosixPath(self.path).name in KUSTOMIZATION_FILES or api.startswith(KUSTOMIZE_API):
            return [document]
        spec = yaml_splice.value_of(document, "spec")
        if api.startswith(FLUX_API):
            return [spec]
        if api.startswith(HELM_API) and isinstance(spec, yaml.MappingNode):
            renderers = yaml_splice.entries(yaml_splice.value_of(spec, "postRenderers"))
            return [yaml_splice.value_of(one, "kustomize") for one in renderers if isinstance(one, yaml.MappingNode)]
        return []

    def _kustomization(self, holder: yaml.MappingNode) -> None:
        for entry in yaml_splice.entries(yaml_splice.value_of(holder, "images")):
            if isinstance(entry, yaml.MappingNode):
                self._kustomize_image(entry)
        for key in INLINE:
            for entry in yaml_splice.entries(yaml_splice.value_of(holder, key)):
                patch = yaml_splice.value_of(entry, "patch") if isinstance(entry, yaml.MappingNode) else entry
                if isinstance(patch, yaml.ScalarNode):
                    self._inline(patch)
                elif isinstance(patch, yaml.SequenceNode):
                    self._json_patch(patch)

    def _kustomize_image(self, entry: yaml.MappingNode, *, left: bool = False) -> None:
        """An entry of `images`; where it is to be left, it is only told."""
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
            told = f"{name}: {key} {fields[key] or 'nothing'} → {value}"
            if left and fields[key] != value:
                self._leave(entry, f"written inside a patch, left as it is: {told}")
            elif left or fields[key] == value:
                continue
            elif isinstance(node, yaml.ScalarNode):
                self._edit(node, yaml_splice.replace(self.text, node, value), told)
            else:
                missing[key] = value
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

    def _inline(self, node: yaml.ScalarNode) -> None:
        """A patch or an object that is written as text; what stands for a file's path names no image."""
        if not any(update.mentioned(node.value) for update in self.updates):
            return
        inside = yaml_splice.inside(self.text, node)
        patch = _File(
            self.path,
            node.value,
            self.updates,
            self.outcome,
            self.first_line + (inside.line if inside else node.start_mark.line),
        )
        try:
            patch.patched()
        except yaml.YAMLError as error:
            _, problem = problem_of(error, node.value)
            self._leave(node, f"a patch that is not valid YAML, left as it is: {problem}")
            return
        for edit, (line, told) in patch.edits.items():
            if inside:
                self.edits.setdefault(inside.outside(edit), (line, told))
            else:
                self._leave(node, f"a patch with escapes or folded lines, left as it is: {told}")

    def patched(self) -> None:
        """Look into a text that is a patch: its objects need not say of which kind they are."""
        for document in yaml_splice.documents(self.text):
            if isinstance(document, yaml.SequenceNode):
                self._json_patch(document)
            else:
                self._patch(document)

    def _patch(self, root: yaml.Node) -> None:
        for mapping in yaml_splice.mappings(root):
            self._pod(mapping)
            # Of a kustomization that is patched; keys that it lacks are not put into a text.
            if any(yaml_splice.text_of(mapping, key) for key in ("newName", "newTag", "digest")):
                self._kustomize_image(mapping, left=True)

    def _json_patch(self, operations: yaml.SequenceNode) -> None:
        """Operations as in RFC 6902; a list of anything else has none."""
        for operation in operations.value:
            if isinstance(operation, yaml.MappingNode):
                path, value = yaml_splice.text_of(operation, "path"), yaml_splice.value_of(operation, "value")
                if path is not None and value is not None:
                    self._operation(yaml_splice.text_of(operation, "op") or "", path.split("/"), value)

    def _operation(self, name: str, path: list[str], value: yaml.Node) -> None:
        puts = name in PUTTING
        if puts and isinstance(value, yaml.ScalarNode) and path[-1] == "image" and _of_containers(path[-3:-2]):
            self._image(value)
        elif puts and _of_containers(path[-2:-1]):
            self._container(value)
        elif puts and _of_containers(path[-1:]):
            self._containers(value)
        elif puts and not isinstance(value, yaml.ScalarNode):
            self._patch(value)
        else:
            for scalar in yaml_splice.scalars(value):
                if target := self._wanted(scalar):
                    told = f"{scalar.value} → {target}"
                    self._leave(scalar, f"{name or 'no operation'} {'/'.join(path)}, left as it is: {told}")
