"""Reports of each kind of result in a real browser: drawn, dark, narrow, printed, silent."""

import re

import pytest
from browsers import browser, found

pytestmark = pytest.mark.skipif(found() is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def page():
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def reports(tmp_path_factory, results):
    folder = tmp_path_factory.mktemp("reports")
    found = {name: each.report(folder / f"{name}.html") for name, each in results.items()}
    others = [results["compare"], results["pairwise"], results["rehearsal"]]
    found["several"] = results["estimate"].report(folder / "several.html", also=others)
    return found


def test_each_report_is_drawn_and_asks_for_nothing(page, reports):
    for name, path in reports.items():
        page.messages.clear(), page.asked.clear()
        page.open(path)
        assert page.value("document.querySelectorAll('h1').length") >= 1, name
        assert page.value("document.querySelectorAll('figure svg').length") >= 1, name
        assert (
            page.value("document.querySelector('figure svg').getBoundingClientRect().height") > 90
        )
        assert page.value("document.scripts.length") == 0
        assert page.messages == [], name
        assert {url for url in page.asked if not url.startswith("data:")} == {path.as_uri()}, name
        assert path.stat().st_size < 2_000_000


def test_names_of_columns_are_text_also_in_figures(page, reports):
    page.open(reports["pairwise"])
    assert "<script>alert(1)</script>" in page.value("document.body.innerText")
    texts = "[...document.querySelectorAll('svg text')].map(each => each.textContent).join('|')"
    assert "<script>alert(1)</script>" in page.value(texts)
    assert page.messages == []


def brightness(text):
    return sum(map(int, re.findall(r"\d+", text)[:3])) / 3


def test_colours_follow_the_reader(page, reports):
    body = "getComputedStyle(document.body)"
    label = "getComputedStyle(document.querySelector('figure svg text')).fill"
    for path in reports.values():
        page.open(path)
        assert brightness(page.value(f"{body}.backgroundColor")) > 240
        assert brightness(page.value(label)) < 60
        page.open(path, dark=True)
        assert brightness(page.value(f"{body}.backgroundColor")) < 40
        assert brightness(page.value(label)) > 200


def test_nothing_is_wider_than_a_narrow_screen(page, reports):
    for name, path in reports.items():
        page.open(path, width=400)
        assert page.value("document.documentElement.scrollWidth") <= 400, name
        widest = (
            "Math.max(...[...document.querySelectorAll('h1, h2, p, li, pre, dl, .ib-scroll')]"
            ".map(each => each.getBoundingClientRect().right))"
        )
        assert page.value(widest) <= 400, name


def test_each_report_is_printed(page, reports):
    for path in reports.values():
        page.open(path, dark=True)
        printed = page.pdf()
        assert printed[:5] == b"%PDF-"
        assert len(printed) > 10_000


def test_the_checks_can_fail(page, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<body><script>console.log(1)</script><img src='missing.png'>"
        "<div style='width: 900px'>wide</div>"
    )
    page.messages.clear(), page.asked.clear()
    page.open(bad, width=400)
    assert page.messages
    assert any("missing.png" in url for url in page.asked)
    assert page.value("document.documentElement.scrollWidth") > 400
