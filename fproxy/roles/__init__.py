"""The programs of the package: each wires the shell to the core."""
