# SPDX-License-Identifier: Apache-2.0
"""The gateway: OpenAI's HTTP API in front of any number of backends."""
