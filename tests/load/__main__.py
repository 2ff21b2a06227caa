# SPDX-License-Identifier: Apache-2.0
"""`python3 -m load FOLDER THRESHOLDS`: ask, measure, and write load.json and a page for each scenario into FOLDER.

Variables: COWABUNGAAI_URL, of the gateway; COWABUNGAAI_API_KEY, with the scope admin; COWABUNGAAI_MODEL; and
COWABUNGAAI_BACKEND_METRICS, the URL of the backend's metrics. Exit status: 0 where every limit was kept, 1 where one
was not, 2 where the test could not be run.
"""

import sys
from pathlib import Path

# It replaces Python's sockets, so it comes before what uses them.
import locust  # noqa: F401

from load.command import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
