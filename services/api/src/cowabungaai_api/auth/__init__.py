# SPDX-License-Identifier: Apache-2.0
"""Who may ask the gateway, for what, and how much: API keys, JWTs, rate limits and quotas."""
