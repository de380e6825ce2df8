"""Figures of plain arrays and numbers; this package uses no types of other packages."""
