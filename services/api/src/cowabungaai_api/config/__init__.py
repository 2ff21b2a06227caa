"""The gateway's configuration: settings of the process from its environment, everything else from a file."""
