"""A CowabungaAI backend on llama.cpp: GGUF models on CPUs, many callers in one batch."""
