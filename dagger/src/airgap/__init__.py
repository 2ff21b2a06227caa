# SPDX-License-Identifier: Apache-2.0
"""Installs a bundle where there is no network, and asks it what the official client asks.

These programs run in a container of the pipeline, in a network namespace that has no way out. They need Python's
standard library, and on PATH the real tools: zarf, helm, registry, crun, ip, mount, tar and zstd.
"""
