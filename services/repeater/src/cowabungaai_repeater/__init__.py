"""A chat backend without a model: it echoes the last user message."""
