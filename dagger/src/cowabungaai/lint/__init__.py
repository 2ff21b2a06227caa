# SPDX-License-Identifier: Apache-2.0
"""The checks of `dagger call lint` and `dagger check`: an entry of a table each, side by side."""

from cowabungaai.lint.check import Check as Check
from cowabungaai.lint.check import ModuleFile as ModuleFile
from cowabungaai.lint.check import chosen as chosen
from cowabungaai.lint.run import MAX_LINES as MAX_LINES
from cowabungaai.lint.run import compiled_packages as compiled_packages
from cowabungaai.lint.run import complaint as complaint
from cowabungaai.lint.run import run_checks as run_checks
from cowabungaai.lint.run import shortened as shortened
from cowabungaai.lint.table import table as table

# What of the repository is not looked at: git's own files, and what it ignores.
LEFT_OUT = (
    ".git",
    "dist",
    "dagger/sdk",
    "packages/*/chart/charts",
    "**/__pycache__",
    "**/.*_cache",
    "**/.coverage*",
    "**/.hypothesis",
    "**/.venv",
    "**/*.egg-info",
)
