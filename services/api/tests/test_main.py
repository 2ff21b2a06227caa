# SPDX-License-Identifier: Apache-2.0
"""The command line, as a process of its own."""

import http.client
import json
import signal
import socket
import threading
import time

import httpx
import pytest
from openai import OpenAI

from cowabungaai_api.__main__ import main
from support import ADMIN_KEY

MESSAGES = [{"role": "user", "content": "tell nobody"}]


def ask(client: OpenAI, model: str = "repeater") -> str:
    with client:
        return client.chat.completions.create(model=model, messages=MESSAGES).choices[0].message.content


def test_serves_a_model_given_as_argument(launch, repeater):
    assert ask(launch("--model", f"repeater={repeater}").client()) == "tell nobody"


def test_serves_models_of_a_file(launch, repeater, tmp_path):
    path = tmp_path / "models.toml"
    path.write_text(f'[[models]]\nname = "repeater"\nbackend = "{repeater}"\n')
    assert ask(launch("serve", COWABUNGAAI_API_CONFIG=str(path)).client()) == "tell nobody"


def test_sighup_takes_a_change_at_once(launch, repeater, tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text(f"models: [{{name: a, backend: '{repeater}', backend_model: repeater}}]")
    process = launch("--config", str(path), COWABUNGAAI_API_RELOAD_SECONDS="0")
    client = process.client()
    path.write_text(f"models: [{{name: b, backend: '{repeater}', backend_model: repeater}}]")
    process.send_signal(signal.SIGHUP)
    process.entry("configuration taken")
    assert ask(client, "b") == "tell nobody"


def test_first_start_says_how_to_make_an_admin_key_and_the_way_works(launch, repeater):
    process = launch("--model", f"repeater={repeater}", COWABUNGAAI_API_ADMIN_KEY="")
    base_url = str(process.entry("serving")["base_url"])
    assert "keys create --admin --name NAME" in str(process.entry("keys")["how"])
    assert httpx.get(f"{base_url}/models").status_code == 401
    made = launch("keys", "create", "--admin", "--name", "first", COWABUNGAAI_API_ADMIN_KEY="")
    key = made.end()[1].strip()
    assert ask(OpenAI(base_url=base_url, api_key=key)) == "tell nobody"


def test_secrets_may_be_files(launch, repeater, tmp_path):
    key, url = tmp_path / "key", tmp_path / "url"
    key.write_text(f"{ADMIN_KEY}\n")
    url.write_text(f"sqlite:///{tmp_path}/other.db")
    secrets = {"ADMIN_KEY_FILE": str(key), "DATABASE_URL_FILE": str(url), "ADMIN_KEY": "", "DATABASE_URL": ""}
    process = launch(
        "--model", f"repeater={repeater}", **{f"COWABUNGAAI_API_{name}": value for name, value in secrets.items()}
    )
    assert ask(process.client()) == "tell nobody"
    assert (tmp_path / "other.db").exists()


def test_log_has_requests_but_no_conversation_and_no_key(launch, repeater):
    process = launch("--model", f"repeater={repeater}")
    ask(process.client())
    process.send_signal(signal.SIGTERM)
    status, _, log = process.end()
    assert status == 0
    lines = [json.loads(line) for line in log.splitlines()]
    request = next(line for line in lines if line["event"] == "request")
    assert (request["path"], request["status"], request["model"]) == ("/openai/v1/chat/completions", 200, "repeater")
    assert "nobody" not in log
    assert ADMIN_KEY not in log


def test_sigterm_under_load_loses_nothing(launch, repeater):
    """Clients that keep their connections stop when the gateway says so, and none of their requests fails."""
    process = launch("--model", f"repeater={repeater}", COWABUNGAAI_API_DRAIN_DELAY_SECONDS="1")
    port = int(str(process.entry("serving")["port"]))
    body = {"model": "repeater", "messages": [{"role": "user", "content": "/repeat delay=2ms -- a b c d e f"}]}
    failures: list[BaseException] = []
    answered: list[bool] = []

    def load(stream: bool) -> None:
        headers = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            while True:
                connection.request(
                    "POST", "/openai/v1/chat/completions", json.dumps({**body, "stream": stream}), headers
                )
                answer = connection.getresponse()
                text = answer.read().decode()
                assert answer.status == 200
                assert text.endswith("data: [DONE]\n\n") if stream else json.loads(text)["choices"]
                answered.append(True)
                if answer.getheader("connection") == "close":
                    return
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=load, args=(number % 2 == 0,)) for number in range(16)]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(20)
    assert failures == []
    assert len(answered) > 100
    assert process.end()[0] == 0


def test_stream_that_runs_when_the_stop_comes_is_finished(launch, repeater):
    process = launch("--model", f"repeater={repeater}")
    messages = [{"role": "user", "content": "/repeat delay=50ms -- " + "word " * 20}]
    with process.client() as client:
        stream = client.chat.completions.create(model="repeater", messages=messages, stream=True)
        next(stream)
        process.send_signal(signal.SIGTERM)
        assert list(stream)[-1].choices[0].finish_reason == "stop"
    assert process.end()[0] == 0


def test_second_signal_does_not_wait(launch, repeater):
    process = launch("--model", f"repeater={repeater}", COWABUNGAAI_API_DRAIN_DELAY_SECONDS="60")
    process.entry("serving")
    process.send_signal(signal.SIGTERM)
    process.entry("draining")
    process.send_signal(signal.SIGTERM)
    assert process.end()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {}, "error: no models; give --config FILE"),
        (["--model", "a"], {}, "error: model 'a': expected NAME=HOST:PORT"),
        (["--config", "/no/such.yaml"], {}, "error: /no/such.yaml: cannot be read"),
        (["check", "--config", "/no/such.yaml"], {}, "error: /no/such.yaml: cannot be read"),
        ([], {"COWABUNGAAI_API_MODELS": "a=b:1", "COWABUNGAAI_API_CONFIG": "x"}, "error: models are given twice"),
        (["--model", "a=b:1", "--port", "http"], {}, "error: setting port: "),
        (["--model", "a=b:1"], {"COWABUNGAAI_API_ADMIN_KEY_FILE": "/none"}, "error: setting admin_key_file: /none"),
    ],
)
def test_wrong_configuration_exits_with_2(monkeypatch, capsys, arguments, environment, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_good_file_is_checked(tmp_path, capsys):
    path = tmp_path / "models.yaml"
    path.write_text("models: [{name: a, backend: 'b:1'}]")
    assert main(["check", "--config", str(path)]) == 0
    assert capsys.readouterr().out == "1 models, 0 backends: no mistake found\n"


def test_openapi_document_is_printed(capsys):
    assert main(["openapi"]) == 0
    assert json.loads(capsys.readouterr().out)["openapi"].startswith("3.")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("DATABASE_URL", "sqlite:////no/such/folder/api.db", "/no/such/folder"),
        ("ADMIN_KEY", "password", "keys generate"),
    ],
)
def test_what_cannot_work_ends_the_start_with_a_message(launch, setting, value, message):
    process = launch("--model", "a=b:1", **{f"COWABUNGAAI_API_{setting}": value})
    status, _, log = process.end()
    assert message in log
    assert "Traceback" not in log
    assert status in (1, 2)


def test_port_in_use_exits_with_1(launch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = launch("--model", "a=b:1", "--port", str(taken.getsockname()[1]))
        status, _, log = process.end()
    assert (status, "error: cannot listen on 127.0.0.1 port" in log) == (1, True)
