"""Questions about one pair of samples that need several estimates; one module a question.

They are comparison, interaction, invariance under changes of the rows, probes of a representation,
and subsamples. A result that has a page of its own has it beside it (`probes_page`). Many columns
are in `tables`, rows in time in `series`, repeated samples with known truth in `studies`.
"""
