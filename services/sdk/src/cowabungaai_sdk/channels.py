"""gRPC options that both ends share."""

MESSAGE_BYTES = 16 * 1024 * 1024
"""The largest message that is sent or received unless told otherwise, in bytes."""

Options = list[tuple[str, int]]


def message_options(max_message_bytes: int) -> Options:
    """Bounds the messages of a channel or server.

    Args:
        max_message_bytes: the largest message, in bytes.
    """
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
    ]


def client_options(max_message_bytes: int = MESSAGE_BYTES) -> Options:
    """Options of a channel to a backend: bounded messages, quick reconnection, no way around by a proxy.

    Args:
        max_message_bytes: the largest message, in bytes.
    """
    return [
        *message_options(max_message_bytes),
        ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        # gRPC's own maximum of two minutes would leave a restarted backend unused for as long.
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]
