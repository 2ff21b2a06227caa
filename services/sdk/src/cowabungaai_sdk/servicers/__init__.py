# SPDX-License-Identifier: Apache-2.0
"""The gRPC services, one module each: they check requests, call the backend, and fill in what it need not know."""
