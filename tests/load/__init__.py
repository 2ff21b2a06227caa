# SPDX-License-Identifier: Apache-2.0
"""Many clients at once against a gateway, and limits that their waiting must keep."""
