# SPDX-License-Identifier: Apache-2.0
"""Texts as vectors, by models in sentence-transformers' folders, on a CPU without torch or on a GPU with it."""
