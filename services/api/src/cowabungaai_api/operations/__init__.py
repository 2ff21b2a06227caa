# SPDX-License-Identifier: Apache-2.0
"""OpenAI's endpoints, one module each: from JSON to the contract, and from the contract's answers back to JSON.

Answers are written as dicts by hand: a model of pydantic for every chunk costs more than the rest of the chunk's way
(docs/benchmarks.md). Tests hold them against the models in `schemas`.
"""
