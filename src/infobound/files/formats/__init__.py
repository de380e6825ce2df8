"""Formats of files, one module each, and what they share: compression, header lines, list columns.

Which format a file has is decided in `files.readers`.
"""
