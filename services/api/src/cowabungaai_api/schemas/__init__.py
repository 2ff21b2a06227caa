# SPDX-License-Identifier: Apache-2.0
"""What goes over HTTP, as pydantic models: one module per family of endpoints.

Requests are validated by these models; answers are written without them, for speed, and tests hold every answer against
its model. Source of names, ranges and defaults: OpenAI's API reference.
"""
