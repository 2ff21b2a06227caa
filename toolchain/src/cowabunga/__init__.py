# SPDX-License-Identifier: Apache-2.0
"""The launcher of CowabungaAI: brings the real tools to a machine and runs them."""
