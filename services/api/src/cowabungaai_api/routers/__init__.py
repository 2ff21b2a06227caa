"""What FastAPI answers: everything but the endpoints that models answer."""
