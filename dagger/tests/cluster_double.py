# SPDX-License-Identifier: Apache-2.0
"""As much of a Kubernetes API server as helm asks when it renders for a cluster: its kinds, and one Secret."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KINDS = {
    "v1": ("ConfigMap", "PersistentVolumeClaim", "Secret", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment",),
    "policy/v1": ("PodDisruptionBudget",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "autoscaling/v2": ("HorizontalPodAutoscaler",),
}


def secret(name: str, namespace: str, release: str, entries: dict[str, str]) -> dict[str, Any]:
    """A Secret that a release made.

    Args:
        name: Its name.
        namespace: Its namespace.
        release: Name of the release.
        entries: Its content.
    """
    owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": owner,
        },
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in entries.items()},
    }


def answers(kept: dict[str, Any]) -> dict[str, Any]:
    """What is answered, by path."""
    groups = [{"groupVersion": one, "version": one.partition("/")[2]} for one in KINDS if "/" in one]
    place = kept["metadata"]
    return {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.2"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {"name": one["groupVersion"].partition("/")[0], "versions": [one], "preferredVersion": one}
                for one in groups
            ],
        },
        **{f"/{'apis' if '/' in one else 'api'}/{one}": _resources(one) for one in KINDS},
        f"/api/v1/namespaces/{place['namespace']}/secrets/{place['name']}": kept,
    }


def _resources(group: str) -> dict[str, Any]:
    kinds = [
        {"name": f"{kind.lower()}s", "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get"]}
        for kind in KINDS[group]
    ]
    return {"kind": "APIResourceList", "groupVersion": group, "resources": kinds}


@contextlib.contextmanager
def cluster(kept: dict[str, Any]) -> Iterator[str]:
    """Answers helm, and yields the address.

    Args:
        kept: The Secret that there is.
    """
    known = answers(kept)
    missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = known.get(self.path.partition("?")[0])
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
