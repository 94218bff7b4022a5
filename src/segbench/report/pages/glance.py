"""One test image under four models, as a project's first picture. It is made from a dataset's page.

What is shown follows from rules, so that nobody chooses a pretty picture: the page's test images are sorted by their
mean mIoU over all entries, and the middle one is shown; the models go from coarse to fine, and the most accurate of
the others comes last.
"""

import json
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from segbench.errors import InputError
from segbench.files import replacing
from segbench.report.pages.overview import DatasetReport
from segbench.report.table.content import Entry

FROM_COARSE_TO_FINE = ("fcn_32s", "fcn_8s", "unet")
WIDTH_PX = 1660
"""Twice the width at which a git host shows a page, for dense screens."""
COLUMNS, GAP_PX, BAR_PX = 3, 14, 46
"""Of the grid of label maps; a bar with the name is above each."""
NAME_PX, SCORE_PX, LEGEND_PX = 32, 28, 27
"""Heights of the texts: half of them on a page."""
NO_CLASS = "no class"
INK, MUTED, PAPER, FRAME = (25, 28, 30), (90, 98, 104), (255, 255, 255), (150, 155, 160)


@dataclass(frozen=True)
class Shown:
    """A test image of the page. sheet: the truth and then each entry's label map, column by column, `rows` in each.

    scores: each entry's mIoU of this image, in per cent, as text.
    """

    name: str
    photo: Image.Image
    sheet: Image.Image
    size_px: tuple[int, int]
    rows: int
    scores: tuple[str, ...]

    def label_map(self, place: int) -> Image.Image:
        """In the classes' colours. place: on the sheet, 0 for the truth."""
        width, height = self.size_px
        left, top = place // self.rows * width, place % self.rows * height
        return self.sheet.crop((left, top, left + width, top + height))


@dataclass(frozen=True)
class PageImages:
    """What a page holds of its test images. entries: their labels; colors: of each class, by name."""

    entries: tuple[str, ...]
    colors: dict[str, tuple[int, ...]]
    pictures: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, path: Path) -> "PageImages":
        """From index.html. InputError if it has no test images in the form that this version writes."""
        text = path.read_text(encoding="utf-8")
        stored = re.search(r'<script type="application/json" id="picture-data">(.*?)</script>', text, re.DOTALL)
        select = re.search(r'<select id="left">(.*?)</select>', text, re.DOTALL)
        legend = re.findall(r'<li[^>]*><i style="background:rgb\(([\d, ]+)\)"></i>(?:<span>)?([^<]*)<', text)
        pictures = json.loads(stored[1]) if stored else []
        if not select or not legend or not pictures:
            raise InputError(f"{path}: has no test images; run dvc repro again")
        _, _, *entries = re.findall(r"<option[^>]*>(.*?)</option>", select[1])  # after the image and its truth
        colors = {unescape(name): tuple(map(int, color.split(","))) for color, name in legend}
        return cls(tuple(map(unescape, entries)), colors, tuple(pictures))

    def middle(self) -> Shown:
        """The middle test image of those in the page, which has them by their mean mIoU; of two, the harder one."""
        picture = self.pictures[(len(self.pictures) - 1) // 2]
        return Shown(
            name=picture["name"],
            photo=_decoded(picture["photo"]),
            sheet=_decoded(picture["sheet"]),
            size_px=(picture["width"], picture["height"]),
            rows=picture["rows"],
            scores=tuple(picture["scores"]),
        )


def chosen_entries(report: DatasetReport) -> list[Entry]:
    """Four models as published: three from coarse to fine, and the most accurate of the others.

    InputError if the benchmark lacks one of them.
    """
    entries = report.published
    missing = [model for model in FROM_COARSE_TO_FINE if model not in entries]
    others = [entry for model, entry in entries.items() if model not in FROM_COARSE_TO_FINE]
    if missing or not others:
        what = missing[0] if missing else f"a model beside {', '.join(FROM_COARSE_TO_FINE)}"
        raise InputError(f"{report.name}: the benchmark has no {what}, which the picture at a glance shows")
    best = max(others, key=lambda entry: entry.mean_iou.value)
    return [*(entries[model] for model in FROM_COARSE_TO_FINE), best]


def write_glance(folder: Path) -> list[str]:
    """Write glance.png into a dataset's reports; Markdown lines that show and explain it. InputError as above."""
    report, page = DatasetReport.read(folder), PageImages.read(folder / "index.html")
    shown, labels = page.middle(), [entry.label for entry in chosen_entries(report)]
    if unknown := [label for label in labels if label not in page.entries]:
        raise InputError(f"{folder / 'index.html'}: has no label maps of {unknown[0]}; run dvc repro again")
    places = [page.entries.index(label) for label in labels]
    tiles = [("photo", "", shown.photo), ("truth", "", shown.label_map(0))]
    tiles += [
        (label, f"mIoU {shown.scores[place]} %", shown.label_map(place + 1))
        for label, place in zip(labels, places, strict=True)
    ]
    in_truth = {color for _, color in shown.label_map(0).getcolors() or ()}
    legend = page.colors if in_truth <= {*page.colors.values()} else {**page.colors, NO_CLASS: (0, 0, 0)}
    picture = _drawn(tiles, legend).quantize(256, dither=Image.Dither.NONE)
    with replacing(folder / "glance.png") as temporary:
        picture.save(temporary, format="PNG", optimize=True)
    *first, third, last = labels
    page_path, picture_path = ((folder / name).as_posix() for name in ("index.html", "glance.png"))
    return [
        f"![one test image, its true classes, and the label maps of {', '.join((*first, third))} and {last}]"
        f"({picture_path})",
        "",
        f"A test image of {report.name}, its true classes, and what four models see; mIoU is of this image alone. "
        f"It is the middle one of the {len(page.pictures)} test images that [the page]({page_path}) shows, ordered by "
        f"the models' mean mIoU. {', '.join(first)} and {third} go from coarse to fine; {last} is the most accurate of "
        "the other models. Label maps are of each model's first training.",
    ]


def _drawn(tiles: Sequence[tuple[str, str, Image.Image]], colors: dict[str, tuple[int, ...]]) -> Image.Image:
    """The tiles in a grid, each below its name and score, and at the bottom the classes' colours."""
    width = (WIDTH_PX - (COLUMNS - 1) * GAP_PX) // COLUMNS
    height = round(width * tiles[0][2].height / tiles[0][2].width)
    grid_rows = -(-len(tiles) // COLUMNS)
    legend = _legend(colors)
    below_px = grid_rows * (BAR_PX + height + GAP_PX)
    canvas = Image.new("RGB", (WIDTH_PX, below_px + legend.height), PAPER)
    draw = ImageDraw.Draw(canvas)
    for index, (name, score, picture) in enumerate(tiles):
        left, top = index % COLUMNS * (width + GAP_PX), index // COLUMNS * (BAR_PX + height + GAP_PX)
        base = top + BAR_PX - 10
        draw.text((left, base), name, fill=INK, font=ImageFont.load_default(NAME_PX), anchor="ls")
        draw.text((left + width, base), score, fill=MUTED, font=ImageFont.load_default(SCORE_PX), anchor="rs")
        is_photo = index == 0
        method = Image.Resampling.LANCZOS if is_photo else Image.Resampling.NEAREST
        canvas.paste(picture.resize((width, height), method), (left, top + BAR_PX))
    canvas.paste(legend, (0, below_px))
    return canvas


def _legend(colors: dict[str, tuple[int, ...]]) -> Image.Image:
    """Each class's colour and name, in as many lines as they take."""
    font = ImageFont.load_default(LEGEND_PX)
    line_px, box_px = LEGEND_PX + 18, LEGEND_PX - 4
    places: list[tuple[float, int, str]] = []
    left, line = 0.0, 0
    for name in colors:
        taken = box_px + 8 + font.getlength(name) + 22
        if left + taken - 22 > WIDTH_PX and left > 0:
            left, line = 0.0, line + 1
        places.append((left, line, name))
        left += taken
    canvas = Image.new("RGB", (WIDTH_PX, (line + 1) * line_px), PAPER)
    draw = ImageDraw.Draw(canvas)
    for x, row, name in places:
        top = row * line_px + 8
        draw.rectangle((x, top, x + box_px, top + box_px), fill=colors[name], outline=FRAME)
        draw.text((x + box_px + 8, top + box_px), name, fill=INK, font=font, anchor="ls")
    return canvas


def _decoded(url: str) -> Image.Image:
    """Of a data URL."""
    return Image.open(BytesIO(b64decode(url.partition(",")[2]))).convert("RGB")
