# SPDX-License-Identifier: Apache-2.0
"""Deployment repositories with the real engine: as a folder, and from a real Git server that asks for a token."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from harness import Run

from shared.secrecy import collecting, shown

TOKEN, SECRET = "token-that-nobody-may-see-c41d", "pa55-that-nobody-may-see-7f3a"
IMAGE = "ghcr.io/awdemos/cowabungaai/api"
DIGEST = "sha256:" + "d" * 64
POD = f"# ours\napiVersion: v1\nkind: Pod\nspec:\n    containers:\n    - image:  '{IMAGE}:0.1.0'  # pinned\n"
CHANGED = POD.replace(f"{IMAGE}:0.1.0", f"{IMAGE}:0.2.0@{DIGEST}")
UPDATE = ("call", "update-manifests", "--image", f"{IMAGE}:0.2.0@{DIGEST}")


def git(folder: Path, *arguments: str | Path) -> None:
    """Git, as somebody whom no settings of this machine know."""
    person = {
        f"GIT_{role}_{what}": "test@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = {**os.environ, **person, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True)


@dataclass
class Server:
    """A server with the repository deployment.git, whose branch `next` has the manifests."""

    port: int = 0
    refused: int = 0

    @property
    def named(self) -> tuple[str, ...]:
        """Arguments that name the branch."""
        address = ("--git", f"http://local:{self.port}/deployment.git", "--git-via", f"tcp://127.0.0.1:{self.port}")
        return (*address, "--git-ref", "next", "--git-token", "env:DEPLOYMENT_TOKEN")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that runs."""
    work, served = tmp_path / "work", tmp_path / "served"
    work.mkdir()
    git(work, "init", "--initial-branch=main")
    (work / "README.md").write_text("Nothing yet.\n")
    for branch in ("main", "next"):
        git(work, "checkout", "-B", branch)
        git(work, "add", ".")
        git(work, "commit", "--message", branch)
        (work / "pod.yaml").write_text(POD)
    # What is cloned by default.
    git(work, "checkout", "main")
    git(tmp_path, "clone", "--bare", work, served / "deployment.git")

    server = Server()

    class Backend(BaseHTTPRequestHandler):
        """Git's own program behind HTTP, for those who know the token."""

        def do_GET(self) -> None:
            scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "basic" or base64.b64decode(credentials).decode().partition(":")[2] != TOKEN:
                server.refused += 1
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="deployment"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            variables = {
                "GIT_PROJECT_ROOT": str(served),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = subprocess.run(
                ["git", "http-backend"], input=body, env={**os.environ, **variables}, check=True, capture_output=True
            ).stdout
            head, _, content = answer.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, value in {**fields, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the standard library names it

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        server.port = running.server_address[1]
        yield server
        running.shutdown()


def test_manifests_get_the_digest_once(dagger: Run, tmp_path: Path) -> None:
    deployment = tmp_path / "deployment"
    (deployment / "base").mkdir(parents=True)
    (deployment / "base" / "pod.yaml").write_text(POD)
    (deployment / "base" / "kustomization.yaml").write_text(f"images:\n- {{name: {IMAGE}}}\n")
    operation = {"op": "replace", "path": "/spec/containers/0/image", "value": f"{IMAGE}:0.1.0"}
    (deployment / "base" / "patch.json").write_text(json.dumps([operation]))
    (deployment / "secret.yaml").write_text(f"a: {SECRET}\n---\n{POD}")
    finished = dagger(*UPDATE, "--repository", deployment, "export", "--path", deployment)
    assert finished.returncode == 0, finished.stderr
    assert SECRET not in finished.stdout + finished.stderr
    assert (deployment / "base" / "pod.yaml").read_text() == CHANGED
    assert (deployment / "secret.yaml").read_text() == f"a: {SECRET}\n---\n{CHANGED}"
    images = yaml.safe_load((deployment / "base" / "kustomization.yaml").read_text())["images"]
    assert images == [{"name": IMAGE, "digest": DIGEST}]
    patch = json.loads((deployment / "base" / "patch.json").read_text())
    assert patch == [{**operation, "value": f"{IMAGE}:0.2.0@{DIGEST}"}]
    again = dagger(*UPDATE, "--repository", deployment, "is-empty")
    assert (again.returncode, again.stdout.strip()) == (0, "true"), again.stderr


def test_manifests_come_from_git_by_a_token_that_nothing_shows(
    dagger: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYMENT_TOKEN", TOKEN)
    with collecting() as traces:
        finished = dagger(*UPDATE, *server.named, "export", "--path", tmp_path / "changes")
    assert finished.returncode == 0, finished.stderr
    assert {path.name: path.read_text() for path in (tmp_path / "changes").iterdir()} == {"pod.yaml": CHANGED}
    assert shown(TOKEN, finished.stdout + finished.stderr, traces.of("updateManifests"), tmp_path / "changes") == []


def test_a_server_that_refuses_the_token_is_told(dagger: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYMENT_TOKEN", wrong := "wrong-token-52c0")
    finished = dagger(*UPDATE, *server.named, "is-empty")
    assert (finished.returncode != 0, server.refused > 0) == (True, True), finished.stderr
    assert "update manifests" in finished.stderr
    # The engine's word for all that git says of it.
    message = finished.stderr[finished.stderr.rindex("\nError: ") :]
    assert "authentication failed" in message.lower(), message
    assert wrong not in finished.stdout + finished.stderr
