"""An estimate for a paper: methods, references, a reviewer's questions, code."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from infobound.bounds.variational import BOUNDS
from infobound.config import Config
from infobound.pages.numbers import columns, number, percent
from infobound.pages.page import Answer
from infobound.pages.references import SOFTWARE
from infobound.plotting.figures import listed

if TYPE_CHECKING:
    from infobound.results.estimate import Estimate

__all__ = ["changed", "checklist", "code", "paragraphs", "references", "shown_names"]
__all__ += ["tried_network"]

POSTERIOR = "https://arxiv.org/abs/1905.06922"  # its section on the bound of Barber and Agakov
CROSSFIT = "https://arxiv.org/abs/1608.00060"
AKAIKE = "https://doi.org/10.1109/TAC.1974.1100705"
KSG = "https://arxiv.org/abs/cond-mat/0305641"
COPULA = "https://doi.org/10.1016/S1007-0214(11)70008-6"
BETTING = "https://arxiv.org/abs/2010.09686"
PERMUTATION = "https://arxiv.org/abs/1603.05766"
SHIFTS = "https://arxiv.org/abs/2012.06862"
LOCAL = "https://arxiv.org/abs/2112.11666"
PROJECTED = "https://arxiv.org/abs/2211.02039"
RESIDUALS = "https://arxiv.org/abs/1804.07203"
MIXTURE = "https://doi.org/10.1111/j.2517-6161.1977.tb01600.x"
BIC = "https://doi.org/10.1214/aos/1176344136"
STACKING = "https://doi.org/10.1016/S0893-6080(05)80023-1"
NORMAL = "https://doi.org/10.1016/j.jmva.2015.02.003"
ADAMW = "https://arxiv.org/abs/1711.05101"
PURSUIT = "https://doi.org/10.1080/01621459.1981.10477729"
STACKED = "https://doi.org/10.1007/BF00117832"
PARTIAL = "https://doi.org/10.1103/PhysRevLett.99.204101"
STUDENT = "https://doi.org/10.1111/j.1751-5823.2005.tb00254.x"

OF_BASES: dict[str, tuple[str, ...]] = {  # papers of the closed forms, by name
    "gaussian": (COPULA, NORMAL),
    "gaussian_raw": (COPULA, NORMAL),
    "gaussian_shrunk": (COPULA, "https://doi.org/10.1016/S0047-259X(03)00096-4"),
    "unwound": (COPULA, "https://arxiv.org/abs/2306.11078"),
    "student": (STUDENT,),
    "contaminated": (COPULA,),
    "mixture": (MIXTURE,),
    "fine_mixture": (MIXTURE,),
    "finest_mixture": (MIXTURE,),
    "curved": (COPULA, "https://doi.org/10.1214/ss/1177013604"),
    "sheared": (MIXTURE, BIC, "https://doi.org/10.1214/ss/1177013604"),
    "ranks": ("https://arxiv.org/abs/2402.10158",),
    "gaussians": (MIXTURE, BIC),
    "gaussians_raw": (MIXTURE, BIC),
    "projected": (COPULA, "https://doi.org/10.1214/aos/1176345134"),
    "mean": (PURSUIT, STACKED, "https://arxiv.org/abs/2402.10158"),
    "posterior": (STACKING, "https://doi.org/10.1080/01621459.1989.10478752"),
    "table": ("https://doi.org/10.1080/01621459.1973.10481350",),
    "linear_probe": ("https://arxiv.org/abs/2002.10689",),
    "network_probe": ("https://arxiv.org/abs/2002.10689",),
}
NO_METHOD = ("seed", "pointwise", "device", "checkpoint_every", "smoothing")  # change no number


def changed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults.

    Example:
        >>> changed({**Config().as_dict(), "folds": 2})
        {'folds': 2}
    """
    defaults = Config().as_dict()
    return {name: value for name, value in config.items() if defaults.get(name) != value}


def shown_names(names: Sequence[str]) -> list[str]:
    """Return the names of columns, with one for all categories of a column.

    Example:
        >>> shown_names(["age", "site=A", "site=B"])
        ['age', 'site']
    """
    origins = [name.rpartition("=")[0] for name in names]
    together = (
        origin if origin and origins.count(origin) > 1 else name
        for name, origin in zip(names, origins, strict=True)
    )
    return [*dict.fromkeys(together)]


def _bases(result: Estimate) -> list[str]:
    """Return the names of the closed forms of all folds."""
    joined = (name for base in result.bases for name in base.split(","))
    return [name.strip().partition("|")[0] for name in dict.fromkeys(joined) if name != "none"]


def references(result: Estimate) -> Iterator[str]:
    """Return the addresses of the papers of exactly the methods that were used."""
    yield SOFTWARE
    if result.bases:
        yield POSTERIOR if _of_classes(result) else BOUNDS[result.bound].url
        yield CROSSFIT
    if result.method in ("critic", "base") and result.bases:
        yield AKAIKE
    for name in _bases(result):
        yield from OF_BASES.get(name, ())
    if not result.bases and result.config["estimator"] in OF_BASES:
        yield from OF_BASES[result.config["estimator"]]
    if result.bases and tried_network(result):
        yield ADAMW
    if result.ksg is not None or result.method == "ksg":
        yield KSG
        if result.dim_given:
            yield PARTIAL
    if result.dim_given and result.bases:
        yield from (RESIDUALS, PURSUIT, STACKED)
    if result.p_value is not None:
        yield PERMUTATION
        if result.dim_given:
            yield LOCAL
        elif result.config["series"]:
            yield SHIFTS
    if result.projection_p is not None:
        yield PROJECTED
    if result.certified is not None or result.upper is not None:
        yield BETTING


def paragraphs(result: Estimate, units: str) -> Iterator[str]:
    """Return the paragraphs of a methods section, with the settings that were used."""
    config, given = result.config, result.dim_given > 0
    sides = [("x", result.x_names, result.dim_x), ("y", result.y_names, result.dim_y)]
    sides += [("z", result.given_names, result.dim_given)] if given else []
    named = ", ".join(
        f"{side} ({listed(shown_names(names))}; {columns(count)})"
        if names
        else f"{side} ({columns(count)})"
        for side, names, count in sides
    )
    what = "The conditional mutual information I(X;Y|Z)" if given else "The mutual information"
    version = result.versions.get("infobound", "")
    yield (
        f"{what} of {named} was estimated from {result.n:,} rows with infobound {version} "
        f"(seed {result.seed}). {_fitted(result)} {_settings(config)}"
    )
    yield f"{_interval(result)} Values are in {units}; negative values were kept."
    tests = " ".join(_tests(result, units))
    if tests:
        yield tests


def _fitted(result: Estimate) -> str:
    """Describe the estimator."""
    config = result.config
    if not result.bases:
        names = {
            "ksg": "nearest neighbours of Kraskov, Stögbauer and Grassberger",
            "gaussian": "a Gaussian copula",
            "student": "a Student copula",
        }
        return f"The estimator was {names.get(config['estimator'], config['estimator'])}."
    models = ", ".join(_bases(result)) or "none"
    folds = "contiguous folds" if config["series"] else "folds"
    text = (
        f"In {len(result.bases)} {folds}, critics were fitted to the rows of the other folds and "
        f"scored each row once (cross-fitting); closed-form models ({models}) were selected on "
        "validation rows"
    )
    if tried_network(result):
        kept = f"kept in {result.kept} of {len(result.bases)} folds, where it gained clearly"
        text += f", and a network ({config['critic']}) trained on top of them was {kept}"
    bound = BOUNDS[result.bound].title
    if _of_classes(result):
        bound = "the entropy of the classes less the cross-entropy of the classifiers"
    text += f". The bound was {bound}"
    if result.ceiling is not None:
        text += f" with K = {math.exp(result.ceiling):,.0f} rows scored together"
    text += "."
    if result.method == "table":
        text += " The estimate is that of the table of counts, corrected for chance."
    elif result.method == "ksg":
        text += " The estimate is that of nearest neighbours, which found clearly more."
    else:
        text += " The estimate corrects the held-out value for its first-order bias."
    if result.dim_given:
        text += " The estimate is I(X,Z;Y) - I(Z;Y), from residuals given z, on the same folds."
    return text


def _of_classes(result: Estimate) -> bool:
    """Return whether the bound is that of classifiers, which has no negatives."""
    return {*result.bases} == {"posterior"}


def tried_network(result: Estimate) -> bool:
    """Return whether networks were trained; on posteriors and tables none is tried."""
    possible = result.config["estimator"] == "default" and result.config["critic"] != "none"
    return possible and not set(result.bases) <= {"posterior", "table"}


def _settings(config: Mapping[str, Any]) -> str:
    """Describe settings that are not the defaults."""
    found = {name: value for name, value in changed(config).items() if name not in NO_METHOD}
    if not found:
        return "All settings were the defaults."
    said = ", ".join(f"{name} = {value}" for name, value in found.items())
    return f"Settings besides the defaults: {said}."


def _interval(result: Estimate) -> str:
    """Describe the interval."""
    level = percent(result.config["level"])
    text = f"The {level} interval is normal, with the sampling error of the rows' contributions"
    if result.config["series"]:
        text += " from contiguous blocks"
    if result.bases:
        text += " and the uncertainty of the correction"
    if result.ksg is not None:
        text += " and half of the difference to the estimate of nearest neighbours"
    return f"{text}."


def _tests(result: Estimate, units: str) -> Iterator[str]:
    """Describe tests and guarantees."""
    config, level = result.config, percent(result.config["level"])
    if result.p_value is not None:
        how = "permuting y"
        if result.dim_given:
            how = "permuting y within neighbourhoods of z"
        elif config["series"]:
            how = "shifting y against x in time"
        combined = (
            ""
            if result.dim_given or result.test
            else (" The p-values of the parts of the rows were combined by Fisher's method.")
        )
        yield (
            f"Independence{' of x and y given z' if result.dim_given else ''} was tested by {how} "
            f"({config['permutations']:,} permutations), with critics that were fitted to earlier "
            f"rows.{combined}"
        )
    if result.projection_p is not None:
        yield "A second test projects the residuals of both regressions."
    if result.certified is not None:
        yield (
            f"The certified value, {number(result.certified, units)} {units}, is a lower "
            f"confidence bound at {level} by betting, valid for any distribution of independent "
            "rows."
        )
    if result.upper is not None:
        yield (
            f"The upper value, {number(result.upper, units)} {units}, bounds the entropy of a side "
            f"that takes few values, at {level}."
        )


def checklist(result: Estimate, units: str) -> Iterator[Answer]:
    """Answer what a reviewer asks of an estimate."""
    yield Answer("Which estimator and settings?", "In the methods paragraph and the settings.")
    yield Answer("How many rows, and how many independent ones?", *_effective(result))
    yield Answer("Which unit?", f"{units.capitalize()}.")
    yield Answer("What kind of interval?", _interval(result))
    if result.p_value is None:
        yield Answer(
            "Which null hypothesis, and how many tests?",
            "None was tested: leave certify on.",
            False,
        )
    else:
        null = "x and y are independent" + (" given z" if result.dim_given else "")
        yield Answer(
            "Which null hypothesis, and how many tests?",
            f"'{null}', one test. If you tried several pairs, adjust for all of them "
            "(infobound.pairwise does).",
        )
    yield Answer("Are negative values kept?", "Yes, nothing is set to zero.")
    yield Answer(
        "Does the value depend on the number of rows?",
        "Add the 1/N figure: infobound report RUN --subsample, or infobound.subsample(x, y).",
        False,
        "Subsampling",
    )
    yield Answer("Does it depend on the estimator?", *_sensitivity(result, units))
    yield Answer(
        "Was it validated on data like these?",
        "Plant known values in your rows: infobound rehearse, or infobound.rehearse(x, y).",
        False,
        "Rehearsal",
    )
    yield Answer("Versions, seed, code, references?", "Below.")


def _effective(result: Estimate) -> tuple[str, bool]:
    """Return the effective number of rows in words, and whether it is known."""
    n = f"N = {result.n:,}"
    if result.effective_n is not None:
        groups = "" if result.group_count is None else f" in {result.group_count:,} groups"
        return f"{n}{groups}, N_eff = {result.effective_n:,.0f}.", True
    return f"{n}, taken as independent (N_eff = N); see the findings about their order.", True


def _sensitivity(result: Estimate, units: str) -> tuple[str, bool]:
    """Say how far another method is, and whether there is one."""
    if result.ksg is None or result.method == "ksg":
        return "Repeat it with another seed, critic or base, for example critic='none'.", False
    return (
        f"Nearest neighbours (KSG) give {number(result.ksg, units)} {units}, this estimate is "
        f"{number(result.mi, units)}; half of the difference is in the interval.",
        True,
    )


def code(result: Estimate) -> str:
    """Return Python code that repeats the estimate, given the rows."""
    settings = {"seed": result.seed, **changed(result.config)}
    known = {field.name for field in dataclasses.fields(Config)}
    said = "".join(f", {name}={value!r}" for name, value in settings.items() if name in known)
    sides = [("x", result.x_names), ("y", result.y_names), ("given", result.given_names)]
    lines = [f"# infobound {result.versions.get('infobound', '')}"]
    lines += [
        f"# {side}: {listed([repr(each) for each in names])}" for side, names in sides if names
    ]
    given = ", given=given" if result.dim_given else ""
    return "\n".join(
        ["import infobound", *lines, f"result = infobound.estimate(x, y{given}{said})"]
    )
