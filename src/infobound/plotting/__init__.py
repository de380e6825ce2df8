"""Figures from plain arrays and numbers; no other package's types are used here."""
