# SPDX-License-Identifier: Apache-2.0
"""How the tables came to be what they are, and the way there and back."""
