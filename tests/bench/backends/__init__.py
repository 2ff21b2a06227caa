"""Model backends, ours and others, measured side by side with the same models."""
