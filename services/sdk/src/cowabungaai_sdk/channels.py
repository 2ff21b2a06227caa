# SPDX-License-Identifier: Apache-2.0
"""gRPC options that both ends share."""

MESSAGE_BYTES = 64 * 1024 * 1024
"""The largest message that is sent or received unless told otherwise, in bytes: a conversation with some images."""

KEEPALIVE_S = 30
"""How often a connection with calls on it is checked, in seconds: a peer that vanished is noticed after that."""

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


def server_options(max_message_bytes: int) -> Options:
    """Options of a backend's server.

    Args:
        max_message_bytes: the largest message, in bytes.
    """
    return [
        *message_options(max_message_bytes),
        # Without SO_REUSEPORT a port in use is an error, instead of two servers that share its callers.
        ("grpc.so_reuseport", 0),
        # gRPC's own limit is one ping in five minutes, and it hangs up on clients that ask more often.
        ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_S * 500),
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
        ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A generation may be silent for minutes; the connection under it is to be checked all the same.
        ("grpc.http2.max_pings_without_data", 0),
        # Channels to the same address would share one connection, and with it its flow control.
        ("grpc.use_local_subchannel_pool", 1),
    ]
