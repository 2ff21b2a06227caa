# SPDX-License-Identifier: Apache-2.0
"""Asks, measures, and writes load.json and a page for each scenario."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import gevent
from locust.env import Environment
from locust.html import get_html_report

from load import limits
from load.limits import LimitsError, LoadReport, Measured, Memory, Scenario
from load.users import CAPABILITIES, FIRST_TOKEN, USERS

READY_SECONDS = 120
MEMORY = "process_resident_memory_bytes "


def get(url: str, *, known: bool = True) -> str:
    """What a URL answers.

    Args:
        url: With its scheme.
        known: Whether the API key is sent.

    Raises:
        OSError: It does not answer, or not with status 200.
    """
    headers = {"authorization": f"Bearer {os.environ['COWABUNGAAI_API_KEY']}"} if known else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http, from our own pipeline
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - likewise
        text: str = answer.read().decode()
        return text


def memory_mb(metrics: str) -> float:
    """Resident memory of a process, in megabytes (10^6 bytes), from what it says of itself to Prometheus."""
    line = next(line for line in metrics.splitlines() if line.startswith(MEMORY))
    return float(line.removeprefix(MEMORY)) / 1e6


def capabilities(url: str, model: str) -> list[str]:
    """What a model can do, once it is ready.

    Raises:
        LimitsError: There is no such model, or it is not ready in time.
    """
    deadline = time.monotonic() + READY_SECONDS
    while True:
        known = {entry["id"]: entry for entry in json.loads(get(f"{url}/cowabungaai/v1/states/models"))["data"]}
        if model not in known:
            raise LimitsError(f"COWABUNGAAI_MODEL: expected one of {', '.join(known)}, got {model!r}")
        if known[model]["state"] == "ready":
            return list(known[model]["capabilities"])
        if time.monotonic() > deadline:
            raise LimitsError(f"model {model!r} is {known[model]['state']} after {READY_SECONDS} s")
        time.sleep(0.5)


def run(scenario: Scenario, wanted: limits.Limits, warmup: float, url: str, model: str) -> tuple[Measured, str]:
    """Ask for a while; what was measured, and locust's page of it.

    Args:
        scenario: Which.
        wanted: How many clients, for how long.
        warmup: Seconds of asking before that.
        url: Of the gateway.
        model: Its name.
    """
    user = USERS[scenario]
    user.model = model
    environment = Environment(user_classes=[user], host=url)
    runner = environment.create_local_runner()
    runner.start(wanted.clients, spawn_rate=wanted.clients)
    gevent.sleep(warmup)
    environment.stats.reset_all()
    begun = time.monotonic()
    gevent.sleep(wanted.seconds)
    elapsed = time.monotonic() - begun
    page = get_html_report(environment, show_download_link=False)
    stats, first = environment.stats.get(scenario, "POST"), environment.stats.get(FIRST_TOKEN, "SSE")
    errors: dict[str, int] = {}
    for failed in environment.stats.errors.values():
        told = failed.error if isinstance(failed.error, str) else repr(failed.error)
        errors[told] = errors.get(told, 0) + failed.occurrences
    measured = Measured(
        scenario=scenario,
        clients=wanted.clients,
        seconds=round(elapsed, 2),
        requests=stats.num_requests,
        failures=stats.num_failures,
        errors=errors,
        requests_per_second=round(stats.num_requests / elapsed, 2),
        p50_ms=stats.get_response_time_percentile(0.5),
        p95_ms=stats.get_response_time_percentile(0.95),
        p99_ms=stats.get_response_time_percentile(0.99),
        max_ms=round(stats.max_response_time, 2),
        first_token_p95_ms=first.get_response_time_percentile(0.95) if first.num_requests else None,
    )
    runner.quit()
    return measured, page


def test(folder: Path, thresholds: Path) -> LoadReport:
    """Run all scenarios that the model can do, and judge them.

    Args:
        folder: Gets load.json, and a page for each scenario.
        thresholds: The limits.

    Raises:
        LimitsError: There are none, they are wrong, or the model can do none of the scenarios.
        OSError: The gateway or the backend does not answer.
    """
    url, model = os.environ["COWABUNGAAI_URL"], os.environ["COWABUNGAAI_MODEL"]
    wanted = limits.read(thresholds, model)
    able = capabilities(url, model)
    chosen = [scenario for scenario in wanted.scenarios if CAPABILITIES[scenario] in able]
    if not chosen:
        raise LimitsError(f"model {model!r} can do none of {', '.join(wanted.scenarios)}; it can do {', '.join(able)}")
    measured = []

    def resident() -> dict[str, float]:
        backend = get(os.environ["COWABUNGAAI_BACKEND_METRICS"], known=False)
        return {"gateway": memory_mb(get(f"{url}/metrics")), "backend": memory_mb(backend)}

    # What is loaded with the first answers is no growth.
    for scenario in chosen:
        run(scenario, wanted.scenarios[scenario].model_copy(update={"seconds": wanted.warmup_seconds}), 0, url, model)
    before = resident()
    for scenario in chosen:
        one, page = run(scenario, wanted.scenarios[scenario], wanted.warmup_seconds, url, model)
        measured.append(one)
        (folder / f"{scenario}.html").write_text(page)
    after = resident()
    memory = {
        process: Memory(before_mb=round(before[process], 1), after_mb=round(after[process], 1)) for process in before
    }
    lines = list(limits.broken(wanted, measured, memory))
    return LoadReport(service=model, passed=not lines, broken=lines, scenarios=measured, memory=memory)


def main(folder: Path, thresholds: Path) -> int:
    """Run the test, write load.json, print the figures."""
    try:
        report = test(folder, thresholds)
    except (LimitsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    (folder / "load.json").write_text(report.model_dump_json(indent=2) + "\n")
    print(f"{'scenario':14} {'clients':>7} {'answers/s':>9} {'p50 ms':>7} {'p95 ms':>7} {'p99 ms':>7} {'failed':>7}")
    for one in report.scenarios:
        print(
            f"{one.scenario:14} {one.clients:7} {one.requests_per_second:9.1f} {one.p50_ms:7g} {one.p95_ms:7g} "
            f"{one.p99_ms:7g} {one.failures:7}"
        )
    for process, found in report.memory.items():
        print(f"{process}: {found.before_mb:.0f} MB before, {found.after_mb:.0f} MB after")
    for line in report.broken:
        print(f"not kept: {line}", file=sys.stderr)
    return 0 if report.passed else 1
