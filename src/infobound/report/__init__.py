"""What results look like in a terminal: panels, tables and lists."""
