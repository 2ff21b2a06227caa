# SPDX-License-Identifier: Apache-2.0
"""The benchmark of gateways for OpenAI's API, ours and others: requests per second, latency, CPU time and memory."""
