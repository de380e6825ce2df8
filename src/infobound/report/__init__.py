"""Results in a terminal: panels, tables and lists."""
