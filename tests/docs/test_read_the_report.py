"""docs/read_the_report.md explains each question, part and column of the report's page."""

import re

from segbench.report.pages.page import page_html
from segbench.report.table.columns import COLUMNS
from tests.docs import guide
from tests.parameters import PROJECT
from tests.report.sample_pages import a_page, some_classes

GUIDE = PROJECT / "docs/read_the_report.md"
FIRST_CELLS = [cell.content for cell, *_ in guide.table_rows(GUIDE)]


def test_each_part_of_the_page_is_explained_in_its_order() -> None:
    page = a_page(models=("unet", "fcn_8s"), classes=some_classes(3), num_images=2, height_px=12, width_px=16)
    headings = re.findall(r"<h2 id=[^>]*>([^<]+)</h2>", page_html(page))
    parts = headings[headings.index("Test images") :]
    assert len(parts) > 10
    assert [cell for cell in FIRST_CELLS if cell in headings] == parts


def test_each_column_of_the_table_is_explained_in_its_order() -> None:
    titles = [column.title for column in COLUMNS if "page" in column.readers]
    assert len(titles) > 15
    assert [cell for cell in FIRST_CELLS if cell in titles] == titles


def test_each_question_of_the_reports_is_explained() -> None:
    pages = [path.read_text() for path in (PROJECT / "reports").glob("*/index.html")]
    questions = {question for page in pages for question in re.findall(r"<dt>([^<]+\?)</dt>", page)}
    assert len(questions) > 5
    assert {question for question in questions if f"**{question}**" not in GUIDE.read_text()} == set()
