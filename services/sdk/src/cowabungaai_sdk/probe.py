# SPDX-License-Identifier: Apache-2.0
"""Health probe for containers: `python -m cowabungaai_sdk.probe HOST:PORT`.

Exit status: 0 when the backend is SERVING, 1 when it is not, 2 for wrong arguments, 3 when it gave no answer in time.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cowabungaai_sdk.channels import client_options


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    Args:
        argv: the arguments; those of the process by default.
    """
    parser = argparse.ArgumentParser(prog="cowabungaai_sdk.probe", description="Asks a backend for its health.")
    parser.add_argument("target", metavar="HOST:PORT", help="the backend's address")
    parser.add_argument("--service", default="", help="one gRPC service, by full name (default: the whole server)")
    parser.add_argument("--timeout", type=float, default=2.0, metavar="SECONDS", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    request = health_pb2.HealthCheckRequest(service=arguments.service)
    try:
        with grpc.insecure_channel(arguments.target, options=client_options()) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[attr-defined]  # the stubs forgot it
            answer = check(request, timeout=arguments.timeout)
    except grpc.RpcError as error:
        print(f"{arguments.target}: {cast(grpc.Call, error).code().name}", file=sys.stderr)
        return 3
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    print(f"{arguments.target}: {status}")
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main())
