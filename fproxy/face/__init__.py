"""What a person meets: the command line, settings, logs and the terminal client."""
