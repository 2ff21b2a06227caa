# SPDX-License-Identifier: Apache-2.0
"""Digests in manifests: what is found by structure, what is left alone, down to the byte."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from cowabungaai.errors import ManifestError
from cowabungaai.image_reference import ImageReference, full_name, parse_reference
from cowabungaai.manifest_updates import Update, check_updates, from_argument, from_report
from cowabungaai.manifests import Outcome, update_files
from cowabungaai.published import Place, PublishedImage, PublishReport

OLD, NEW, GPU = (f"sha256:{character * 64}" for character in "abc")
API = "ghcr.io/awdemos/cowabungaai/api"
TARGET = f"{API}:0.2.0@{NEW}"
UPDATE = Update(API, ImageReference(API, "0.2.0", NEW))
DEPLOYMENT = f"""\
# What runs in front.
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api,   labels: {{ app: "api" }} }}   # aligned by hand
spec:
    replicas:   2
    template:
        spec:
            initContainers:
            - {{name: migrate, image: {API}:0.1.0, args: [migrate]}}
            containers:
                -   name: api
                    # renovate: keep
                    image:   "{API}:0.1.0"   # pinned
                    env:
                    - {{name: IMAGE, value: "{API}:0.1.0"}}
                -   name: sidecar
                    image: 'nginx:1.29'
"""


def updated(text: str, *updates: Update, path: str = "a.yaml") -> str:
    """A file after its update; a second one changes nothing."""
    outcome = run(text, *updates, path=path)
    assert not outcome.unreadable
    content = outcome.changed.get(path, text)
    assert run(content, *updates, path=path).changed == {}
    return content


def run(text: str, *updates: Update, path: str = "a.yaml") -> Outcome:
    """The outcome for one file."""
    return update_files([(path, text)], updates or [UPDATE])


def test_images_of_containers_change_and_nothing_else_does() -> None:
    expected = DEPLOYMENT.replace(f"image: {API}:0.1.0", f"image: {TARGET}").replace(
        f'image:   "{API}:0.1.0"', f'image:   "{TARGET}"'
    )
    assert updated(DEPLOYMENT) == expected
    assert run(DEPLOYMENT).told == [
        f"a.yaml:10: {API}:0.1.0 → {TARGET}",
        f"a.yaml:14: {API}:0.1.0 → {TARGET}",
    ]


POD = {"containers": [{"name": "api", "image": f"{API}:0.1.0"}]}
EPHEMERAL = {"ephemeralContainers": [{"name": "api", "image": f"{API}@{OLD}"}]}
TEMPLATED = {"template": {"spec": POD}}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Pod", {"spec": POD}),
        ("Pod", {"spec": EPHEMERAL}),
        *((kind, {"spec": TEMPLATED}) for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")),
        ("CronJob", {"spec": {"jobTemplate": {"spec": TEMPLATED}}}),
        ("List", {"items": [{"apiVersion": "v1", "kind": "Pod", "spec": POD}]}),
        ("Rollout", {"spec": TEMPLATED}),
    ],
)
@pytest.mark.parametrize("flow", [False, True])
def test_every_kind_of_workload_is_known(kind: str, body: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump({"apiVersion": "v1", "kind": kind, **body}, default_flow_style=flow, sort_keys=False)
    assert updated(text) == text.replace(f"{API}:0.1.0", TARGET).replace(f"{API}@{OLD}", TARGET)
    assert TARGET in updated(text)


@pytest.mark.parametrize(
    "text",
    [
        f"image: {API}:0.1.0\ncontainers: [{{image: '{API}:0.1.0'}}]\n",
        f"apiVersion: v1\nkind: ConfigMap\ndata:\n  pod: |\n    containers:\n    - image: {API}:0.1.0\n",
        f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {API}-other:0.1.0\n",
        f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: quay.io/{API}:0.1.0\n",
        f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: '{{{{ .Values.image }}}}' # {API}\n",
    ],
    ids=["values of a chart", "text in a ConfigMap", "longer name", "other registry", "template in quotes"],
)
def test_what_is_no_image_of_a_workload_or_another_image_stays(text: str) -> None:
    assert run(text).changed == {}
    assert run(text).unreadable == []


def test_documents_of_a_file_and_line_ends_stay() -> None:
    pod = "apiVersion: v1\r\nkind: Pod\r\nspec: {containers: [{name: a, image: " + API + "}]}\r\n"
    text = f"---\r\n{pod}...\r\n# between\r\n---\r\n{pod}---\r\n"
    assert updated(text) == text.replace(f"image: {API}", f"image: {TARGET}")


def test_a_template_is_told_and_left_alone() -> None:
    text = f"{{{{- if .Values.on }}}}\napiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {API}:0.1.0\n"
    outcome = run(text, path="chart/templates/pod.yaml")
    assert outcome.changed == {}
    assert len(outcome.unreadable) == 1
    assert outcome.unreadable[0].startswith("chart/templates/pod.yaml:1: not valid YAML, left as it is: ")


def test_a_template_without_the_image_is_nobodys_business() -> None:
    assert run("{{- if .Values.on }}\nkind: Pod\n").unreadable == []


def test_an_image_over_several_lines_is_told_and_left_alone() -> None:
    text = f"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: >-\n      {API}:0.1.0\n"
    outcome = run(text)
    assert (outcome.changed, len(outcome.unreadable)) == ({}, 1)
    assert outcome.unreadable[0].startswith("a.yaml:5: ")


def test_an_anchor_is_changed_where_it_is_written() -> None:
    text = f"""\
apiVersion: v1
kind: Pod
spec:
  containers:
  - name: a
    image: &image {API}:0.1.0
  - name: b
    image: *image
  - <<: &base {{name: c, image: "{API}"}}
    name: d
"""
    assert updated(text) == text.replace(f"{API}:0.1.0", TARGET).replace(f'"{API}"', f'"{TARGET}"')


def test_images_of_docker_hub_are_found_by_all_their_names_and_keep_the_one_they_have() -> None:
    update = from_argument(f"docker.io/library/nginx@{NEW}")
    pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {}\n"
    for name in ("nginx", "library/nginx", "docker.io/library/nginx"):
        assert updated(pod.format(f"{name}:1.29"), update) == pod.format(f"{name}@{NEW}")


def test_an_image_moves_to_another_repository() -> None:
    update = from_argument(f"api={TARGET}")
    pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {}\n"
    assert updated(pod.format("api:dev"), update) == pod.format(TARGET)


def reported(flavor: str = "cpu", of_one_flavor: Sequence[str] = ("api",)) -> list[Update]:
    """Updates of a report that has the image in one registry."""
    place = Place(
        registry="ghcr",
        reference=f"{API}@{NEW}",
        tagged=TARGET,
        tags=["0.2.0"],
        bytes_sent=1,
        requests=1,
        failed=0,
        seconds=1,
    )
    image = PublishedImage(service="api", flavor=flavor, version="0.2.0", digest=NEW, gates=[], places=[place])
    return from_report(PublishReport(sha=None, release=True, seconds=1, images=[image]), of_one_flavor)


def kustomization(*lines: str) -> str:
    return "resources:\n- a.yaml\nimages:\n" + "".join(f"{line}\n" for line in lines) + "namePrefix: x-  # last\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([f"- name: {API}"], [f"- name: {API}", f"  digest: {NEW}"]),
        ([f"- name: {API}  # ours"], [f"- name: {API}  # ours", f"  digest: {NEW}"]),
        (
            [f"-   name: {API}", '    newTag: "0.1.0"'],
            [f"-   name: {API}", '    newTag: "0.2.0"', f"    digest: {NEW}"],
        ),
        (["- digest: " + OLD, f"  name: {API}"], ["- digest: " + NEW, f"  name: {API}"]),
        (["- name: api", f"  newName: {API}"], ["- name: api", f"  newName: {API}", f"  digest: {NEW}"]),
        ([f"- {{name: {API}, newTag: 0.1.0}}"], [f"- {{name: {API}, newTag: 0.2.0, digest: {NEW}}}"]),
        ([f'- {{"name": "{API}"}}'], [f'- {{"name": "{API}", "digest": "{NEW}"}}']),
        ([f"- name: {API}", "  digest:"], [f"- name: {API}", f"  digest: {NEW}"]),
    ],
)
def test_kustomize_images_get_the_digest(before: list[str], after: list[str]) -> None:
    assert updated(kustomization(*before), path="base/kustomization.yaml") == kustomization(*after)


def test_kustomize_images_move_to_another_repository() -> None:
    update = from_argument(f"api={TARGET}")
    changed = updated(kustomization("- name: api", "  newTag: dev"), update, path="kustomization.yaml")
    assert changed == kustomization("- name: api", "  newTag: 0.2.0", f"  newName: {API}", f"  digest: {NEW}")


@pytest.mark.parametrize("mirror", ["registry.enclave/mirror/api", "localhost:5000/api", "x/other"])
def test_a_report_leaves_an_image_in_the_registry_from_which_it_comes(mirror: str) -> None:
    entry = f"- {{name: {API}, newName: {mirror}, newTag: 0.1.0}}"
    after = f"- {{name: {API}, newName: {mirror}, newTag: 0.2.0, digest: {NEW}}}"
    assert updated(kustomization(entry), *reported(), path="kustomization.yaml") == kustomization(after)
    named = from_argument(TARGET)
    assert updated(kustomization(entry), named, path="kustomization.yaml") == kustomization(after)


def test_only_an_argument_with_two_names_moves_an_image() -> None:
    before = kustomization(f"- name: {API}", "  newName: registry.enclave/mirror/api", f"  digest: {OLD}")
    moves = from_argument(f"{API}=quay.io/x/api@{NEW}")
    after = kustomization(f"- name: {API}", "  newName: quay.io/x/api", f"  digest: {NEW}")
    assert updated(before, moves, path="kustomization.yaml") == after
    assert run(after, *reported(), path="kustomization.yaml").used == reported()


@pytest.mark.parametrize("null", ["", " null", " ~"])
def test_what_is_null_in_an_entry_of_kustomize_is_not_there(null: str) -> None:
    before = kustomization(f"- name: {API}", f"  newName:{null}", f"  newTag:{null}", f"  digest:{null}")
    after = kustomization(f"- name: {API}", f"  newName:{null}", f"  newTag:{null}", f"  digest: {NEW}")
    assert updated(before, *reported(), path="kustomization.yaml") == after
    moved = after.replace(f"newName:{null}", "newName: quay.io/x/api", 1)
    assert updated(before, from_argument(f"{API}=quay.io/x/api@{NEW}"), path="kustomization.yaml") == moved
    told = run(before, *reported(), path="kustomization.yaml").told
    assert told == [f"kustomization.yaml:7: {API}: digest nothing → {NEW}"]


def test_a_tag_of_which_nobody_knows_whether_it_holds_gives_way_to_the_digest() -> None:
    update = from_argument(f"{API}@{NEW}")
    changed = updated(kustomization(f"- name: {API}", "  newTag: 0.1.0 # x"), update, path="kustomization.yml")
    assert changed == kustomization(f"- name: {API}", f"  digest: {NEW} # x")


def test_a_tag_that_yaml_would_take_for_a_number_is_quoted() -> None:
    update = Update(API, ImageReference(API, "1234567", NEW))
    changed = updated(kustomization(f"- name: {API}", "  newTag: main"), update, path="kustomization.yaml")
    assert yaml.safe_load(changed)["images"] == [{"name": API, "newTag": "1234567", "digest": NEW}]


def test_images_that_flux_sets_are_set() -> None:
    text = f"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec:\n  images:\n  - name: {API}\n"
    assert updated(text) == f"{text}    digest: {NEW}\n"


PATCH = f"""\
kind: Deployment
metadata: {{name: api}}   # by hand

spec:
  template:
    spec:
      containers:
      - name:  api
        image:   "{API}:0.1.0"   # pinned
        env: [{{name: IMAGE, value: '{API}:0.1.0'}}]
"""
PATCHED = PATCH.replace(f'  "{API}:0.1.0"', f'  "{TARGET}"')
PLACE = "/spec/template/spec/containers/0/image"
OPERATION = f'[{{"op": "replace", "path": "{PLACE}", "value": "{API}:0.1.0"}}]'


def indented(text: str, by: int) -> str:
    return "".join(f"{' ' * by}{line}" if line.strip() else line for line in text.splitlines(keepends=True))


@pytest.mark.parametrize(
    "head",
    [
        "patches:\n- target: {{kind: Deployment}}\n  patch: |-  # inline\n{0}- path: other.yaml\n",
        "patches:\n  - patch: &p !!str |\n{0}    options: {{allowNameChange: true}}\n  - patch: *p\n",
        "patches:\n- patch:\n    &p\n    |+\n{0}\n\n# the end\nnamePrefix: x-\n",
        "patchesStrategicMerge:\n- other.yaml\n- |\n{0}",
        "patches:\n- patch: >\n{0}",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_images_in_inline_patches_change_and_nothing_else_does(head: str, end: str) -> None:
    folded = ">" in head
    before, after = (OPERATION, OPERATION.replace(f"{API}:0.1.0", TARGET)) if folded else (PATCH, PATCHED)
    text = head.format(indented(before, 6)).replace("\n", end)
    assert updated(text, path="kustomization.yaml") == head.format(indented(after, 6)).replace("\n", end)
    line = text[: text.index(f"{API}:0.1.0")].count("\n") + 1
    assert run(text, path="kustomization.yaml").told == [f"kustomization.yaml:{line}: {API}:0.1.0 → {TARGET}"]


def test_a_patch_whose_indentation_is_written_and_one_without_a_last_line_end() -> None:
    text = f"patches:\n- patch: |2\n     \n{indented(PATCH, 4)}".rstrip("\n")
    assert updated(text, path="kustomization.yaml") == text.replace(f'  "{API}:0.1.0"', f'  "{TARGET}"')


@pytest.mark.parametrize("quote", ["'", ""])
@pytest.mark.parametrize("key", ["patches", "patchesJson6902"])
def test_json_patches_change_in_text_and_in_files_of_their_own(quote: str, key: str) -> None:
    text = f"{key}:\n- patch: {quote}{OPERATION}{quote}  # one\n"
    assert updated(text, path="kustomization.yaml") == text.replace(f"{API}:0.1.0", TARGET)
    file = f"# a file\n- op: add\n  path: /spec/template/spec/initContainers/-\n  value: {{name: a, image: {API}}}\n"
    file += f"- op: replace\n  path: /spec/template/spec/containers\n  value:\n  - image: {API}\n"
    file += f"- op: add\n  path: /spec/template/spec\n  value: {{containers: [{{image: {API}}}]}}\n"
    assert updated(file, path="patch.yaml") == file.replace(f"image: {API}", f"image: {TARGET}")


def test_json_patches_and_objects_in_json_change() -> None:
    patch = f'[\n\t{{"op":"replace",\t"path":"{PLACE}",\n\t "value":"{API}:0.1.0"}}\n]\n'
    assert updated(patch, path="patch.json") == patch.replace(f"{API}:0.1.0", TARGET)
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a\t", "image": f"{API}:0.1.0"}]}}
    for indent in (None, 2, "\t"):
        text = json.dumps(pod, indent=indent)
        assert updated(text, path="pod.json") == text.replace(f"{API}:0.1.0", TARGET)


def test_json_that_names_no_image_is_not_read() -> None:
    big = "{" * 10_000_000
    outcome = run(big, path="dashboard.json")
    assert (outcome.changed, outcome.unreadable) == ({}, [])
    outcome = run(f'{{"image": "{API}",\n]', path="broken.json")
    assert [told.split(": ")[:2] for told in outcome.unreadable] == [["broken.json:2", "not valid YAML, left as it is"]]


def test_patches_that_flux_applies_change() -> None:
    head = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec:\n"
    merge = f"  patches:\n  - patch: |\n{indented(PATCH, 6)}"
    assert updated(head + merge) == head + merge.replace(f'  "{API}:0.1.0"', f'  "{TARGET}"')
    others = f"  patchesJson6902:\n  - patch: {OPERATION}\n  patchesStrategicMerge:\n  - {{spec: {{containers: ["
    others += f"{{image: {API}}}]}}}}\n"
    assert updated(head + others) == head + others.replace(f"{API}:0.1.0", TARGET).replace(
        f": {API}}}", f": {TARGET}}}"
    )


def test_what_flux_does_to_the_objects_of_a_chart_changes() -> None:
    head = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec:\n"
    head += f"  values: {{image: '{API}:0.1.0'}}\n  postRenderers:\n  - {{}}\n  - kustomize:\n"
    merge = f"      patches:\n      - patch: |\n{indented(PATCH, 10)}"
    second = f"  - kustomize:\n      images:\n      - name: {API}\n        newTag: 0.1.0\n"
    after = second.replace("0.1.0", "0.2.0") + f"        digest: {NEW}\n"
    assert updated(head + merge + second) == head + merge.replace(f'  "{API}:0.1.0"', f'  "{TARGET}"') + after


ENTRY = f"spec: {{images: [{{name: {API}, newTag: 0.1.0}}]}}\n"


@pytest.mark.parametrize(
    ("patch", "line", "told"),
    [
        (json.dumps(OPERATION), 2, f"escapes or folded lines, left as it is: {API}:0.1.0 →"),
        (">-\n" + indented(OPERATION.replace('", ', '",\n'), 4), 2, "escapes or folded lines, left as it is: "),
        ("|\n    spec:\n    \tcontainers: " + API, 2, "not valid YAML, left as it is: found character"),
        (
            f"|\n    - op: test\n      path: {PLACE}\n      value: {API}",
            5,
            f"test {PLACE}, left as it is: {API} → {TARGET}",
        ),
        (f"|\n    - op: add\n      path: /env/0/value\n      value: {API}", 5, "add /env/0/value, left as it is: "),
        (f"|\n    - path: /a\n      value: [{{x: {API}}}]", 4, "no operation /a, left as it is: "),
        (f"|\n{indented(ENTRY, 4)}", 3, f"inside a patch, left as it is: {API}: newTag 0.1.0 → 0.2.0"),
        (f"|\n    containers:\n    - image: |-\n        {API}", 4, f"over several lines, left as it is: {API}"),
    ],
)
def test_what_stays_in_a_patch_is_told(patch: str, line: int, told: str) -> None:
    outcome = run(f"patches:\n- patch: {patch}\n", path="kustomization.yaml")
    assert outcome.changed == {}
    assert any(one.startswith(f"kustomization.yaml:{line}: ") and told in one for one in outcome.unreadable), outcome


def test_a_patch_with_the_right_digest_is_not_told() -> None:
    text = f"patches:\n- patch: |\n    - {{op: test, path: /a, value: {TARGET}}}\n- patch: {API}.yaml\n"
    outcome = run(text, path="kustomization.yaml")
    assert (outcome.changed, outcome.unreadable) == ({}, [])


def test_a_last_line_without_an_end_stays_without() -> None:
    assert updated(f"images:\n- name: {API}", path="kustomization.yaml") == f"images:\n- name: {API}\n  digest: {NEW}"


def test_flavors_of_one_repository_are_told_apart_by_their_tags() -> None:
    cpu = Update(API, ImageReference(API, "0.2.0", NEW), "cpu")
    gpu = Update(API, ImageReference(API, "0.2.0-gpu", GPU), "gpu")
    pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {}\n  - image: {}\n"
    changed = updated(pod.format(f"{API}:0.1.0-gpu", f"{API}:0.1.0"), cpu, gpu)
    assert changed == pod.format(f"{API}:0.2.0-gpu@{GPU}", TARGET)


def test_a_report_of_publish_sets_the_image_in_all_registries() -> None:
    places = [
        Place(
            registry=name,
            reference=f"{host}/api@{NEW}",
            tagged=f"{host}/api:0.2.0@{NEW}",
            tags=["0.2.0"],
            bytes_sent=1,
            requests=1,
            failed=0,
            seconds=1,
        )
        for name, host in (("ghcr", "ghcr.io/awdemos/cowabungaai"), ("dockerhub", "docker.io/cowabungaai"))
    ]
    image = PublishedImage(service="api", flavor="cpu", version="0.2.0", digest=NEW, gates=[], places=places)
    updates = from_report(PublishReport(sha=None, release=True, seconds=1, images=[image]))
    pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {}\n  - image: {}\n"
    changed = updated(pod.format(f"{API}:0.1.0", "cowabungaai/api"), *updates)
    assert changed == pod.format(TARGET, f"cowabungaai/api:0.2.0@{NEW}")


def test_a_digest_alone_tells_no_flavor_and_is_left_alone() -> None:
    cpu = Update(API, ImageReference(API, "0.2.0", NEW), "cpu")
    text = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {}\n  - image: {}\n"
    outcome = run(text.format(f"{API}@{OLD}", API), cpu)
    assert outcome.changed["a.yaml"] == text.format(f"{API}@{OLD}", TARGET), "latest is of the flavor cpu"
    assert outcome.unreadable == [
        f"a.yaml:5: {API} has no tag, which tells cpu from gpu, left as it is; --image sets it"
    ]
    kustomization = f"images:\n- name: api\n  newName: {API}\n  digest: {OLD}\n"
    outcome = run(kustomization, cpu, path="kustomization.yaml")
    assert not outcome.changed
    assert len(outcome.unreadable) == 1


@pytest.mark.parametrize("flavor", ["cpu", "gpu"])
def test_a_service_of_one_flavor_needs_no_tag(flavor: str) -> None:
    updates = reported(flavor, ["api"])
    pod = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {}\n"
    assert updated(pod.format(f"{API}@{OLD}"), *updates) == pod.format(TARGET)


@pytest.mark.parametrize("text", ["", "api", "api=", f"{API}:0.2.0", f"a:1={TARGET}", "=x", f"api={API}@sha256:12"])
def test_an_argument_that_names_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="expected NAME=REPOSITORY"):
        from_argument(text)


def test_one_image_with_two_digests_is_refused() -> None:
    with pytest.raises(ManifestError, match="is given twice"):
        check_updates([from_argument(f"{API}@{NEW}"), from_argument(f"{API}@{OLD}")])
    with pytest.raises(ManifestError, match="nothing to set"):
        check_updates([])
    check_updates([UPDATE, UPDATE])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", ImageReference("nginx")),
        ("localhost:5000/a/b:1", ImageReference("localhost:5000/a/b", "1")),
        (TARGET, ImageReference(API, "0.2.0", NEW)),
        (f"api@{NEW}", ImageReference("api", None, NEW)),
        ("${IMAGE}", None),
        ("{{ .Values.image }}", None),
        ("a b", None),
        ("", None),
    ],
)
def test_references_are_read(text: str, expected: ImageReference | None) -> None:
    assert parse_reference(text) == expected
    assert expected is None or str(expected) == text


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("a/b", "docker.io/a/b"),
        ("index.docker.io/a/b", "docker.io/a/b"),
        ("localhost/a", "localhost/a"),
        (API, API),
    ],
)
def test_repositories_have_a_full_name(name: str, full: str) -> None:
    assert full_name(name) == full


class Writer:
    """Writes the same data in one of the many ways that YAML allows."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - the same each time

    def scalar(self, value: Any) -> str:
        if not isinstance(value, str):
            return yaml.safe_dump(value).splitlines()[0]
        forms = [f'"{value}"', f"'{value}'"]
        return self.dice.choice([*forms, value] if yaml.safe_load(value) == value else forms)

    def comment(self) -> str:
        return self.dice.choice(["", "", f"  # image: {API}:0.1.0", "   # für später 🦄"])

    def flow(self, value: Any) -> str:
        pad = self.dice.choice(["", " "])
        if isinstance(value, dict):
            return "{" + pad + ", ".join(f"{key}: {self.flow(one)}" for key, one in value.items()) + pad + "}"
        if isinstance(value, list):
            return "[" + pad + f",{pad} ".join(map(self.flow, value)) + pad + "]"
        return self.scalar(value)

    def block(self, value: Any, indent: int) -> list[str]:
        lines: list[str] = []
        for key, one in value.items():
            head = f"{' ' * indent}{key}:{' ' * self.dice.randint(1, 3)}"
            if self.dice.random() < 0.1:
                lines.append("")
            if not isinstance(one, dict | list) or not one or self.dice.random() < 0.25:
                lines.append(head + self.flow(one) + self.comment())
            elif isinstance(one, dict):
                lines += [head.rstrip() + self.comment(), *self.block(one, indent + self.dice.randint(1, 4))]
            else:
                lines.append(head.rstrip() + self.comment())
                at = indent + self.dice.randint(0, 3)
                for entry in one:
                    if isinstance(entry, dict):
                        gap = self.dice.randint(1, 3)
                        first, *rest = self.block(entry, at + 1 + gap)
                        first, rest = (rest[0], rest[1:]) if not first else (first, rest)
                        lines += [f"{' ' * at}-{' ' * gap}{first.lstrip()}", *rest]
                    else:
                        lines.append(f"{' ' * at}- {self.scalar(entry)}{self.comment()}")
        return lines


def random_workload(dice: random.Random) -> dict[str, Any]:
    """A workload by chance, with images of ours and of others."""
    images = [f"{API}:0.1.0", f"{API}@{OLD}", API, "nginx:1.29", f"{API}-not:1", TARGET]
    containers = [
        {"name": f"c{number}", "image": dice.choice(images), "args": ["a", "1", "0x1", "no"], "tty": True}
        for number in range(dice.randint(1, 4))
    ]
    pod = {dice.choice(["containers", "initContainers"]): containers, "nodeSelector": {"zone": "a"}}
    kind = dice.choice(["Deployment", "StatefulSet", "Job"])
    labels = {"app": "api", "image": f"{API}:0.1.0"}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "x", "labels": labels},
        "spec": {"replicas": 3, "template": {"spec": pod}},
    }


def expected_of(document: dict[str, Any]) -> dict[str, Any]:
    """What a workload shall be after the update."""
    changed: dict[str, Any] = yaml.safe_load(yaml.safe_dump(document, sort_keys=False))
    pod = changed["spec"]["template"]["spec"]
    for container in itertools.chain(pod.get("containers", ()), pod.get("initContainers", ())):
        reference = parse_reference(container["image"])
        if reference and reference.repository == API:
            container["image"] = TARGET
    return changed


@pytest.mark.parametrize("seed", range(300))
def test_however_it_is_written_only_images_change(seed: int) -> None:
    writer = Writer(seed)
    workloads = [random_workload(writer.dice) for _ in range(writer.dice.randint(1, 3))]
    end = writer.dice.choice(["\n", "\r\n"])
    text = f"{end}---{end}".join(end.join(writer.block(one, 0)) for one in workloads) + end
    assert list(yaml.safe_load_all(text)) == workloads, "the writer of this test is wrong"
    changed = updated(text)
    assert list(yaml.safe_load_all(changed)) == [expected_of(one) for one in workloads]
    before, after = text.split(end), changed.split(end)
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        assert new == old or old.replace(TARGET, "").count(API) > 0
        # No value of this test has the character that begins a comment.
        (content, *comment), (old_content, *old_comment) = new.split("#", 1), old.split("#", 1)
        assert comment == old_comment
        # Take the images away, and what is left of a line is what it was.
        assert masked(content) == masked(old_content)


def masked(line: str) -> str:
    for reference in (TARGET, f"{API}:0.1.0", f"{API}@{OLD}", API):
        line = line.replace(reference, "IMAGE")
    return line


@pytest.mark.parametrize("seed", range(60))
def test_however_a_patch_is_written_only_images_change(seed: int) -> None:
    writer = Writer(seed)
    workload = random_workload(writer.dice)
    by = writer.dice.randint(1, 5)
    end = writer.dice.choice(["\n", "\r\n"])
    patch = "\n".join(["# a patch", *writer.block(workload, 0)]) + "\n" * writer.dice.randint(0, 3)
    mark = writer.dice.choice(["|", "|-", "|+"])
    text = f"patches:\n- patch: {mark}\n{indented(patch, by + 2)}\nnamePrefix: x-\n".replace("\n", end)
    before, after = (
        yaml.safe_load(one)["patches"][0]["patch"] for one in (text, updated(text, path="kustomization.yaml"))
    )
    assert yaml.safe_load(before) == workload, "the writer of this test is wrong"
    assert yaml.safe_load(after) == expected_of(workload)
    changed = updated(text, path="kustomization.yaml")
    assert [masked(line) for line in changed.split(end)] == [masked(line) for line in text.split(end)]
