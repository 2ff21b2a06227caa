# SPDX-License-Identifier: Apache-2.0
"""Model backends, ours and others, measured side by side with the same models."""
