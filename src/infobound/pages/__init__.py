"""How results are shown outside the terminal: summaries, notebooks, figures and HTML reports.

A result describes itself once, as a `Page`; everything else is made of that.
"""
