# SPDX-License-Identifier: Apache-2.0
"""The gateway's configuration: settings of the process from its environment, everything else from a file."""
