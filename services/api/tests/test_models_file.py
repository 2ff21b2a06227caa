"""Models from YAML and from arguments."""

import pytest

from cowabungaai_api.config import ConfigError, ModelRoute
from cowabungaai_api.models_file import parse_models, read_models


@pytest.fixture
def mistake(tmp_path):
    """Writes a file of models and returns what its reader complains about, after the file's name."""

    def read(text: str) -> str:
        path = tmp_path / "models.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError) as raised:
            read_models(path)
        return str(raised.value).replace(str(path), "")

    return read


def test_models_are_read(tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text("models:\n- {name: a, backend: 'a.svc:50051'}\n- {name: b, backend: '[::1]:1', backend_model: a}\n")
    assert read_models(path) == (
        ModelRoute(name="a", backend="a.svc:50051"),
        ModelRoute(name="b", backend="[::1]:1", backend_model="a"),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ":1: Input should be"),
        ("models: []", ":1: models: "),
        ("models:\n- name: a\n", ":2: models[0].backend: Field required"),
        ("models:\n- name: a\n  backend: a\n", ":3: models[0].backend: expected HOST:PORT"),
        ("models:\n- name: a\n  backend: a:0\n", ":3: models[0].backend: expected HOST:PORT"),
        ("models:\n- name: a\n  backend: a:1\n  weight: 3\n", ":4: models[0].weight: Extra inputs are not permitted"),
        (
            "models:\n- {name: a, backend: 'a:1'}\n- {name: a, backend: 'b:1'}\n",
            ":3: models[1].name: expected a new name",
        ),
        ("models:\n- {name: a\n  backend: b", ":3: not YAML: "),
        ("models: \x01", ":1: not YAML: "),
    ],
)
def test_mistake_is_named_with_its_line(mistake, text, expected):
    assert mistake(text).startswith(expected)


def test_every_mistake_has_a_line(mistake):
    assert len(mistake("models:\n- name: a\n- name: b\n").splitlines()) == 2


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        read_models(tmp_path / "none.yaml")


def test_models_are_parsed():
    assert parse_models(["a=b:1"]) == (ModelRoute(name="a", backend="b:1"),)


@pytest.mark.parametrize("spec", ["a", "a=b", "=b:1", "a=b:99999"])
def test_malformed_model_is_named(spec):
    with pytest.raises(ConfigError, match=f"model '{spec}': expected NAME=HOST:PORT"):
        parse_models([spec])


def test_repeated_model_is_named():
    with pytest.raises(ConfigError, match="model 'a' is given twice"):
        parse_models(["a=b:1", "a=c:1"])
