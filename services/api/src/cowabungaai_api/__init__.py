"""The gateway: OpenAI's HTTP API in front of any number of backends."""
