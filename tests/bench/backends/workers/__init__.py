# SPDX-License-Identifier: Apache-2.0
"""Programs that ask a contender, or are one; each runs in the environment of what it measures."""
