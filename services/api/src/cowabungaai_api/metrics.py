# SPDX-License-Identifier: Apache-2.0
"""What Prometheus reads: requests, tokens, times, replicas."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from cowabungaai_api.routing.pool import Pool

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
TOKEN_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5)
STATES = ("ready", "unknown", "unhealthy", "ejected", "leaving")


class Metrics:
    """The gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        GCCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        ProcessCollector(registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"cowabungaai_api_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            labels = ("endpoint", "model")
            return Histogram(f"cowabungaai_api_{name}", text, labels, buckets=buckets, registry=self.registry)

        self._requests = counter("requests", "Requests answered.", "endpoint", "model", "status")
        self._tokens = counter("tokens", "Tokens read (prompt) and generated (completion).", "model", "kind")
        self._attempts = counter("failed_attempts", "Attempts that failed.", "backend", "replica", "reason")
        self._reloads = counter("config_reloads", "Changes of the configuration file.", "result")
        self._seconds = histogram("request_seconds", "From the request's head to the answer's end.", SECONDS)
        self._first = histogram("time_to_first_token_seconds", "Of streams.", SECONDS)
        self._gap = histogram("inter_token_seconds", "Between a stream's pieces.", TOKEN_SECONDS)
        self.in_flight = Gauge("cowabungaai_api_in_flight", "Requests being answered.", registry=self.registry)
        # Looking a child up by its labels costs as much as counting.
        self.tokens = cache(lambda model, kind: self._tokens.labels(model, kind))
        self.requests = cache(lambda endpoint, model, status: self._requests.labels(endpoint, model, status))
        self.seconds = cache(lambda endpoint, model: self._seconds.labels(endpoint, model))
        self.first = cache(lambda endpoint, model: self._first.labels(endpoint, model))
        self.gap = cache(lambda endpoint, model: self._gap.labels(endpoint, model))

    def attempt_failed(self, backend: str, replica: str, reason: str) -> None:
        """Counts an attempt that failed.

        Args:
            backend: the pool's name.
            replica: its address.
            reason: in a word.
        """
        self._attempts.labels(backend, replica, reason).inc()

    def reloaded(self, *, taken: bool) -> None:
        """Counts a change of the configuration file.

        Args:
            taken: whether the new configuration is in use.
        """
        self._reloads.labels("taken" if taken else "refused").inc()

    def watch_pools(self, pools: Callable[[], Iterable[Pool]], now: Callable[[], float]) -> None:
        """Shows the state of replicas whenever the metrics are read.

        Args:
            pools: the pools as they are.
            now: the loop's time.
        """
        self.registry.register(_Pools(pools, now))

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry)


class _Pools(Collector):
    def __init__(self, pools: Callable[[], Iterable[Pool]], now: Callable[[], float]) -> None:
        self._pools = pools
        self._now = now

    def collect(self) -> Iterator[Metric]:
        state = GaugeMetricFamily(
            "cowabungaai_api_replica_state", "1 for the state it is in.", labels=("backend", "replica", "state")
        )
        outstanding = GaugeMetricFamily(
            "cowabungaai_api_replica_outstanding", "Requests that it has.", labels=("backend", "replica")
        )
        queue = GaugeMetricFamily("cowabungaai_api_queue", "Requests that wait for a replica.", labels=("backend",))
        now = self._now()
        for pool in self._pools():
            queue.add_metric((pool.name,), pool.waiting)
            for replica in pool.replicas:
                outstanding.add_metric((pool.name, replica.address), replica.outstanding)
                for name in STATES:
                    state.add_metric((pool.name, replica.address, name), replica.state(now) == name)
        yield from (state, outstanding, queue)
