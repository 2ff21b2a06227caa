# SPDX-License-Identifier: Apache-2.0
"""What every CowabungaAI backend is made with, and what talks to one.

`backend` holds the interfaces to implement, `serve` and `server` serve an implementation over gRPC,
`client` calls one, `errors` is the one family of exceptions on both sides, and `v1` is the contract.
"""
