# SPDX-License-Identifier: Apache-2.0
"""What figures and goals say of the results of rounds."""

from __future__ import annotations

import pytest

from bench.gateway.goals import judge
from bench.gateway.report import Cell, LoadResult, ProcessUse, Spread, figure, figures


def result(rate: float = 1000, p50: float = 0.001, cpu: float = 1.0, *, stream: bool = False) -> LoadResult:
    """A round of 1000 answers."""
    spread = Spread(p50=p50, p90=2 * p50, p99=3 * p50, max=4 * p50, mean=p50)
    use = ProcessUse(pid=1, cpu_seconds=cpu / 2, rss_bytes=1, rss_peak_bytes=2)
    return LoadResult(
        clients=1,
        stream=stream,
        tokens=16,
        seconds=1,
        requests=1000,
        requests_per_second=rate,
        latency=spread,
        first_token=spread if stream else None,
        gap=spread if stream else None,
        events_per_answer=16,
        reconnects=0,
        processes=(use, use),
    )


def cell(target: str, rate: float, *, stream: bool = False, clients: int = 16, added: float | None = None) -> Cell:
    """A cell of one round."""
    base = [result(p50=0.001)] if added is not None else None
    rounds = (result(rate, p50=0.001 + (added or 0), stream=stream),)
    return Cell(target=target, stream=stream, clients=clients, figures=figures(rounds, base), rounds=rounds)


def test_a_figure_is_the_middle_round_with_the_least_and_the_most() -> None:
    found = figure([3, 30, 4])
    assert (found.low, found.median, found.high) == (3, 4, 30)
    assert found.spread == pytest.approx(27 / 4)


def test_cpu_time_is_of_all_processes_and_for_one_answer() -> None:
    assert result(cpu=2.0).cpu_per_request == pytest.approx(0.002)


def test_what_is_added_is_taken_in_each_round_before_the_median() -> None:
    own = [result(p50=5), result(p50=12), result(p50=31)]
    base = [result(p50=1), result(p50=10), result(p50=20)]
    found = figures(own, base)
    assert found.added_p50 is not None
    assert (found.added_p50.low, found.added_p50.median, found.added_p50.high) == (2, 4, 11)
    assert found.added_first_p50 is None
    assert figures(own, None).added_p50 is None


def test_streams_have_first_tokens_and_gaps() -> None:
    found = figures([result(stream=True, p50=3)], [result(stream=True, p50=1)])
    assert found.first_p50 is not None
    assert found.gap_p99 is not None
    assert found.added_first_p50 is not None
    assert (found.first_p50.median, found.gap_p99.median, found.added_first_p50.median) == (3, 9, 2)


def test_rounds_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        figures([result(), result()], [result()])


def test_goals_compare_the_best_number_of_clients() -> None:
    goals = judge(
        [
            cell("api", 1999, clients=1, added=0.0005),
            cell("api", 1500),
            cell("litellm", 50),
            cell("litellm", 100, clients=64),
            cell("sglang-router", 6000),
        ]
    )
    assert [(goal.title.split(",")[0], round(goal.value, 4), goal.met) for goal in goals] == [
        ("LiteLLM's requests per second", 19.99, False),
        ("sglang-router's requests per second", round(1999 / 6000, 4), False),
        ("Added at the median", 0.0005, True),
    ]


@pytest.mark.parametrize(
    ("ours", "added", "met"), [(2000, 0.0004, [True, True, True]), (1000, 0.0006, [False, False, False])]
)
def test_a_goal_is_met_or_not(ours: float, added: float, met: list[bool]) -> None:
    cells = [cell("api", ours, clients=1, added=added), cell("litellm", 100), cell("sglang-router", 6000)]
    assert [goal.met for goal in judge(cells)] == met


def test_streamed_answers_are_judged_apart() -> None:
    goals = judge([cell("api", 9, stream=True), cell("litellm", 10, stream=True), cell("litellm", 1)])
    assert [(goal.title, goal.met) for goal in goals] == [
        ("LiteLLM's requests per second, streamed answers", False),
    ]
    assert goals[0].value == pytest.approx(0.9)


def test_without_a_target_there_is_no_goal_of_it() -> None:
    assert judge([cell("litellm", 100), cell("echo", 9999, clients=1)]) == ()
