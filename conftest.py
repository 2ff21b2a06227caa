# SPDX-License-Identifier: Apache-2.0
"""What all tests need."""

import signal

# A runner in the background starts its programs with Ctrl-C ignored, which everything that they start would inherit,
# also what the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Ended in another way, too, fixtures end what they have started.
signal.signal(signal.SIGTERM, signal.default_int_handler)
