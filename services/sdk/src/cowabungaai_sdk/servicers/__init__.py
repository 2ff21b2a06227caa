"""The gRPC services, one module each: they check requests, call the backend, and fill in what it need not know."""
