"""The page of a study of estimators."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from infobound.pages.numbers import NONE, maybe
from infobound.pages.page import Page, Picture, Table
from infobound.pages.references import SOFTWARE
from infobound.plotting import accuracy_figures
from infobound.studies import accuracy

if TYPE_CHECKING:
    from infobound.studies.grid import Study

__all__ = ["page_of"]

HEADS = (
    *("suite", "group", "estimator", "N", "tasks", "error", "± s.e.", "bias", "spread"),
    *("coverage", "± s.e.", "seconds"),
)
KNOWN = "https://arxiv.org/abs/2306.11078"


def page_of(result: Study, units: str) -> Page:
    """Describe the accuracy of the estimators."""
    suites = ", ".join(dict.fromkeys(row.suite for row in result.rows))
    failed = len(result.failures)
    tasks = len({(row.suite, row.task) for row in result.rows})
    estimators = list(dict.fromkeys(row.estimator for row in result.rows))
    rows = tuple(
        (
            *(s.suite, s.group, s.estimator, f"{s.n:,}", f"{s.tasks:,}"),
            *(maybe(value, units) for value in (s.mae, s.mae_error, s.bias, s.spread)),
            *(maybe(value, "nats") for value in (s.coverage, s.coverage_error)),
            NONE if s.seconds is None else f"{s.seconds:.3g}",
        )
        for s in result.summaries
    )
    return Page(
        kind="Study",
        title=f"Study: {suites}",
        headline=f"{_counted(len(result.rows), 'estimate')} of known values: "
        f"{_counted(tasks, 'task')}, {', '.join(estimators)}; {failed:,} failed",
        units=units,
        tables=(
            Table(
                f"Mean absolute error and bias ({units}), coverage of intervals, median seconds",
                HEADS,
                rows,
                tuple(range(3, len(HEADS))),
                "Compare estimators by the error within two standard errors; tasks have equal "
                "weight. Errors of one task do not apply to other distributions.",
            ),
        ),
        pictures=tuple(_pictures(result, units)),
        notes=tuple(
            f"Failed: {row.task}, {row.estimator}, N = {row.n:,}, seed {row.seed}: {row.error}"
            for row in result.failures[:5]
        ),
        methods=(
            "Samples of distributions with known mutual information were drawn, the same for all "
            f"estimators, and each estimator was run on each. {result.call.sentence}",
        ),
        settings=result.call.shown,
        versions=result.call.versions,
        repeat=result.call.repeat,
        references=(SOFTWARE, *([KNOWN] if "bmi" in suites else [])),
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _pictures(result: Study, units: str) -> Iterator[Picture]:
    """Return the figures of the study's directory, if there are estimates."""
    if all(row.mi is None for row in result.rows):
        return
    yield Picture(
        "error",
        "Mean absolute error against the number of rows.",
        partial(
            accuracy_figures.error_figure,
            [dataclasses.asdict(s) for s in result.summaries],
            title="Error against N",
            unit=units,
        ),
    )
    yield Picture(
        "truth",
        "Estimates against the truth; on the diagonal they are right.",
        partial(
            accuracy_figures.truth_figure,
            accuracy.by_task(result.rows),
            title="Estimate against truth",
            unit=units,
        ),
    )
