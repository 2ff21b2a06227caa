"""Programs that ask a contender, or are one; each runs in the environment of what it measures."""
