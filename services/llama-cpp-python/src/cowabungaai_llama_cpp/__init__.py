# SPDX-License-Identifier: Apache-2.0
"""A CowabungaAI backend on llama.cpp: GGUF models on CPUs, many callers in one batch."""
