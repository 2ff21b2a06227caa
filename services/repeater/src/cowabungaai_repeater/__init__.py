# SPDX-License-Identifier: Apache-2.0
"""A backend without a model: it repeats what it is given, by every capability of the contract."""
