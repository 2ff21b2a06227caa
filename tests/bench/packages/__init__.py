# SPDX-License-Identifier: Apache-2.0
"""What leaves the building: how large each package is against its budget, and what a new version of a service costs."""

from __future__ import annotations

# The smallest service: what is measured on it is the pipeline, not the service.
SERVICE = "repeater"
