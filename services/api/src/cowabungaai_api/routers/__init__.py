# SPDX-License-Identifier: Apache-2.0
"""What FastAPI answers: everything but the endpoints that models answer."""
