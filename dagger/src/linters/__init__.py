# SPDX-License-Identifier: Apache-2.0
"""Programs that `lint` runs in containers of their own: they see the repository's files, and nothing of the module."""
