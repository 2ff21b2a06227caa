"""What goes over HTTP, as pydantic models: one module per family of endpoints."""
