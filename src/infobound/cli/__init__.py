"""The command line: the commands, a session with its output and errors, and progress bars."""
