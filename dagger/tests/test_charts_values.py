# SPDX-License-Identifier: Apache-2.0
"""Values of charts: a wrong one is refused by its name, Secrets are made once, models and devices arrive in pods."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
from types import ModuleType
from typing import Any

import pytest
import yaml
from charts_rendered import ROOT, Rendered, rendered, template
from cluster_double import cluster, secret

pytestmark = pytest.mark.slow
API = "packages/api/chart"
REPEATER = "packages/repeater/chart"
LLAMA = "packages/llama-cpp-python/chart"
EMBEDDINGS = "packages/text-embeddings/chart"
VLLM = "packages/vllm/chart"
REFERENCE = "ghcr.io/cowabungaai/models/a:sha256-000000000000"
MODEL = f"--set=model.image={REFERENCE}"
DATABASE = ("--set=database.secretName=postgres", "--set=database.pods.app=postgres")
KEY = "cowabungaai-api-admin-key"
SCHEMAS = sorted(ROOT.glob("packages/*/chart/values.schema.json"))
# Values of their own in a chart, in place of settings.
ELSEWHERE = {"host", "port", "log-level", "drain-seconds", "metrics-port", "models-dir", "config", "model"}


def keys() -> ModuleType:
    """How the gateway makes and checks keys."""
    path = ROOT / "services/api/src/cowabungaai_api/auth/keys.py"
    spec = importlib.util.spec_from_file_location("keys_of_the_gateway", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def copied(reference: str, name: str) -> str:
    """Where a model is copied to: one folder for each reference of an image."""
    return f"/models/{name}-{hashlib.sha256(reference.encode()).hexdigest()[:12]}"


def admin_key(shown: Rendered) -> str:
    """The key that a rendering's Secret holds."""
    document = shown.one("Secret")
    assert document["metadata"]["name"] == KEY
    assert document["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    return base64.b64decode(document["data"]["admin-key"]).decode()


@pytest.mark.parametrize(
    ("chart", "arguments", "told"),
    [
        (REPEATER, ["--set=replicas=two"], "at '/replicas': got string, want integer"),
        (REPEATER, ["--set=replica=2"], "additional properties 'replica' not allowed"),
        (REPEATER, ["--set=logLevel=loud"], "at '/logLevel': value must be one of 'debug', 'info'"),
        (REPEATER, ["--set=settings.delay=1"], "at '/settings': additional properties 'delay' not allowed"),
        (REPEATER, ["--set=resources.limits.memory=lots"], "at '/resources/limits/memory'"),
        (REPEATER, ["--set=uds.enabled=true"], "at '/uds/enabled'"),
        (REPEATER, ["--set=port=80"], "at '/port': minimum: got 80, want 1,024"),
        (REPEATER, ["--set=tracing.endpoint=collector"], "at '/tracing/endpoint'"),
        (LLAMA, [], "model.image: give the reference"),
        (
            LLAMA,
            [MODEL, "--set=model.delivery=download"],
            "at '/model/delivery': value must be one of 'copy'",
        ),
        (LLAMA, [MODEL, "--set=settings.parallel=65"], "at '/settings/parallel': maximum: got 65, want 64"),
        (LLAMA, [MODEL, "--set=model.id=a", '--set-json=models=[{"image":"x:1","id":"a"}]'], 'two have the id "a"'),
        (VLLM, [MODEL, "--set=gpu.count=0"], "at '/gpu/count': minimum: got 0, want 1"),
        (API, ["--set=models=null"], "at '': missing property 'models'"),
        (API, ['--set-json=models=[{"name":"a"}]'], "at '/models/0': missing property 'backend'"),
        (API, ["--set=backends.a.replica=x"], "at '/backends/a': additional properties 'replica' not allowed"),
        (API, ["--set=replicas=2"], "replicas: more than one needs database.secretName"),
        (
            API,
            ["--set=models[0].name=my", "--set=models[0].backend=nope"],
            'the backend "nope" of "my" is neither in backends',
        ),
        (API, ["--set=database.host=db"], "database.secretName: name the Secret"),
        (API, ["--set=expose.gateway=passthrough"], "at '/expose/gateway'"),
        *(
            (API, [f'--set-json=network.egress=[{{"description":"a","cidr":"{cidr}","ports":[1]}}]'], "egress/0/cidr")
            for cidr in ("0.0.0.0/0", "0.0.0.0/1", "", "::/8")
        ),
        (API, [*DATABASE, "--set=database.cidr=0.0.0.0/1"], "at '/database/cidr'"),
        (API, ["--set=backends.a.dns=x", "--set=backends.a.api_key_file=/etc/key"], "at '/backends/a/api_key_file'"),
        (API, ["--set=backends.a.dns=x", "--set=backends.a.api_key_env=KEY"], "additional properties 'api_key_env'"),
        (
            VLLM,
            [MODEL, "--set=chatTemplate.text=a", "--set=config.chat_template=/a"],
            "chatTemplate.text, config.chat_template: give one of them",
        ),
        (REPEATER, ["--set=name=4b"], "at '/name'"),
        (REPEATER, ["--set=metricsPort=50051"], "metricsPort: 50051 is the port of the service"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(chart: str, arguments: list[str], told: str) -> None:
    finished = template(chart, *arguments)
    assert finished.returncode != 0
    assert told in finished.stderr


@pytest.mark.parametrize(
    "argument",
    [
        "--set=resources.limits.memory=1.5Gi",
        "--set=resources.limits.memory=2G",
        "--set=tracing.endpoint=http://[2001:db8::1]:4317",
    ],
)
def test_right_values_are_taken_however_they_are_written(argument: str) -> None:
    finished = template(REPEATER, argument)
    assert finished.returncode == 0, finished.stderr


def test_secrets_that_the_configuration_names_as_files_are_mounted() -> None:
    shown = rendered(API, '--set-json=secrets=[{"name":"triton"},{"name":"keys.of.an-issuer"}]')
    volumes = {one["name"]: one["secret"]["secretName"] for one in shown.pod["spec"]["volumes"] if "secret" in one}
    mounts = {one["mountPath"]: one for one in shown.container["volumeMounts"]}
    for name in ("triton", "keys.of.an-issuer"):
        mount = mounts[f"/run/secrets/cowabungaai/given/{name}"]
        assert (volumes[mount["name"]], mount["readOnly"]) == (name, True)


def test_the_admin_key_that_is_made_is_one_that_the_gateway_takes() -> None:
    made = {admin_key(rendered(API)) for _ in range(3)}
    assert len(made) == 3
    assert all(keys().is_well_formed(key) for key in made)


def test_a_key_that_is_there_is_kept() -> None:
    before = keys().generate()
    with cluster(secret(KEY, "cowabungaai", "tested", {"admin-key": before})) as address:
        again = ("--dry-run=server", "--disable-openapi-validation", f"--kube-apiserver={address}")
        shown = rendered(API, *again)
        assert admin_key(shown) == before
        finished = template(API, *again, "--set=adminKey.key=other")
    assert f"Secret {KEY} in namespace cowabungaai has no entry other" in finished.stderr


def test_a_secret_that_is_named_is_used_and_none_is_made() -> None:
    shown = rendered(API, "--set=adminKey.secretName=mine", "--set=adminKey.key=k")
    assert shown.all("Secret") == []
    (volume,) = [one for one in shown.pod["spec"]["volumes"] if one["name"] == "admin-key"]
    assert volume["secret"] == {"secretName": "mine", "items": [{"key": "k", "path": "key"}]}
    (endpoint,) = shown.one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "mine", "key": "k"}


def test_a_database_is_named_by_a_url_or_by_its_parts() -> None:
    by_url = rendered(API, *DATABASE)
    assert "COWABUNGAAI_API_DATABASE_URL" not in by_url.variables
    assert by_url.all("PersistentVolumeClaim") == []
    by_parts = rendered(API, *DATABASE, "--set=database.host=db.postgres.svc", "--set=database.name=keys")
    assert by_parts.variables["COWABUNGAAI_API_DATABASE_URL"] == "postgresql://db.postgres.svc:5432/keys"
    by_address = rendered(API, "--set=database.secretName=db", "--set=database.host=fd00::1")
    assert by_address.variables["COWABUNGAAI_API_DATABASE_URL"] == "postgresql://[fd00::1]:5432/cowabungaai"
    secrets = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in by_parts.container["env"] if "valueFrom" in one}
    assert secrets == {
        "PGUSER": {"name": "postgres", "key": "username"},
        "PGPASSWORD": {"name": "postgres", "key": "password"},
    }
    # Keys in a file outlive the release.
    claim = rendered(API).one("PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_models_are_copied_and_checked_before_the_service_starts() -> None:
    pinned = f"registry:5000/b@sha256:{'0' * 64}"
    second = f'[{{"image":"{pinned}","id":"b"}},{{"image":"registry/c:1","id":"c","delivery":"volume"}}]'
    shown = rendered(LLAMA, MODEL, "--set=model.id=a", f"--set-json=models={second}")
    copies = [(one["image"], one["command"], one["args"]) for one in shown.pod["spec"]["initContainers"]]
    assert copies == [
        (REFERENCE, ["/copy"], ["/model", copied(REFERENCE, "a")]),
        (pinned, ["/copy"], ["/model", copied(pinned, "b")]),
    ]
    told = f"a={copied(REFERENCE, 'a')},b={copied(pinned, 'b')},c=/images/c"
    assert shown.variables["COWABUNGAAI_MODEL"] == told
    volumes = {one["name"]: one for one in shown.pod["spec"]["volumes"]}
    assert volumes["models"] == {"name": "models", "emptyDir": {"sizeLimit": "16Gi"}}
    mounts = {one["mountPath"]: one for one in shown.container["volumeMounts"]}
    assert mounts["/models"] == {"name": "models", "mountPath": "/models", "readOnly": True}
    mounted = mounts["/images/c"]
    assert (mounted["subPath"], mounted["readOnly"]) == ("model", True)
    assert volumes[mounted["name"]]["image"] == {"reference": "registry/c:1", "pullPolicy": "IfNotPresent"}


def test_a_model_without_an_id_has_that_of_its_manifest() -> None:
    assert rendered(LLAMA, MODEL).variables["COWABUNGAAI_MODEL"] == copied(REFERENCE, "a")


def test_a_new_version_of_a_model_has_another_folder() -> None:
    old, new = (
        rendered(LLAMA, "--set=model.id=a", f"--set=model.image=registry/a:{tag}").variables["COWABUNGAAI_MODEL"]
        for tag in ("1", "2")
    )
    assert old != new


def test_a_model_that_is_mounted_is_not_copied() -> None:
    shown = rendered(LLAMA, MODEL, "--set=model.delivery=volume")
    assert "initContainers" not in shown.pod["spec"]
    assert "models" not in {one["name"] for one in shown.pod["spec"]["volumes"]}


def test_copies_may_lie_on_a_claim() -> None:
    shown = rendered(LLAMA, MODEL, "--set=modelVolume.claimName=weights")
    (volume,) = [one for one in shown.pod["spec"]["volumes"] if one["name"] == "models"]
    assert volume["persistentVolumeClaim"] == {"claimName": "weights"}


def test_devices_are_asked_for_as_the_values_say() -> None:
    device = ("--set=gpu.resourceName=amd.com/gpu", "--set=gpu.count=2", "--set=gpu.runtimeClassName=rocm")
    shown = rendered(EMBEDDINGS, MODEL, "--set=gpu.enabled=true", *device)
    for bound in ("requests", "limits"):
        assert shown.container["resources"][bound]["amd.com/gpu"] == 2
    assert shown.pod["spec"]["runtimeClassName"] == "rocm"
    # There may be no device for one more pod.
    strategy = shown.one("Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 0, "maxUnavailable": 1}
    without = rendered(EMBEDDINGS, MODEL)
    assert "runtimeClassName" not in without.pod["spec"]
    assert without.container["resources"]["limits"].keys() == {"cpu", "memory"}


def test_devices_of_one_pod_share_the_layers_and_adapters_are_served() -> None:
    adapters = '[{"image":"registry/tuned:1","id":"tuned"}]'
    folder = copied("registry/tuned:1", "tuned")
    shown = rendered(VLLM, MODEL, "--set=gpu.count=2", f"--set-json=adapters={adapters}")
    (config,) = [one for one in shown.all("ConfigMap") if "config.yaml" in one["data"]]
    assert yaml.safe_load(config["data"]["config.yaml"]) == {
        "engine": {"tensor_parallel_size": 2},
        "adapters": [{"id": "tuned", "path": folder}],
    }
    assert ["/model", folder] in [one["args"] for one in shown.pod["spec"]["initContainers"]]
    assert "tuned" not in shown.variables["COWABUNGAAI_MODEL"]
    other = rendered(VLLM, MODEL, "--set=gpu.count=2", "--set=config.engine.tensor_parallel_size=1")
    (config,) = [one for one in other.all("ConfigMap") if "config.yaml" in one["data"]]
    assert yaml.safe_load(config["data"]["config.yaml"])["engine"] == {"tensor_parallel_size": 1}


def test_a_chat_template_is_a_file_beside_the_configuration() -> None:
    text = '{%- for message in messages %}\n"{{ message.role + "\\n" + message.content }}",\t{% endfor %}\n\n'
    # As uds hands on a mapping.
    given = json.dumps({"text": text})
    plain, shown = rendered(VLLM, MODEL), rendered(VLLM, MODEL, f"--set-json=chatTemplate={given}")
    (config,) = [one["data"] for one in shown.all("ConfigMap") if "config.yaml" in one["data"]]
    assert config["template.jinja"] == text
    assert yaml.safe_load(config["config.yaml"])["chat_template"] == "/etc/cowabungaai/template.jinja"
    (without,) = [one["data"] for one in plain.all("ConfigMap") if "config.yaml" in one["data"]]
    assert (without.keys(), "chat_template" in without["config.yaml"]) == ({"config.yaml"}, False)
    digests = [one.pod["metadata"]["annotations"]["ai.cowabunga/config"] for one in (plain, shown)]
    assert digests[0] != digests[1]


def test_another_name_makes_another_release_of_one_chart() -> None:
    shown = rendered(LLAMA, MODEL, "--set=name=small")
    assert {one["metadata"]["name"] for one in shown.documents} == {"small"}


def test_numbers_are_written_as_services_read_them() -> None:
    shown = rendered(REPEATER, "--set=settings.max-message-bytes=12582912", "--set=settings.delay-ms=0.5")
    assert shown.variables["COWABUNGAAI_MAX_MESSAGE_BYTES"] == "12582912"
    assert shown.variables["COWABUNGAAI_DELAY_MS"] == "0.5"


def test_the_gateway_gets_its_models_as_they_are_written() -> None:
    backends = '{"repeater": {"dns": "grpc://cowabungaai-repeater:50051"}}'
    shown = rendered(API, "--set=sso.enabled=true", "--set=sso.domain=uds.dev", f"--set-json=backends={backends}")
    (config,) = shown.all("ConfigMap")
    written = yaml.safe_load(config["data"]["models.yaml"])
    assert written["models"] == [{"name": "repeater", "backend": "cowabungaai-repeater:50051"}]
    assert written["backends"] == {"repeater": {"dns": "grpc://cowabungaai-repeater:50051"}}
    (issuer,) = written["auth"]["jwt"]
    assert issuer["issuer"] == "https://sso.uds.dev/realms/uds"


@pytest.mark.parametrize("file", SCHEMAS, ids=[file.parts[-3] for file in SCHEMAS])
def test_settings_of_a_chart_are_those_of_its_service(file: Any) -> None:
    service = ROOT / "services" / file.parts[-3]
    schema = json.loads(file.read_text())["properties"]["settings"]["properties"]
    (source,) = service.glob("src/*/__main__.py")
    if service.name == "api":
        text = (service / "src/cowabungaai_api/config/settings.py").read_text()
        fields = set(re.findall(r"^    (\w+): ", text[text.index("model_config") :], re.MULTILINE))
        elsewhere = {"config", "models", "host", "port", "database_url", "database_url_file", "admin_key"}
        taken = fields - elsewhere - {"admin_key_file", "drain_seconds", "log_level"}
        assert schema.keys() == {name.replace("_", "-") for name in taken}
        return
    own = set(re.findall(r'add_setting\(\s*parser,\s*"([a-z-]+)"', source.read_text()))
    sdk = ROOT / "services/sdk/src/cowabungaai_sdk"
    common = set(re.findall(r'^        \(\s*"([a-z-]+)",', (sdk / "serve.py").read_text(), re.MULTILINE))
    models = {"require-manifest"} if "models.add_arguments" in source.read_text() else set()
    assert schema.keys() == (own | common | models) - ELSEWHERE


def test_metrics_that_pods_scale_by_are_exported() -> None:
    backend = (ROOT / "services/sdk/src/cowabungaai_sdk/metrics.py").read_text()
    gateway = (ROOT / "services/api/src/cowabungaai_api/metrics.py").read_text()
    for chart, source in ((REPEATER, backend), (API, gateway)):
        scaler = rendered(chart, *(DATABASE if chart == API else ())).one("HorizontalPodAutoscaler")
        (name,) = [one["pods"]["metric"]["name"] for one in scaler["spec"]["metrics"] if one["type"] == "Pods"]
        assert re.search(rf'"({name}|{name.removeprefix("cowabungaai_backend_")})"', source), name
