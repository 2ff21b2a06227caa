# SPDX-License-Identifier: Apache-2.0
"""The configuration file, in both of its forms."""

import pytest

from cowabungaai_api.config.load import ConfigError, parse, parse_models, read_config

GOOD = """
models:
- name: chat
  backend: vllm
  aliases: [gpt-4o]
  fallbacks: [small]
- name: small
  backend: small:50051
backends:
  vllm:
    replicas: [grpc://10.0.0.1:50051, "http://vllm:8000/v1/"]
    concurrency: 8
auth:
  default_limits: {requests_per_minute: 60}
"""
SAME_IN_TOML = """
[[models]]
name = "chat"
backend = "vllm"
aliases = ["gpt-4o"]
fallbacks = ["small"]

[[models]]
name = "small"
backend = "small:50051"

[backends.vllm]
replicas = ["grpc://10.0.0.1:50051", "http://vllm:8000/v1/"]
concurrency = 8

[auth.default_limits]
requests_per_minute = 60
"""


def mistake(text: str, name: str = "models.yaml") -> str:
    with pytest.raises(ConfigError) as raised:
        parse(text, name)
    return str(raised.value)


def test_yaml_is_read():
    config = parse(GOOD, "models.yaml")
    assert config.backends["vllm"].replicas == ("grpc://10.0.0.1:50051", "http://vllm:8000/v1")
    assert [model.name for model in config.models] == ["chat", "small"]


def test_toml_means_the_same():
    assert parse(SAME_IN_TOML, "models.toml") == parse(GOOD, "models.yaml")


def test_models_may_be_a_mapping():
    config = parse("models: {a: {backend: 'b:1'}, c: {backend: 'd:1'}}", "models.yaml")
    assert [model.name for model in config.models] == ["a", "c"]


def test_address_of_a_model_is_a_backend_of_its_own():
    config = parse(GOOD, "models.yaml")
    name, backend = config.backend_of(config.models[1])
    assert (name, backend.replicas) == ("small:50051", ("grpc://small:50051",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "models.yaml:1: expected a mapping"),
        ("models: []", "models.yaml:1: models: expected at least one model"),
        ("models: [\n", "models.yaml:2: not valid YAML"),
        ("models:\n- name: a\n", "models.yaml:2: models.0.backend: field required"),
        (
            "models:\n- {name: a, backend: 'b:1', bakend: x}",
            "models.yaml:2: models.0.bakend: unknown field; known are aliases",
        ),
        ("models:\n- {name: a, backend: b}", "models.yaml:2: models.0.backend: 'b' is no backend (there is none)"),
        ("models:\n- {name: a, backend: 'b:99999'}", "with a port from 1 to 65535, got 'b:99999'"),
        (
            "models:\n- {name: a, backend: 'b:1'}\n- {name: a, backend: 'b:1'}",
            "models.yaml:3: models.1: 'a' is the name",
        ),
        ("models:\n- {name: a, backend: 'b:1', fallbacks: [c]}", "models.0.fallbacks: 'c' is no other model"),
        ("models:\n- {name: a, backend: 'b:1', fallbacks: [a]}", "models.0.fallbacks: 'a' is no other model"),
        (
            "models: [{name: a, backend: b}]\nbackends:\n  b:\n    concurrency: 0\n    replicas: ['c:1']",
            "models.yaml:4: backends.b.concurrency: input should be greater than or equal to 1, got 0",
        ),
        ("models: [{name: a, backend: b}]\nbackends:\n  b: {}", "models.yaml:3: backends.b: give either"),
        (
            "models: [{name: a, backend: b}]\nbackends:\n  b: {replicas: ['c:1']}\n  d:\n    health: {pth: /x}",
            "models.yaml:5: backends.d.health.pth: unknown field; known are interval_s, path, timeout_s",
        ),
        (
            "models: [{name: a, backend: b}]\nbackends: {b: {replicas: [ftp://c]}}",
            "expected HOST:PORT, grpc://HOST:PORT",
        ),
        ("models: [{name: a, backend: b}]\nbackends: {b: {dns: 'http://c/v1'}}", "'dns' needs a port"),
        (
            "models: [{name: a, backend: b}]\nbackends: {b: {replicas: ['c:1'], extra_parameters: [x]}}",
            "'extra_parameters' need HTTP replicas",
        ),
        ("models: {a: 'b:1'}", "models.yaml:1: models.a: expected a mapping with 'backend', got 'b:1'"),
        ("auth: {}\nmodels: []\nauth: {}", "models.yaml:3: not valid YAML: auth is given twice, first in line 1"),
        ("note: 2024-13-45", "models.yaml:1: not valid YAML: month must be in 1..12"),
        ("[" * 5000, "models.yaml:1: not valid YAML"),
        ("models: [{name: a, backend: 'http://a..b:1'}]", "expected HOST:PORT"),
        ("models: [{name: a, backend: b}]\nbackends: {b: {replicas: ['http://c:1/v 1']}}", "expected HOST:PORT"),
        ("models: [{name: a, backend: b}]\nbackends: {b: {dns: 'https://c:1'}}", "'dns' cannot be https"),
        ("modls: []\nmodels: [{name: a, backend: 'b:1'}]", "models.yaml:1: modls: unknown field; known are auth"),
    ],
)
def test_mistake_is_told_with_its_line(text, message):
    assert message in mistake(text)


def test_all_mistakes_are_told():
    text = "models:\n- name: a\n- backend: 'b:1'\n"
    assert [line.split(": ")[0] for line in mistake(text).splitlines()] == ["models.yaml:2", "models.yaml:3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models = [", "models.toml:1: not valid TOML"),
        (
            '[[models]]\nname = "a"\n\n[[models]]\nname = "b"\nbackend = 5',
            "models.toml:1: models.0.backend: field required",
        ),
        (
            '[[models]]\nname = "a"\nbackend = "b:1"\n\n[[models]]\nname = "b"\nbackend = 5',
            "models.toml:7: models.1.backend",
        ),
        (
            'models = [{name = "a", backend = "b"}]\n[backends.b]\nreplicas = ["c:1"]\n[backends.b.health]\n'
            "timeout_s = 0",
            ":5:",
        ),
        (
            'models = [{name = "a", backend = "b"}]\n[backends."b"]\nreplicas = ["c:1"]\nqueue = -1',
            "models.toml:4: backends.b.queue",
        ),
    ],
)
def test_mistake_in_toml_is_told_with_its_line(text, message):
    assert message in mistake(text, "models.toml")


def test_file_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_config(tmp_path / "none.yaml")


def test_file_that_is_no_text(tmp_path):
    path = tmp_path / "models.yaml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_config(path)


def test_models_one_by_one():
    config = parse_models(["a=b:1", "c=http://d:8000/v1"])
    assert [model.backend for model in config.models] == ["b:1", "http://d:8000/v1"]


@pytest.mark.parametrize("spec", ["a", "=b:1", "a=b"])
def test_wrong_model_among_them(spec):
    with pytest.raises(ConfigError, match="expected NAME=HOST:PORT or NAME=URL"):
        parse_models([spec])
