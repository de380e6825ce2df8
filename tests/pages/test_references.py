"""BibTeX of exactly the methods that were used."""

import re
from pathlib import Path

import numpy as np

import infobound
from infobound.bounds.variational import BOUNDS
from infobound.pages import references
from infobound.pages.references import REFERENCES, SOFTWARE, bibtex
from infobound.results import methods as estimate_methods
from infobound.results.methods import OF_BASES


def keys(result):
    return {REFERENCES[each].key for each in result.page().references if each != SOFTWARE}


def test_every_address_that_a_page_cites_has_an_entry():
    constants = [v for v in vars(estimate_methods).values() if str(v).startswith("https://")]
    cited = {bound.url for bound in BOUNDS.values()} | {*constants}
    cited |= {url for urls in OF_BASES.values() for url in urls}
    assert cited <= {*REFERENCES}


def test_entries_are_complete_and_have_keys_of_their_own():
    assert len({each.key for each in REFERENCES.values()}) == len(REFERENCES)
    for address in REFERENCES:
        text = bibtex([address])
        assert text.count("{") == text.count("}")
        assert re.match(r"@(article|inproceedings)\{[a-z]+\d{4}[a-z]+,", text)
        assert (f"url = {{{address}}}" in text) == address.startswith("https://")
        assert ("doi = {10." in text) == address.startswith("https://doi.org/10.")
        if "arXiv" not in text and text.startswith("@article"):
            assert "volume = {" in text
            assert "pages = {" in text


def test_citations_in_the_text_name_the_author_and_year_of_their_address():
    root, named = Path(__file__).resolve().parents[2], set()
    texts = {*root.glob("src/**/*.py"), *root.glob("docs/*.md")} - {Path(references.__file__)}
    for path in texts:
        text = " ".join(path.read_text(encoding="utf-8").split())
        for address, paper in REFERENCES.items():
            for before in text.split(address)[:-1]:
                before = before[-80:]
                if year := re.search(r"\b([12]\d{3})\W*(\[arXiv:\S*\]\()?$", before):
                    assert re.split("[,{]", paper.authors)[0] in before, (path, before)
                    assert int(year[1]) == paper.year, (path, before)
                    named.add(paper.key)
    assert len(named) > 30


def test_what_was_not_used_is_not_cited(results):
    x, y = np.random.default_rng(0).normal(size=(2, 200))
    y = y + x
    plain = infobound.estimate(x, y, estimator="gaussian", certify=False)
    neighbours = infobound.estimate(x, y, estimator="ksg")
    assert "kraskov2004estimating" not in keys(plain)
    assert keys(neighbours) == {"kraskov2004estimating"}
    whole = keys(results["estimate"])
    assert {"oord2018infonce", "waudbysmith2024betting", "phipson2010permutation"} <= whole
    assert not {"loshchilov2019decoupled", "shah2020hardness"} & whole  # no network, nothing given
    assert "mcgill1954multivariate" in keys(results["interaction"])
    assert "benjamini1995controlling" in keys(results["pairwise"])


def test_several_results_cite_a_paper_once(results, tmp_path):
    path = results["estimate"].report(tmp_path / "report.html", also=[results["compare"]])
    assert path.read_text().count("@article{oord2018infonce,") == 1
