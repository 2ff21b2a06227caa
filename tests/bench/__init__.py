# SPDX-License-Identifier: Apache-2.0
"""The benchmark: seconds and bytes of the main job, as JSON and as a page with charts."""
