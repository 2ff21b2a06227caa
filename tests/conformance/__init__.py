"""Conformance: the official client against a gateway, whatever model is behind it."""
