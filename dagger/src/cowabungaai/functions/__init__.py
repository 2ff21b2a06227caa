# SPDX-License-Identifier: Apache-2.0
"""What people call, grouped by what it is for; main.py makes one object of it."""
