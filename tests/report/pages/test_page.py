"""The page: its structure and size without a browser, and what a person does with it in headless Chromium."""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from math import nan
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Route, expect, sync_playwright
from playwright.sync_api import Page as Tab

from segbench.labels import Classes
from segbench.report.pages.page import MAX_BYTES, page_html
from segbench.report.table.claims import Finding
from segbench.report.table.content import Answer, Entry, Page, ScoredImage
from segbench.report.table.numbers import percent
from segbench.scoring.intervals import Interval
from segbench.sources import source_digests
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
        "table", "classes", "differences", "groups", "speed", "confusion", "boundary", "curves", "claims", "images",
        "protocol", "about",
    ]  # fmt: skip
    assert len(set(structure.ids)) == len(structure.ids)
    assert [link for link in structure.references if link.startswith("#")] == ["#table", *(f"#{it}" for it in parts)]
    assert set(parts) | set(structure.targets) <= set(structure.ids)
    assert "60 of 60 test images, worst first. By the mean of all entries." in structure.text
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
    assert "95 % interval [-6.0, -2.0]; of all comparisons at once [-7.0, -1.0]" in gaps["fcn_8s"][0][0]
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


def test_a_large_page_takes_the_images_that_fit_and_reads_no_more() -> None:
    page = large_page()
    drawn: list[str] = []

    def counted(test_images: Iterable[ScoredImage]) -> Iterator[ScoredImage]:
        for test_image in test_images:
            drawn.append(test_image.name)
            yield test_image

    html = page_html(replace(page, test_images=counted(page.test_images)))
    assert len(html.encode()) <= MAX_BYTES
    shown = len(json.loads(Structure(html).data["picture-data"]))
    assert 3 <= shown < page.num_images
    assert f"{shown} of 60 test images" in html
    assert len(drawn) == shown + 1


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
    curves = tuple(replace(curve, mean_iou=(nan,) * 4) for curve in page.curves)
    html = page_html(replace(page, entries=(first, *others), curves=curves, test_images=test_images))
    assert not re.search(r"\b(nan|none)\b(?! of)", Structure(html).text.lower().replace("backbone none", ""))
    assert json.loads(Structure(html).data["picture-data"])[0]["scores"] == ["\N{EN DASH}"] * 4
    assert 'id="curves"' not in html


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
    "of the same kind, and after trainings with other seeds.", "by epoch, of the first seed of each model.",
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
    assert "Entries without a known latency or score are left out." in text_of(realistic_page())
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
    assert "1 of 1 test image. By the mean" in text_of(a_page_of_one_image())
    assert "2 of 2 test images, worst first. By the mean" in text_of(small_page())


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

    def __init__(self, browser: Browser, path: Path, **options: object) -> None:
        self.problems: list[str] = []
        self.tab: Tab = browser.new_page(**options)  # type: ignore[arg-type]
        self.tab.set_default_timeout(30_000)
        self.tab.on("console", lambda message: self.problems.append(message.text))
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        own = path.as_uri()
        self.tab.route(lambda url: url != own, self._refuse)
        self.tab.goto(own)

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
    expect(visit.tab.locator(".point:not([data-label])")).to_have_count(0)
    boxes = [box for box in (it.bounding_box() for it in visit.tab.locator(".point span:visible").all()) if box]
    assert len(boxes) >= 5
    for index, a in enumerate(boxes):
        for b in boxes[:index]:
            is_apart_across = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
            assert is_apart_across or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]


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


@in_browser
def test_the_slider_moves_by_keyboard_and_pointer(visit: Visit) -> None:
    slider, left = visit.tab.locator("#wipe"), visit.tab.locator("#left-picture")
    slider.focus()
    visit.tab.keyboard.press("ArrowRight")
    expect(slider).to_have_value("51")
    expect(slider).to_have_attribute("aria-valuetext", "51 % truth")
    assert "49%" in left.evaluate("(canvas) => canvas.style.clipPath")
    visit.tab.keyboard.press("Home")
    assert "100%" in left.evaluate("(canvas) => canvas.style.clipPath")
    expect(visit.tab.locator("#image")).to_have_value("0")
    box = visit.tab.locator("#stage").bounding_box()
    assert box
    visit.tab.locator("#stage").click(position={"x": box["width"] / 4, "y": 10})
    expect(slider).to_have_value("25")


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
    expect(visit.tab.locator("#left-picture")).to_have_attribute("aria-label", "truth of image 2")
    image.select_option(index=59)
    visit.tab.get_by_role("button", name="Next image").press("Enter")
    expect(image).to_have_value("59")


@in_browser
def test_a_layer_is_drawn_pixel_for_pixel_and_enlarged_by_a_whole_factor(visit: Visit) -> None:
    page = realistic_page()
    first = next(iter(page.test_images))
    visit.tab.locator("#right").select_option(label="unet + CRF")
    expect(visit.tab.locator("#left-picture")).to_have_attribute("aria-label", "truth of image 0")
    expect(visit.tab.locator("#right-picture")).to_have_attribute("aria-label", "unet + CRF of image 0")
    index = [entry.label for entry in page.entries].index("unet + CRF")
    for side, label_map in (("left", first.truth), ("right", first.predicted[index])):
        drawn = visit.tab.locator(f"#{side}-picture").evaluate(
            "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        )
        assert (np.array(drawn).reshape(96, 128, 4)[..., :3] == page.classes.colorize(label_map)).all()
    box = visit.tab.locator("#stage").bounding_box()
    assert box
    assert (box["width"] % 128, box["height"] % 96) == (0, 0)
    expect(visit.tab.locator("#right-picture")).to_have_css("image-rendering", "pixelated")
    assert f"{100 * (first.mean_iou[index] or 0):.1f} %" in visit.tab.locator("#right-score").inner_text()


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
