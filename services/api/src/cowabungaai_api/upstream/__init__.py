# SPDX-License-Identifier: Apache-2.0
"""How requests reach a replica: over gRPC by the contract, or over HTTP where it speaks OpenAI's API itself."""
