"""The page: its structure and size without a browser, and what a person does with it in headless Chromium."""

import base64
import itertools
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from math import nan
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Route, expect, sync_playwright
from playwright.sync_api import Page as Tab

from segbench.labels import IGNORE_INDEX, Classes
from segbench.report.drawing.pictures import photo_url
from segbench.report.pages.page import MAX_BYTES, page_html
from segbench.report.table.claims import Finding
from segbench.report.table.content import Answer, Entry, Page, ScoredImage
from segbench.report.table.numbers import MISSING, percent
from segbench.scoring.intervals import Interval
from segbench.scoring.metrics import compute_scores, confusion_matrix
from segbench.sources import source_digests
from tests.parameters import PROJECT
from tests.report.sample_pages import a_page, large_page, realistic_page, some_classes

HOSTILE = """</script><img src=x onerror="alert(1)"> <b>&amp; 'single' "double" {{ 7*7 }}"""
VOID = {"meta", "link", "input", "img", "br"}


class Structure(HTMLParser):
    """Elements by id, ids twice, wrong nesting, references out of the page, and text outside scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.targets: list[str] = []
        self.text = ""
        self.data: dict[str, str] = {}
        self.script_id = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.references += [found[name] for name in ("src", "href") if name in found]
        self.links += [found["href"]] if tag == "a" and "href" in found else []
        self.handlers += [name for name in found if name.startswith("on")]
        self.targets += [word for name in ("aria-labelledby", "for") for word in found.get(name, "").split()]
        self.script_id = found.get("id", "") if tag == "script" else ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.data[self.script_id] = self.data.get(self.script_id, "") + data
        elif self.open and self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def realistic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page_html(realistic_page()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def structure(realistic: Path) -> Structure:
    return Structure(realistic.read_text())


def small_page(*, names: tuple[str, ...] = ("unet", "fcn_8s"), num_images: int = 2) -> Page:
    return a_page(models=names, classes=some_classes(3), num_images=num_images, height_px=12, width_px=16)


def test_every_part_is_there_once_and_linked(structure: Structure) -> None:
    parts = [
        "images", "table", "ranking", "classes", "differences", "groups", "speed", "confusion", "boundary", "curves",
        "claims", "protocol", "about",
    ]  # fmt: skip
    assert len(set(structure.ids)) == len(structure.ids)
    assert [link for link in structure.references if link.startswith("#")] == ["#table", *(f"#{it}" for it in parts)]
    assert set(parts) | set(structure.targets) <= set(structure.ids)
    assert "60 of 60 test images, worst first." in structure.text and "By the mean of all entries." in structure.text
    assert structure.ids.index("images") < structure.ids.index("table")
    assert "Each model was trained once." in structure.text
    assert "backbone none" in structure.text
    assert "2 (1\N{EN DASH}2)" in re.sub(r"\s+", " ", structure.text)


def test_differences_are_of_row_minus_column_and_bold_where_significant() -> None:
    page = small_page(names=("unet", "fcn_8s", "pspnet"))
    html = page_html(page)
    (part,) = re.findall(r'<section id="differences".*?</section>', html, flags=re.S)
    rows = re.findall(r'<th scope="row" class="name">(\w+)</th>((?:\s*<td.*?</td>)+)', part)
    gaps = {name: re.findall(r"<td([^>]*)>(.*?)</td>", cells) for name, cells in rows[:3]}
    assert [text for _, text in gaps["unet"]] == ["", "+4.0", "+8.0"]
    assert [text for _, text in gaps["fcn_8s"]] == ["-4.0", "", "+4.0"]
    assert all('class="sure"' in attributes for attributes, text in gaps["unet"][1:])
    assert 'class="sure"' not in part.split("Gains of the CRF")[1]
    assert "95 % interval [-7.0, -1.0]; adjusted p" in gaps["fcn_8s"][0][0]
    assert [name for name, _ in rows[3:6]] == ["unet", "fcn_8s", "pspnet"] and "+2.0" in rows[3][1]
    assert [name for name, _ in rows[6:]] == ["unet", "fcn_8s", "pspnet"] and "+1.5" in rows[6][1]


def test_nothing_is_referred_to_outside_the_page(realistic: Path, structure: Structure) -> None:
    """Links to the files beside it are followed by a click alone; `tests/report/pages/test_about.py` knows them."""
    links = [link for link in structure.links if not link.startswith("#")]
    assert links[0] == "../index.html", "the page over all datasets, which the page does without"
    assert [link for link in links if ":" in link] == ["https://example.org/streets"], "the home page of the dataset"
    assert {link for link in structure.references if not link.startswith("#")} - {*links} == {"data:,"}
    assert not structure.handlers
    assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|import\(", realistic.read_text())


def test_the_page_depends_on_its_template_style_and_script() -> None:
    digests = source_digests("segbench.report.pages.page")
    for kind in ("html.jinja", "css", "js"):
        assert f"src/segbench/report/pages/web/page.{kind}" in digests


def test_the_realistic_page_is_small(realistic: Path) -> None:
    assert realistic.stat().st_size < MAX_BYTES


ROOM = "The page has room for the worst, the median and the best images"


def test_a_large_page_takes_the_images_that_fit_and_reads_no_more() -> None:
    page = large_page()
    drawn: list[str] = []

    def counted(test_images: Iterable[ScoredImage]) -> Iterator[ScoredImage]:
        for test_image in test_images:
            drawn.append(test_image.name)
            yield test_image

    html = page_html(replace(page, test_images=counted(page.test_images)))
    assert len(html.encode()) <= MAX_BYTES
    pictures = json.loads(Structure(html).data["picture-data"])
    shown = len(pictures)
    assert 3 <= shown < page.num_images
    assert f"{shown} of 60 test images, worst first." in html and ROOM in html
    assert len(drawn) == shown + 1
    assert {"name", "photo", "sheet", "rows", "width", "height", "score", "scores"} <= pictures[0].keys()


def test_images_are_on_the_page_from_the_worst_to_the_best() -> None:
    page = small_page(num_images=4)
    second, third, _, first = page.test_images
    page = replace(page, test_images=[replace(first, place=1), replace(third, place=3), replace(second, place=2)])
    pictures = json.loads(Structure(page_html(page)).data["picture-data"])
    assert [(it["name"], it["place"], it["places"]) for it in pictures] == [
        (first.name, 1, 4), (second.name, 2, 4), (third.name, 3, 4),
    ]  # fmt: skip
    assert ROOM not in page_html(page)


@pytest.mark.parametrize("room", [0, 1, 5_000, 20_000])
def test_the_budget_holds_to_the_byte(room: int) -> None:
    page = small_page(num_images=30)
    empty = len(page_html(replace(page, test_images=())).encode())
    assert len(page_html(page, max_bytes=empty + room).encode()) <= empty + room


def test_names_are_text_wherever_they_stand() -> None:
    page = a_page(
        models=(HOSTILE, "unet"),
        classes=Classes.of([(HOSTILE, (1, 2, 3)), ("road", (4, 5, 6))]),
        num_images=2,
        height_px=12,
        width_px=16,
    )
    page = replace(
        page,
        dataset=HOSTILE,
        description=HOSTILE,
        answers=(Answer(HOSTILE, HOSTILE),),
        champion=f"{HOSTILE}: `{HOSTILE}`",
        trainings=HOSTILE,
        protocol={HOSTILE: HOSTILE},
        notes=(HOSTILE,),
        findings=tuple(replace(finding, says=HOSTILE, difference=HOSTILE) for finding in page.findings),
        test_images=[replace(test_image, name=HOSTILE) for test_image in page.test_images],
        test_images_note=HOSTILE,
    )
    found = Structure(page_html(page))
    assert "img" not in found.tags
    assert not found.handlers
    assert json.loads(found.data["picture-data"])[0]["name"] == HOSTILE
    assert json.loads(found.data["confusion-data"])[0]["label"] == HOSTILE
    assert found.text.count(HOSTILE) > 10


def test_the_command_that_uses_the_champion_is_code() -> None:
    champion = "Champion: unet. To use it: `segbench predict models:/a-b@champion photos/ --out labelled`"
    html = page_html(replace(small_page(), answers=(Answer("Which?", "unet"),), champion=champion))
    assert "To use it: <code>segbench predict models:/a-b@champion photos/ --out labelled</code></dd>" in html


def test_what_is_not_known_is_a_dash() -> None:
    page = small_page()
    page = replace(page, differences={}, about=None)
    nothing = Interval(nan, nan, nan)
    first, *others = page.entries
    assert first.costs
    first = replace(
        first,
        scores={"aAcc": nothing, "mAcc": nothing, "mIoU": nothing, "mDice": nothing},
        class_iou=(nan,) * 3,
        boundary_mean_iou=(nan,) * 4,
        seed_spread=None,
        costs=replace(first.costs, latency_ms=None, multiply_adds=None, training_seconds=nan),
    )
    test_images = [replace(it, score=nan, mean_iou=(nan,) * 4) for it in page.test_images]
    curves = tuple(replace(curve, mean_iou=(nan,) * 4, train_loss=()) for curve in page.curves)
    html = page_html(replace(page, entries=(first, *others), curves=curves, test_images=test_images))
    assert not re.search(r"\b(nan|none)\b(?! of)", Structure(html).text.lower().replace("backbone none", ""))
    assert json.loads(Structure(html).data["picture-data"])[0]["scores"] == ["\N{EN DASH}"] * 4
    assert 'id="curves"' not in html


@pytest.mark.parametrize("machines", [("fast", "slow"), ("fast", "fast")])
def test_the_chart_says_whose_training_times_do_not_compare(machines: tuple[str, str]) -> None:
    page = small_page()
    entries = [entry for entry in page.entries if entry.costs][:2]
    told = tuple(
        replace(entry, costs=replace(entry.costs, trained_on=machine))
        for entry, machine in zip(entries, machines, strict=True)
        if entry.costs
    )
    costs = json.loads(Structure(page_html(replace(page, entries=told, test_images=()))).data["speed-data"])
    notes = {cost["title"]: cost["note"] for cost in costs}
    assert ("machines of different kinds" in notes["training time"]) == (machines == ("fast", "slow"))
    assert notes["multiply-adds"] == "Without those of the CRF." and notes["latency"] == ""


def test_parts_without_content_are_left_out() -> None:
    page = small_page()
    entry = replace(
        page.entries[0],
        crf=False,
        confusion=None,
        costs=None,
        boundary_mean_iou=(),
        class_iou=(0.5,),
        group_class_iou=(),
    )
    bare = Page(
        dataset="bare",
        description="",
        answers=(),
        classes=some_classes(1),
        entries=(entry,),
        trainings="",
        num_images=1,
        protocol={},
    )
    found = Structure(page_html(bare))
    parts = {"speed", "confusion", "boundary", "curves", "claims", "images", "about"}
    assert not parts & set(found.ids)
    assert not [link for link in found.references if link.removeprefix("#") in parts]
    assert "1 entry" in re.sub(r"\s+", " ", found.text)


@pytest.mark.parametrize(("num_classes", "has_matrices"), [(40, True), (41, False)])
def test_confusion_matrices_of_many_classes_are_left_out(num_classes: int, has_matrices: bool) -> None:
    page = a_page(models=("unet",), classes=some_classes(num_classes), num_images=1, height_px=16, width_px=24)
    found = Structure(page_html(page))
    assert ("confusion" in found.ids) == ("confusion-data" in found.data) == has_matrices
    assert "classes" in found.ids


def text_of(page: Page) -> str:
    return re.sub(r"\s+", " ", Structure(page_html(page)).text)


COMPARED = ("split for each of 2 trainings, then the mean over them.", "The pixels of 2 trainings are added up.")
REPEATED = (
    "of the same kind, and after trainings with other seeds.",
    "Label maps and scores are those of the first seed of each model.",
)  # fmt: skip


def test_what_is_of_several_trainings_or_the_first_of_them_is_said_to_be() -> None:
    page = small_page()
    first, *others = page.entries
    repeated = text_of(replace(small_page(), entries=(replace(first, seed_spread=0.01), *others)))
    once = text_of(page)
    for sentence in REPEATED:
        assert sentence in repeated and sentence not in once
    assert "confusion matrix over the whole test split." in once


def test_what_is_of_all_trainings_that_are_compared_is_said_to_be() -> None:
    for sentence in COMPARED:
        assert sentence in text_of(replace(small_page(), num_compared=2))
    assert not re.search(r"\d trainings", text_of(small_page()))


def test_a_dash_is_explained_where_there_is_one() -> None:
    page = small_page()
    first, *others = page.entries
    absent = replace(first, class_iou=(nan, *first.class_iou[1:]))
    assert "A dash:" in text_of(replace(page, entries=(absent, *others)))
    assert "A dash:" not in text_of(small_page())


def test_entries_that_the_chart_leaves_out_are_mentioned() -> None:
    assert "Entries without a known cost or score are left out." in text_of(realistic_page())
    assert "are left out" not in text_of(small_page())


def test_the_key_of_the_crf_stands_where_there_is_one() -> None:
    page = small_page()
    assert "CRF off," in text_of(page)
    without = tuple(entry for entry in page.entries if not entry.crf)
    no_crf = replace(small_page(), entries=without, test_images=(), differences={})
    assert "CRF off," not in text_of(no_crf)


def test_claims_that_were_not_tested_fill_no_rows() -> None:
    html = page_html(replace(small_page(), test_images=()))
    table = html.partition('<table class="claims">')[2].partition("</table>")[0]
    assert "Rates help" in table and "Pooling helps" not in table
    assert "Not tested here: 1" in html and "<li>Pooling helps: b is not in the benchmark</li>" in html
    untested = tuple(finding for finding in small_page().findings if finding.verdict == "not run")
    assert '<table class="claims">' not in page_html(replace(small_page(), test_images=(), findings=untested))


def test_verdicts_are_explained_as_they_were_reached() -> None:
    page = small_page()
    assert "In brackets: the 95 % interval" in text_of(page) and "A claim about scores holds if" in text_of(
        small_page()
    )
    costs = Finding("Atrous costs nothing", "parameters", "a 1", "b 1", "+0", "holds")
    text = text_of(replace(small_page(), findings=(costs,)))
    assert "A claim about costs is judged by what was measured, without an interval." in text
    assert "In brackets: the 95 % interval" not in text and "A claim about scores" not in text


def test_one_image_is_not_called_images() -> None:
    assert "1 of 1 test image." in text_of(a_page_of_one_image())
    assert "2 of 2 test images, worst first." in text_of(small_page())


def a_page_of_one_image() -> Page:
    return replace(small_page(num_images=1), groups=())


def test_many_classes_fit_into_a_page() -> None:
    page = a_page(models=("unet",), classes=some_classes(40), num_images=2, height_px=96, width_px=128)
    html = page_html(page)
    assert len(html.encode()) < 1_000_000
    assert html.count('class="upright"') == 2 * 40


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"entries": ()}, "at least one entry"),
        ({"classes": some_classes(4)}, "class_iou has 3 values, not 4"),
        ({"boundary_shares": {1.0: 0.1}}, "boundary_mean_iou has 4 values, not 1"),
    ],
)
def test_a_page_whose_parts_do_not_fit_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(small_page(), **wrong)  # type: ignore[arg-type]


def test_two_entries_of_one_name_are_refused() -> None:
    page = small_page()
    with pytest.raises(ValueError, match="2 entries are called unet"):
        replace(page, entries=(*page.entries, page.entries[1]))


def test_an_image_with_too_few_label_maps_is_refused() -> None:
    page = small_page()
    test_images = [replace(it, predicted=it.predicted[1:]) for it in page.test_images]
    with pytest.raises(ValueError, match="one label map and one mIoU for each entry"):
        page_html(replace(page, test_images=test_images))


# --- in a browser ---

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
PHONE = {"width": 390, "height": 844}

LOWEST_CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return null;
  };
  let lowest = [21, ""];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest("option, script, title")) continue;
    const [a, b] = [getComputedStyle(element).color, behind(element)].map((c, i) => luminance(i ? c : rgba(c)));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < lowest[0]) lowest = [contrast, `${element.className} ${walker.currentNode.data}`];
  }
  return lowest;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


class Visit:
    """A page in a tab of its own that allows no request but the file's; problems: errors and other requests."""

    def __init__(self, browser: Browser, path: Path, *, query: str = "", **options: object) -> None:
        self.problems: list[str] = []
        self.tab: Tab = browser.new_page(**options)  # type: ignore[arg-type]
        self.tab.set_default_timeout(30_000)
        self.tab.on("console", lambda message: self.problems.append(message.text))
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        own = path.as_uri()
        self.tab.route(lambda url: url.partition("?")[0] != own, self._refuse)
        self.tab.goto(f"{own}{query}")

    def _refuse(self, route: Route) -> None:
        self.problems.append(route.request.url)
        route.abort()

    def rows(self) -> Locator:
        return self.tab.locator("#benchmark tbody tr:visible")


@pytest.fixture
def visit(browser: Browser, realistic: Path) -> Iterator[Visit]:
    visiting = Visit(browser, realistic, viewport={"width": 1280, "height": 900})
    yield visiting
    visiting.tab.close()
    assert visiting.problems == []


def orders(visit: Visit, head: str) -> list[str]:
    """The keys of the visible rows in the column under a head."""
    return visit.tab.evaluate(
        """(head) => {
          const heads = [...document.querySelectorAll("#benchmark thead th")];
          const column = heads.findIndex((cell) => cell.querySelector("button").firstChild.data === head);
          return [...document.querySelectorAll("#benchmark tbody tr")]
            .filter((row) => row.checkVisibility()).map((row) => row.cells[column].dataset.order);
        }""",
        head,
    )


def head(visit: Visit, name: str) -> Locator:
    return visit.tab.locator("#benchmark thead th").filter(has_text=re.compile(rf"^{name}")).first


@in_browser
def test_a_click_on_a_head_sorts_and_another_turns_round(visit: Visit) -> None:
    latency = head(visit, "Latency")
    latency.get_by_role("button").click()
    expect(latency).to_have_attribute("aria-sort", "ascending")
    *known, last = orders(visit, "Latency")
    assert last == "", "what has no latency comes last"
    assert known == sorted(known, key=float)
    latency.get_by_role("button").click()
    expect(latency).to_have_attribute("aria-sort", "descending")
    assert orders(visit, "Latency") == [*reversed(known), ""]
    expect(visit.tab.locator("[aria-sort]")).to_have_count(1)
    expect(visit.tab.locator("#sorted")).to_have_text(re.compile("Sorted by Latency.*, descending"))


@in_browser
def test_the_keyboard_sorts(visit: Visit) -> None:
    head(visit, "mIoU").get_by_role("button").focus()
    visit.tab.keyboard.press("Enter")
    found = orders(visit, "mIoU")
    assert found == sorted(found, key=float, reverse=True)
    visit.tab.keyboard.press("Space")
    assert orders(visit, "mIoU") == found[::-1]
    visit.tab.keyboard.press("Tab")
    expect(head(visit, "mDice").get_by_role("button")).to_be_focused()
    head(visit, "Model").get_by_role("button").press("Enter")
    assert orders(visit, "Model")[:2] == ["color_clusters", "deeplab_v1"]


@in_browser
def test_the_filter_leaves_crf_off_or_on(visit: Visit) -> None:
    expect(visit.tab.get_by_role("radio", name="as published")).to_be_checked()
    assert visit.rows().count() == 12
    visit.tab.get_by_role("radio", name="both").check(force=True)
    assert visit.rows().count() == 23
    visit.tab.get_by_role("radio", name="on", exact=True).check(force=True)
    assert visit.rows().count() == 11
    assert all(label.endswith(" + CRF") for label in orders(visit, "Model"))
    assert visit.tab.locator("#classes tbody tr:visible").count() == 11
    assert visit.tab.locator(".point:visible").count() == 11
    visit.tab.keyboard.press("ArrowLeft")
    expect(visit.tab.get_by_role("radio", name="off")).to_be_checked()
    assert visit.rows().count() == 12


@in_browser
def test_ranks_bold_scores_and_the_front_are_those_of_what_is_shown(visit: Visit) -> None:
    ranks = visit.tab.locator("#benchmark tbody tr:visible td:nth-child(2) .value")
    best = visit.tab.locator("#benchmark tbody tr:visible td.best:nth-child(3)")
    front = visit.tab.locator(".point.on-front:visible")
    for name, fastest in (("as published", 1), ("on", 1), ("both", 2)):
        visit.tab.get_by_role("radio", name=name, exact=True).check(force=True)
        found = [rank.split(" ")[0] for rank in ranks.all_inner_texts()]
        assert found == [str(place) for place in range(1, visit.rows().count() + 1)], name
        assert best.count() == 1 and best.evaluate("(cell) => cell.parentNode.matches('tr')"), name
        assert visit.rows().first.locator("td.best").count() == 4, name
        assert front.count() == fastest, name
        assert visit.tab.locator("#front").get_attribute("points"), name


@in_browser
def test_what_is_not_ranked_moves_no_rank(browser: Browser, tmp_path: Path) -> None:
    """As one set of predictions among means over several trainings."""
    page = a_page(
        models=("unet", "fcn_8s"), classes=some_classes(3), num_images=2, height_px=12, width_px=16, external="theirs"
    )
    *own, theirs = page.entries
    best = {name: Interval(0.99, 0.98, 1.0) for name in theirs.scores}
    path = tmp_path / "page.html"
    path.write_text(page_html(replace(page, entries=(*own, replace(theirs, rank=None, scores=best)))), encoding="utf-8")
    visiting = Visit(browser, path)
    ranks = visiting.tab.locator("#benchmark tbody tr:visible td:nth-child(2) .value")
    for name in ("as published", "both"):
        visiting.tab.get_by_role("radio", name=name, exact=True).check(force=True)
        found = sorted(rank.split(" ")[0] for rank in ranks.all_inner_texts())
        assert found == [*map(str, range(1, len(found))), MISSING], name
    visiting.tab.close()
    assert visiting.problems == []


@in_browser
def test_marking_a_model_shows_its_confusion_matrix(visit: Visit) -> None:
    visit.rows().locator(".mark", has_text="pspnet").first.click()
    expect(visit.tab.locator("#confusion-label")).to_have_text("pspnet")
    cells = visit.tab.locator("#matrix tbody td").all_inner_texts()
    visit.rows().locator(".mark", has_text="unet").first.click()
    expect(visit.tab.locator("#confusion-label")).to_have_text("unet")
    assert visit.tab.locator("#matrix tbody td").all_inner_texts() != cells


@in_browser
def test_the_bars_of_all_rows_stand_below_each_other(visit: Visit) -> None:
    """The best row's digits are bold, and wider."""
    boxes = [bar.bounding_box() for bar in visit.tab.locator("#benchmark tbody tr:visible .bar").all()]
    assert len({round(box["x"], 1) for box in boxes if box}) == 1


@in_browser
def test_intervals_appear_with_focus_and_by_the_switch(visit: Visit) -> None:
    clip = "(element) => getComputedStyle(element).clipPath"
    shown = visit.rows().nth(2).locator(".interval").first
    assert shown.evaluate(clip) != "none"
    visit.rows().nth(2).locator(".mark").focus()
    assert shown.evaluate(clip) == "none"
    other = visit.rows().nth(4).locator(".interval").first
    assert other.evaluate(clip) != "none"
    visit.tab.get_by_label("Show all intervals").check()
    assert other.evaluate("(element) => getComputedStyle(element).position") == "static"


@in_browser
def test_a_model_is_highlighted_in_every_chart(visit: Visit) -> None:
    unet = visit.rows().locator(".mark", has_text="unet").first
    unet.click()
    expect(unet).to_have_attribute("aria-pressed", "true")
    visit.tab.mouse.move(0, 0)
    visit.tab.locator("h1").click()
    for part in ("#benchmark tr", "#speed-chart .point", "#boundary-chart .line", "#curves-chart .line"):
        lit = visit.tab.locator(f"{part}.lit")
        assert lit.count() >= 1
        assert len(set(lit.evaluate_all("(all) => all.map((it) => it.dataset.model)"))) == 1
    expect(visit.tab.locator("#curves-chart .legend [aria-pressed=true]")).to_contain_text("unet")


@in_browser
def test_a_chart_is_one_stop_of_the_tab_key(visit: Visit) -> None:
    points = visit.tab.locator(".point:visible")
    points.first.focus()
    visit.tab.keyboard.press("ArrowRight")
    expect(points.nth(1)).to_be_focused()
    visit.tab.keyboard.press("ArrowLeft")
    expect(visit.tab.locator("#speed-readout")).to_contain_text("deeplab_v3_plus: mIoU 86.0 % (84.8")
    visit.tab.keyboard.press("Tab")
    assert visit.tab.locator(".point:focus").count() == 0


@in_browser
def test_labels_in_the_chart_do_not_cover_each_other(visit: Visit) -> None:
    visit.tab.get_by_role("radio", name="both").check(force=True)
    boxes = [box for box in (it.bounding_box() for it in visit.tab.locator(".point span:visible").all()) if box]
    assert len(boxes) >= 5
    for index, a in enumerate(boxes):
        for b in boxes[:index]:
            is_apart_across = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
            assert is_apart_across or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]


@in_browser
def test_points_move_to_the_cost_that_is_chosen_and_the_front_follows(visit: Visit) -> None:
    def lefts() -> list[str]:
        return visit.tab.locator(".point:visible").evaluate_all("(all) => all.map((it) => it.style.left)")

    axis, at_latency = visit.tab.locator("#speed-chart .x-axis"), lefts()
    front = visit.tab.locator(".point.on-front:visible")
    expect(axis).to_have_text("latency, ms per image (logarithmic)")
    for cost, unit in (("parameters", "million"), ("training time", "minutes")):
        visit.tab.locator("#speed-cost").select_option(label=cost)
        expect(axis).to_have_text(f"{cost}, {unit} (logarithmic)")
        assert lefts() != at_latency
        names = front.evaluate_all("(all) => all.map((it) => it.getAttribute('aria-label'))")
        assert names and all(name.endswith(", on the Pareto front") and unit in name for name in names), names
    visit.tab.locator("#speed-cost").select_option(label="latency")
    assert lefts() == at_latency


@in_browser
def test_what_is_far_below_the_others_is_a_mark_at_the_edge_with_its_score(browser: Browser, tmp_path: Path) -> None:
    page = small_page(names=("good", "fair", "poor"))
    values = {"good": 0.8, "fair": 0.7, "poor": 0.1}
    entries = tuple(
        replace(it, scores={**it.scores, "mIoU": Interval(value, value - 0.01, value + 0.01)})
        for it in page.entries
        for value in [values[it.model]]
    )
    (tmp_path / "page.html").write_text(page_html(replace(page, entries=entries)), encoding="utf-8")
    visiting = Visit(browser, tmp_path / "page.html")
    below = visiting.tab.locator(".point.below:visible")
    assert set(below.evaluate_all("(all) => all.map((it) => it.style.top)")) == {"100%"}
    assert all(text.startswith("poor") and text.endswith("10.0 %") for text in below.all_inner_texts())
    assert below.count() == 1 and visiting.tab.locator("#speed-chart .y-tick").last.inner_text() != "0"
    visiting.tab.close()
    assert visiting.problems == []


@in_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_each_curve_has_its_name_at_its_end(browser: Browser, realistic: Path, width: int) -> None:
    visiting = Visit(browser, realistic, viewport={"width": width, "height": 900})
    for chart in ("#curves-chart", "#losses-chart"):
        names = visiting.tab.locator(f"{chart} .legend button:visible")
        assert names.count() == visiting.tab.locator(f"{chart} .line").count() == 11
        tops = sorted(box["y"] for box in (it.bounding_box() for it in names.all()) if box)
        assert all(below - above >= 14 for above, below in itertools.pairwise(tops))
    visiting.tab.close()
    assert visiting.problems == []


@in_browser
def test_trainings_are_shown_whether_or_not_a_paper_has_a_crf(browser: Browser, tmp_path: Path) -> None:
    page = small_page()
    entries = tuple(replace(entry, as_in_paper=entry.crf) for entry in page.entries)
    (tmp_path / "page.html").write_text(page_html(replace(page, entries=entries)), encoding="utf-8")
    visiting = Visit(browser, tmp_path / "page.html")
    assert visiting.rows().count() == len(page.models)
    assert visiting.tab.locator("#curves-chart .legend button:visible").count() == len(page.models)
    visiting.tab.close()
    assert visiting.problems == []


@in_browser
def test_a_link_to_a_part_stands_at_its_heading(visit: Visit) -> None:
    links = visit.tab.locator("#classes .permalink")
    expect(links.first).to_have_attribute("href", "#classes")
    expect(links.first).to_have_accessible_name("Link to this part")
    links.first.click()
    assert visit.tab.evaluate("location.hash") == "#classes"


@in_browser
def test_the_address_keeps_how_table_and_charts_are_seen(visit: Visit, browser: Browser, realistic: Path) -> None:
    head(visit, "Latency").get_by_role("button").click()
    visit.tab.get_by_role("radio", name="both").check(force=True)
    visit.tab.get_by_label("Show all intervals").check()
    visit.tab.locator("#speed-cost").select_option(label="parameters")
    visit.rows().locator(".mark", has_text="unet").first.click()
    again = Visit(browser, realistic, query=visit.tab.evaluate("location.search"))
    expect(head(again, "Latency")).to_have_attribute("aria-sort", "ascending")
    assert orders(again, "Latency") == orders(visit, "Latency")
    expect(again.tab.get_by_role("radio", name="both")).to_be_checked()
    assert again.rows().count() == 23
    expect(again.tab.get_by_label("Show all intervals")).to_be_checked()
    expect(again.tab.locator("#speed-chart .x-axis")).to_contain_text("parameters")
    expect(again.rows().locator(".mark[aria-pressed=true]").first).to_contain_text("unet")
    for control in ("off", "as published"):
        again.tab.get_by_role("radio", name=control).check(force=True)
    assert "crf" not in again.tab.evaluate("location.search"), "what every reader sees first is not written"
    again.tab.close()
    strange = Visit(browser, realistic, query="?sort=nothing-up&crf=maybe&model=none&cost=money&intervals=perhaps")
    assert strange.rows().count() == 12
    expect(strange.tab.locator("[aria-sort]")).to_contain_text("Rank")
    strange.tab.close()
    assert again.problems == strange.problems == []


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("which", ["page", "overview"])
def test_axe_finds_nothing(browser: Browser, realistic: Path, which: str, scheme: str, width: int) -> None:
    """axe-core looks for what readers with a screen reader, a keyboard or weak eyes cannot use."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    path = realistic if which == "page" else PROJECT / "reports/index.html"
    viewport = {"width": width, "height": 900}
    visiting = Visit(browser, path, viewport=viewport, color_scheme=scheme, bypass_csp=True)
    found = axe.run(visiting.tab)
    assert [(it["id"], it["nodes"][0]["html"][:200]) for it in found.response["violations"]] == []
    visiting.tab.close()


@in_browser
def test_another_entry_has_its_own_confusion_matrix(visit: Visit) -> None:
    cells = visit.tab.locator("#matrix tbody td")
    before = cells.all_inner_texts()
    visit.tab.get_by_label("Entry").select_option(label="from elsewhere")
    expect(visit.tab.locator("#confusion-label")).to_have_text("from elsewhere")
    assert cells.all_inner_texts() != before
    visit.tab.get_by_label("Entry").select_option(index=0)
    assert cells.all_inner_texts() == before


@in_browser
def test_another_entry_has_its_own_classes_in_each_group(visit: Visit) -> None:
    cells = visit.tab.locator("#group-classes tbody td")
    before = cells.all_inner_texts()
    page = realistic_page()
    best, theirs = page.best_as_published, page.entries[-1]

    def texts(entry: Entry) -> list[str]:
        return [
            percent(iou) for of_class in zip(*entry.group_class_iou, entry.class_iou, strict=True) for iou in of_class
        ]

    assert before == texts(best) and best.label == "deeplab_v3_plus"
    visit.tab.get_by_label("Show classes of").select_option(label="from elsewhere")
    expect(visit.tab.locator("#group-classes-label")).to_have_text("from elsewhere")
    assert cells.all_inner_texts() == texts(theirs)
    visit.tab.get_by_label("Show classes of").select_option(index=0)
    assert cells.all_inner_texts() == before


def show(visit: Visit, view: str, *, left: str = "", right: str = "") -> None:
    """Choose layers and a view, and wait until they are drawn."""
    visit.tab.get_by_role("radio", name=view, exact=True).check(force=True)
    for side, layer in (("left", left), ("right", right)):
        if layer:
            visit.tab.locator(f"#{side}").select_option(label=layer)
            prefix = "errors of " if view == "errors" else ""
            expect(visit.tab.locator(f"#{side}-picture")).to_have_attribute(
                "aria-label", re.compile(rf"^{re.escape(prefix + layer)} of ")
            )


def drawn(visit: Visit, canvas: str) -> NDArray[np.uint8]:
    """(H, W, 4): a canvas's pixels with their opacity."""
    found, height, width = visit.tab.locator(canvas).evaluate(
        """(canvas) => [
          [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data],
          canvas.height, canvas.width,
        ]"""
    )
    return np.array(found, np.uint8).reshape(height, width, 4)


def on_screen(visit: Visit, *, x: int, y: int) -> NDArray[np.int64]:
    """The colour in the middle of the stage's pixel."""
    box = visit.tab.locator("#stage").bounding_box()
    assert box
    factor = box["width"] / 128
    clip = {"x": box["x"] + factor * (x + 0.5), "y": box["y"] + factor * (y + 0.5), "width": 1, "height": 1}
    shot = Image.open(BytesIO(visit.tab.screenshot(clip=clip)))  # type: ignore[arg-type]
    return np.array(shot.convert("RGB").getpixel((0, 0)))


def first_image(page: Page) -> ScoredImage:
    return next(iter(page.test_images))


def entry_index(page: Page, label: str) -> int:
    return [entry.label for entry in page.entries].index(label)


@in_browser
def test_the_slider_moves_by_keyboard_and_pointer(visit: Visit) -> None:
    slider, left, right = (visit.tab.locator(name) for name in ("#wipe", "#left-picture", "#right-picture"))
    expect(slider).to_be_hidden()
    show(visit, "compare", left="truth", right="unet")
    slider.focus()
    visit.tab.keyboard.press("ArrowRight")
    expect(slider).to_have_value("51")
    expect(slider).to_have_attribute("aria-valuetext", "51 % truth")
    assert "49%" in left.evaluate("(canvas) => canvas.style.clipPath")
    assert "51%" in right.evaluate("(canvas) => canvas.style.clipPath")
    visit.tab.keyboard.press("Home")
    assert "100%" in left.evaluate("(canvas) => canvas.style.clipPath")
    expect(visit.tab.locator("#image")).to_have_value("0")
    box = visit.tab.locator("#stage").bounding_box()
    assert box
    visit.tab.locator("#stage").click(position={"x": box["width"] / 4, "y": 10})
    expect(slider).to_have_value("25")
    show(visit, "prediction", right="unet")
    expect(slider).to_be_hidden()
    expect(left).to_be_hidden()
    assert right.evaluate("(canvas) => canvas.style.clipPath") in ("", "none")


@in_browser
def test_images_are_browsed_by_arrow_keys_and_buttons(visit: Visit) -> None:
    image = visit.tab.locator("#image")
    visit.tab.locator("#stage").focus()
    visit.tab.keyboard.press("ArrowLeft")
    expect(image).to_have_value("0")
    visit.tab.keyboard.press("ArrowRight")
    visit.tab.keyboard.press("ArrowRight")
    expect(image).to_have_value("2")
    visit.tab.get_by_role("button", name="Previous image").press("Enter")
    expect(image).to_have_value("1")
    visit.tab.keyboard.press("ArrowRight")
    expect(image).to_have_value("2")
    expect(visit.tab.locator("#right-picture")).to_have_attribute("aria-label", "deeplab_v3_plus of image 2")
    image.select_option(index=59)
    visit.tab.get_by_role("button", name="Next image").press("Enter")
    expect(image).to_have_value("59")


@in_browser
def test_a_layer_is_drawn_pixel_for_pixel_and_enlarged_by_a_whole_factor(visit: Visit) -> None:
    page = realistic_page()
    first = first_image(page)
    show(visit, "compare", left="truth", right="unet + CRF")
    index = entry_index(page, "unet + CRF")
    for side, label_map in (("left", first.truth), ("right", first.predicted[index])):
        pixels = drawn(visit, f"#{side}-picture")
        assert (pixels[..., :3] == page.classes.colorize(label_map)).all() and (pixels[..., 3] == 255).all()
    box = visit.tab.locator("#stage").bounding_box()
    assert box
    assert (box["width"] % 128, box["height"] % 96) == (0, 0)
    expect(visit.tab.locator("#right-picture")).to_have_css("image-rendering", "pixelated")
    expect(visit.tab.locator("#right-score")).to_have_text(f"unet + CRF: {percent(first.mean_iou[index])} % mIoU")


@in_browser
def test_the_label_map_lies_over_the_photo_as_opaque_as_the_reader_wants(visit: Visit) -> None:
    page = realistic_page()
    first = first_image(page)
    show(visit, "prediction", right="truth")
    opacity = visit.tab.get_by_label("Opacity")
    expect(opacity).to_have_value("60")
    visit.tab.locator("#stage").scroll_into_view_if_needed()
    photo = drawn(visit, "#photo")[..., :3].astype(np.int64)
    stored = Image.open(BytesIO(base64.b64decode(photo_url(first.image).partition(",")[2])))
    assert np.abs(photo - np.asarray(stored.convert("RGB"))).mean() < 2
    x, y = 60, 40
    colour = page.classes.colorize(first.truth)[y, x].astype(np.int64)
    for share in (0.6, 1.0, 0.0):
        opacity.evaluate(
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", 100 * share
        )
        expected = share * colour + (1 - share) * photo[y - 2 : y + 3, x - 2 : x + 3].mean(axis=(0, 1))
        assert np.abs(on_screen(visit, x=x, y=y) - expected).max() <= (1 if share == 1 else 40)
    opacity.press("End")
    expect(opacity).to_have_attribute("aria-valuetext", "100 %")


@in_browser
def test_errors_are_exactly_the_pixels_whose_class_is_wrong(visit: Visit) -> None:
    page = realistic_page()
    first = first_image(page)
    show(visit, "errors", right="fcn_32s")
    predicted = first.predicted[entry_index(page, "fcn_32s")]
    pixels = drawn(visit, "#right-picture")
    is_known = first.truth != IGNORE_INDEX
    is_wrong = is_known & (predicted != first.truth)
    assert 0 < is_wrong.sum() < is_known.sum()
    assert (pixels[is_wrong] == (255, 200, 0, 255)).all()
    assert (pixels[is_known & ~is_wrong][:, 3] == 0).all()
    assert 0 < (pixels[~is_known][:, 3] == 255).sum() < (~is_known).sum(), "hatched"
    assert (pixels[~is_known & (pixels[..., 3] == 255)][:, :3] == 170).all()
    expect(visit.tab.locator("#photo")).to_have_css("filter", "grayscale(1) brightness(0.6)")
    expect(visit.tab.locator("#caption")).to_contain_text("image 0: errors of fcn_32s")
    show(visit, "errors", right="truth")
    pixels = drawn(visit, "#right-picture")
    assert (pixels[is_known][:, 3] == 0).all()


def listed_ious(visit: Visit) -> dict[str, list[str]]:
    """By class, the IoU of each layer that is shown; no class that is hidden."""
    rows = visit.tab.locator("#classes-shown li:visible").all()
    return {
        row.locator("span").inner_text(): [text for text in row.locator("b").all_inner_texts() if text] for row in rows
    }


@in_browser
def test_each_class_has_the_iou_of_both_layers_in_the_shown_image(visit: Visit) -> None:
    page = realistic_page()
    first = first_image(page)
    labels = ("pspnet", "from elsewhere")
    show(visit, "compare", left=labels[0], right=labels[1])
    ious = []
    for label in labels:
        predicted = first.predicted[entry_index(page, label)]
        scores = compute_scores(confusion_matrix(truth=first.truth, predicted=predicted, num_classes=len(page.classes)))
        ious.append([percent(iou) for iou in scores.class_iou])
    found = listed_ious(visit)
    assert found.pop("no class") == []
    assert found == dict(zip(page.classes.names, map(list, zip(*ious, strict=True)), strict=True))
    for side, label in zip(("left", "right"), labels, strict=True):
        score = percent(first.mean_iou[entry_index(page, label)])
        expect(visit.tab.locator(f"#{side}-score")).to_have_text(f"{label}: {score} % mIoU")
    show(visit, "compare", left="truth")
    assert [len(of_class) for of_class in listed_ious(visit).values()] == [1] * len(page.classes) + [0]
    expect(visit.tab.locator("#left-score")).to_have_text("")


@in_browser
def test_a_pixel_is_named_in_each_layer_by_pointer_and_by_touch(browser: Browser, realistic: Path) -> None:
    page = realistic_page()
    first = first_image(page)
    names = [*page.classes.names]
    for is_phone in (False, True):
        visiting = Visit(browser, realistic, viewport=PHONE, has_touch=is_phone, is_mobile=is_phone)
        show(visiting, "compare", left="pspnet", right="unet")
        stage = visiting.tab.locator("#stage")
        box = stage.bounding_box()
        assert box
        maps = {"truth": first.truth} | {
            label: first.predicted[entry_index(page, label)] for label in ("pspnet", "unet")
        }
        for x, y in ((127, 95), (70, 33)):
            position = {"x": box["width"] * (x + 0.5) / 128, "y": box["height"] * (y + 0.5) / 96}
            (stage.tap if is_phone else stage.hover)(position=position)  # type: ignore[arg-type]
            expected = ", ".join(f"{label}: {names[label_map[y, x]]}" for label, label_map in maps.items())
            expect(visiting.tab.locator("#pixel")).to_have_text(expected)
        show(visiting, "prediction", right="unet")
        position = {"x": 2.0, "y": 2.0}
        (stage.tap if is_phone else stage.hover)(position=position)  # type: ignore[arg-type]
        label_map = maps["unet"]
        expect(visiting.tab.locator("#pixel")).to_have_text(f"truth: no class, unet: {names[label_map[0, 0]]}")
        visiting.tab.close()
        assert visiting.problems == []


@in_browser
def test_images_are_ordered_by_the_mean_or_by_the_shown_model(visit: Visit) -> None:
    pictures = [(image.name, image.mean_iou) for image in realistic_page().test_images]
    order, image = visit.tab.locator("#order"), visit.tab.locator("#image")

    def names() -> list[str]:
        return [re.sub(r"^\d+\. |, .*$", "", text) for text in image.locator("option").all_inner_texts()]

    in_order = [name for name, _ in pictures]
    assert names() == in_order
    order.select_option("best")
    assert names() == in_order[::-1]
    expect(image).to_have_value("59")
    order.select_option("median")
    assert names()[:3] == [in_order[29], in_order[30], in_order[28]]
    show(visit, "prediction", right="fcn_8s")
    order.select_option("model")
    index = entry_index(realistic_page(), "fcn_8s")
    scores = [float(percent(scores[index])) for _, scores in pictures]
    expected = sorted(range(60), key=lambda place: scores[place])
    assert names() == [in_order[place] for place in expected]
    assert f"{scores[expected[0]]:.1f} %" in image.locator("option").first.inner_text()
    chosen = image.input_value()
    visit.tab.locator("#right").select_option(label="unet")
    expect(image).to_have_value(chosen)
    assert names() != [in_order[place] for place in expected]


@in_browser
def test_an_image_whose_label_map_may_be_wrong_says_so(visit: Visit) -> None:
    image, doubt = visit.tab.locator("#image"), visit.tab.locator("#doubt")
    flagged = [text for text in image.locator("option").all_inner_texts() if text.endswith(", check the label")]
    assert len(flagged) == 1 and "image 1," in flagged[0]
    expect(doubt).to_be_hidden()
    image.select_option("1")
    expect(doubt).to_be_visible()
    expect(doubt).to_have_text("Check the label: the models agree.")
    image.select_option("2")
    expect(doubt).to_be_hidden()


@in_browser
def test_the_address_keeps_what_is_shown(visit: Visit, browser: Browser, realistic: Path) -> None:
    assert visit.tab.evaluate("location.search") == ""
    show(visit, "compare", left="pspnet", right="unet + CRF")
    visit.tab.locator("#order").select_option("best")
    visit.tab.locator("#image").select_option("7")
    visit.tab.get_by_label("Opacity").press("ArrowRight")
    query = visit.tab.evaluate("location.search")
    again = Visit(browser, realistic, query=query)
    chosen = {"#image": "7", "#order": "best", "#opacity": "65"}
    for control, value in chosen.items():
        expect(again.tab.locator(control)).to_have_value(value)
    expect(again.tab.locator("#layer-compare")).to_be_checked()
    expect(again.tab.locator("#left-picture")).to_have_attribute("aria-label", "pspnet of image 7")
    expect(again.tab.locator("#right-picture")).to_have_attribute("aria-label", "unet + CRF of image 7")
    again.tab.close()
    assert again.problems == []


@in_browser
def test_what_an_address_names_that_is_not_there_is_ignored(browser: Browser, realistic: Path) -> None:
    query = "?image=nowhere&order=constructor&layer=all&left=no&right=net&opacity=-1e9"
    visiting = Visit(browser, realistic, query=query)
    expect(visiting.tab.locator("#right-picture")).to_have_attribute("aria-label", "deeplab_v3_plus of image 0")
    expect(visiting.tab.locator("#order")).to_have_value("worst")
    expect(visiting.tab.locator("#layer-prediction")).to_be_checked()
    expect(visiting.tab.locator("#left")).to_have_value("1")
    expect(visiting.tab.locator("#opacity")).to_have_value("60")
    visiting.tab.close()
    assert visiting.problems == []


@in_browser
def test_highlighting_a_model_shows_its_label_map(visit: Visit) -> None:
    visit.rows().locator(".mark", has_text="pspnet").first.click()
    expect(visit.tab.locator("#right-picture")).to_have_attribute("aria-label", "pspnet of image 0")
    visit.tab.locator("#right").select_option(label="pspnet + CRF")
    visit.tab.locator("#curves-chart .mark", has_text="pspnet").click()
    expect(visit.tab.locator("#right-picture")).to_have_attribute("aria-label", "pspnet + CRF of image 0")


@in_browser
@pytest.mark.parametrize("size", [(1280, 900), (1280, 720), (1920, 1080)])
def test_the_images_leave_the_table_in_sight(browser: Browser, realistic: Path, size: tuple[int, int]) -> None:
    visiting = Visit(browser, realistic, viewport={"width": size[0], "height": size[1]})
    visiting.tab.locator("#images").evaluate("(section) => section.scrollIntoView({ behavior: 'instant' })")
    box = visiting.tab.locator("#table-title").bounding_box()
    stage = visiting.tab.locator("#stage").bounding_box()
    visiting.tab.close()
    assert box and box["y"] + 20 < size[1]
    assert stage and 0.35 * size[1] < stage["height"] <= 0.7 * size[1]


@in_browser
def test_an_image_is_printed_with_its_caption_and_without_controls(visit: Visit) -> None:
    show(visit, "compare", right="unet")
    visit.tab.emulate_media(media="print")
    for control in ("#image", "#order", "#left", "#right", "#opacity", "#wipe", "#pixel", "#layer-errors"):
        expect(visit.tab.locator(control)).to_be_hidden()
    for part in ("#right-picture", "#caption", "#classes-shown"):
        expect(visit.tab.locator(part)).to_be_visible()


@in_browser
@pytest.mark.parametrize("num_classes", [1, 150])
def test_one_class_or_many_are_shown(browser: Browser, tmp_path: Path, num_classes: int) -> None:
    """Of many, those in the image. The first class is black, as Pascal VOC's is, and no class is told from it."""
    others = some_classes(num_classes)
    classes = Classes(others.names, ((0, 0, 0), *others.colors[1:]))
    page = a_page(models=("unet",), classes=classes, num_images=1, height_px=24, width_px=36)
    (only,) = page.test_images
    truth = np.zeros_like(only.truth)
    truth[:, 18:] = IGNORE_INDEX
    predicted = [np.where(np.arange(36) < 9, num_classes - 1, 0).astype(np.uint8) + truth * 0 for _ in page.entries]
    page = replace(page, test_images=[replace(only, truth=truth, predicted=tuple(predicted))])
    (tmp_path / "page.html").write_text(page_html(page), encoding="utf-8")
    visiting = Visit(browser, tmp_path / "page.html", viewport=PHONE)
    expect(visiting.tab.locator("#right-picture")).to_have_attribute("aria-label", "unet of image 0")
    found = listed_ious(visiting)
    expected = {"class 0": ["100.0"]} if num_classes == 1 else {"class 0": ["50.0"], "class 149": ["0.0"]}
    assert found == {**expected, "no class": []}
    assert visiting.tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    visiting.tab.close()
    assert visiting.problems == []


@in_browser
def test_images_of_different_sizes_are_shown_one_after_the_other(browser: Browser, tmp_path: Path) -> None:
    page = small_page()
    small, (large, *_) = list(page.test_images), small_page_images(height_px=40, width_px=30)
    page = replace(page, test_images=[small[0], replace(large, name="large", place=2)])
    (tmp_path / "page.html").write_text(page_html(page), encoding="utf-8")
    visiting = Visit(browser, tmp_path / "page.html")
    show(visiting, "compare", left="truth", right="unet")
    visiting.tab.locator("#stage").focus()
    visiting.tab.keyboard.press("ArrowRight")
    expect(visiting.tab.locator("#right-picture")).to_have_attribute("aria-label", "unet of large")
    assert (drawn(visiting, "#left-picture")[..., :3] == page.classes.colorize(large.truth)).all()
    assert drawn(visiting, "#photo").shape == (40, 30, 4)
    visiting.tab.close()
    assert visiting.problems == []


def small_page_images(*, height_px: int, width_px: int) -> list[ScoredImage]:
    page = a_page(
        models=("unet", "fcn_8s"), classes=some_classes(3), num_images=2, height_px=height_px, width_px=width_px
    )
    return list(page.test_images)


@in_browser
def test_a_phone_needs_no_sideways_scroll(browser: Browser, realistic: Path) -> None:
    visiting = Visit(browser, realistic, viewport=PHONE, has_touch=True, is_mobile=True)
    widths = visiting.tab.evaluate("[document.documentElement.scrollWidth, visualViewport.width, visualViewport.scale]")
    visiting.tab.close()
    assert widths == [390, 390, 1]
    assert visiting.problems == []


@in_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(browser: Browser, realistic: Path, scheme: str) -> None:
    visiting = Visit(browser, realistic, viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    visiting.tab.get_by_label("Show all intervals").check()
    contrast, where = visiting.tab.evaluate(LOWEST_CONTRAST)
    background = visiting.tab.evaluate("getComputedStyle(document.body).backgroundColor")
    visiting.tab.close()
    assert contrast >= 4.5, where
    assert (background == "rgb(20, 24, 26)") == (scheme == "dark")


@in_browser
def test_without_javascript_there_is_a_readable_table(browser: Browser, realistic: Path) -> None:
    visiting = Visit(browser, realistic, java_script_enabled=False)
    expect(visiting.rows()).to_have_count(12)
    expect(visiting.rows().first.locator(".interval").first).to_have_css("position", "static")
    expect(visiting.tab.locator("#viewer")).to_be_hidden()
    expect(visiting.tab.get_by_text("The images need JavaScript")).to_be_visible()
    visiting.tab.close()
    assert visiting.problems == []


@in_browser
def test_hostile_names_run_nothing_and_a_bare_page_works(browser: Browser, tmp_path: Path) -> None:
    hostile = a_page(models=(HOSTILE,), classes=some_classes(40), num_images=1, height_px=12, width_px=16)
    (tmp_path / "hostile.html").write_text(page_html(hostile), encoding="utf-8")
    only = replace(hostile.entries[1], model="only", costs=None, confusion=None, boundary_mean_iou=())
    bare = replace(hostile, entries=(only,), curves=(), findings=(), test_images=(), notes=(), boundary_shares={})
    (tmp_path / "bare.html").write_text(page_html(bare), encoding="utf-8")
    for name in ("hostile", "bare"):
        visiting = Visit(browser, tmp_path / f"{name}.html", viewport=PHONE)
        head(visiting, "mIoU").get_by_role("button").click()
        assert visiting.tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        visiting.tab.close()
        assert visiting.problems == []
