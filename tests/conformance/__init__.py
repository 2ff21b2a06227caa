# SPDX-License-Identifier: Apache-2.0
"""Conformance: the official client against a gateway, whatever model is behind it."""
