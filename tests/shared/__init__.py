# SPDX-License-Identifier: Apache-2.0
"""What integration tests and benchmarks share: real registries, and small vulnerability databases."""
