"""Scenes: small painted streets, harbours and quays with exact label maps, the dataset that needs no download.

Each difficulty stands for one problem of the field:
context   a car and a boat look the same; only the road or the water around tells which it is;
colour    does not suffice: water mirrors the sky, roads and facades share greys, facades come in many colours;
detail    poles are two to four pixels wide, signs nine to fourteen;
edges     are soft and lie where colours change, so that a dense CRF can sharpen a coarse prediction;
void      pixels that several classes share have no label, as along the contours of Pascal VOC.

The same seed gives the same bytes: computations in floating point use only + - * / and square roots, which all
machines round alike.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from segbench.datasets.source import SPLITS, Example, Source
from segbench.labels import IGNORE_INDEX, Classes, LabelMap

IMAGE_LICENCE = "MIT, as segbench, which draws them"

CLASSES = Classes.of([
    ("sky", (142, 202, 240)), ("building", (190, 108, 74)), ("tree", (70, 150, 62)), ("road", (134, 112, 148)),
    ("water", (24, 74, 166)), ("car", (220, 40, 60)), ("boat", (255, 150, 30)), ("pole", (225, 225, 225)),
    ("sign", (250, 225, 60)),
])  # fmt: skip
SKY, BUILDING, TREE, ROAD, WATER, CAR, BOAT, POLE, SIGN = range(len(CLASSES))

MIN_SIDE_PX = 32
SUPERSAMPLING = 4
MIN_COVERAGE = 0.7
"""A pixel is labelled if one class covers at least this share of it. The other pixels form the void contour."""
MIN_POLE_PX = 1.25
"""At this width, some column of pixels is always covered by 0.75 or more, so that each pole keeps its label."""
REFERENCE_AREA_PX = 128 * 96
GRAIN = np.ones(256)
"""Strength of the surface grain, by label."""
GRAIN[[BUILDING, ROAD, TREE]] = 2, 3, 3

Item = TypeVar("Item")
Point = tuple[float, float]
Color = tuple[int, ...]
"""Red, green, blue and perhaps opacity, before the light tints them; values above 255 stay bright at dusk."""

GREYS: list[Color] = [(104, 106, 112), (124, 124, 126), (142, 140, 138), (162, 158, 152)]
FACADES: list[Color] = [
    *GREYS, (168, 78, 62), (150, 92, 70), (216, 170, 96), (232, 224, 206), (236, 196, 170), (112, 138, 164),
    (138, 160, 140), (196, 112, 84),
]  # fmt: skip
ROOFS: list[Color] = [(92, 62, 58), (84, 86, 98), (122, 66, 52), (70, 74, 84)]
GREENS: list[Color] = [(52, 88, 48), (70, 112, 56), (92, 128, 58), (112, 124, 56), (60, 104, 74)]
METALS: list[Color] = [(46, 48, 56), (72, 70, 74), (204, 202, 194), (110, 70, 46)]
WHITE, GLASS, LAMP, SHADOW = (238, 236, 230), (56, 70, 92), (380, 300, 160), (10, 14, 30, 90)
PAINTS: list[Color] = [
    WHITE, (206, 48, 44), (38, 88, 166), (240, 190, 60), (40, 134, 132), (86, 90, 98), (226, 116, 44),
]  # fmt: skip


@dataclass(frozen=True)
class Light:
    """A time of day: colours of the sky, tint of all shapes, haze (0 to 1), and the share of lit windows."""

    zenith: Color
    horizon: Color
    cloud: Color
    tint: tuple[float, float, float]
    haze: float
    lit_windows: float


LIGHTS = [
    Light((84, 146, 216), (198, 224, 238), (252, 252, 252), (1.0, 1.0, 1.0), 0.15, 0.0),  # noon
    Light((146, 160, 174), (208, 212, 214), (226, 228, 230), (0.90, 0.93, 0.96), 0.30, 0.1),  # overcast
    Light((122, 168, 208), (252, 220, 182), (255, 238, 220), (1.05, 1.0, 0.92), 0.22, 0.0),  # morning
    Light((96, 98, 158), (252, 172, 116), (244, 158, 138), (1.0, 0.86, 0.80), 0.15, 0.25),  # sunset
    Light((46, 60, 112), (190, 138, 158), (118, 104, 150), (0.66, 0.67, 0.84), 0.15, 0.55),  # dusk
]


class Canvas:
    """A picture and its class map, drawn together at SUPERSAMPLING times their size, in one light.

    Lengths are in units: 1 unit is 1 px of a 128 x 96 px picture, and grows with the square root of the area.
    """

    def __init__(self, *, width_px: int, height_px: int, light: Light) -> None:
        size = (width_px * SUPERSAMPLING, height_px * SUPERSAMPLING)
        self.light = light
        self.unit_px = math.sqrt(width_px * height_px / REFERENCE_AREA_PX)
        self.width, self.height = width_px / self.unit_px, height_px / self.unit_px
        self.picture, self.class_map = Image.new("RGB", size), Image.new("L", size, SKY)
        self._picture_draw, self._class_draw = ImageDraw.Draw(self.picture, "RGBA"), ImageDraw.Draw(self.class_map)

    def fine(self, length: float) -> int:
        """A length in units -> supersampled pixels."""
        return round(length * self.unit_px * SUPERSAMPLING)

    def _layers(self, color: Color, label: int | None) -> list[tuple[ImageDraw.ImageDraw, Color | int]]:
        """The images in which to fill a shape, and the fill of each. Without a label, the class map stays as it is."""
        tinted = (*(min(255, round(c * t)) for c, t in zip(color, self.light.tint, strict=False)), *color[3:])
        picture: tuple[ImageDraw.ImageDraw, Color | int] = (self._picture_draw, tinted)
        return [picture] if label is None else [picture, (self._class_draw, label)]

    def polygon(self, points: Iterable[Point], color: Color, label: int | None = None) -> None:
        """Fill a polygon."""
        corners = [(self.fine(x), self.fine(y)) for x, y in points]
        for draw, fill in self._layers(color, label):
            draw.polygon(corners, fill)

    def box(self, top_left: Point, bottom_right: Point, color: Color, label: int | None = None) -> None:
        """Fill a rectangle, at least one supersampled pixel wide and high."""
        (left, top), (right, bottom) = top_left, bottom_right
        x, y = self.fine(left), self.fine(top)
        corners = (x, y, max(x, self.fine(right) - 1), max(y, self.fine(bottom) - 1))
        for draw, fill in self._layers(color, label):
            draw.rectangle(corners, fill)

    def disc(self, center: Point, radius: float, color: Color, label: int | None = None, flat: float = 1.0) -> None:
        """Fill an ellipse of half width `radius` and half height `radius * flat`."""
        (x, y), tall = center, radius * flat
        corners = (self.fine(x - radius), self.fine(y - tall), self.fine(x + radius), self.fine(y + tall))
        for draw, fill in self._layers(color, label):
            draw.ellipse(corners, fill)

    def above(self, horizon: float) -> Image.Image:
        """A copy of the picture above the horizon."""
        return self.picture.crop((0, 0, self.picture.width, self.fine(horizon)))

    def add_haze(self, *, horizon: float) -> None:
        """Blend all but the sky with the sky's lowest colour, so that everything drawn so far looks distant."""
        strength = [0 if label == SKY else round(self.light.haze * 255) for label in range(256)]
        backdrop = self.class_map.crop((0, 0, self.picture.width, self.fine(horizon)))
        self.picture.paste(self.light.horizon, (0, 0), backdrop.point(strength))


def _pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    return items[int(rng.integers(len(items)))]


def _shade(color: Color, factor: float) -> Color:
    return tuple(min(255, round(c * factor)) for c in color)


def _paint_sky(canvas: Canvas, rng: np.random.Generator, *, horizon: float, sun: Point) -> None:
    """A gradient, the sun and soft clouds above the horizon. Water will mirror them."""
    light, size = canvas.light, (canvas.picture.width, canvas.fine(horizon))
    depth = (np.arange(size[1]) / size[1])[:, None, None]
    gradient = np.array(light.zenith) * (1 - depth) + np.array(light.horizon) * depth
    canvas.picture.paste(Image.fromarray(gradient.astype(np.uint8)).resize(size, Image.Resampling.NEAREST))
    canvas.disc(sun, 4.0, (255, 250, 226, 190))
    coarse, fine = (
        Image.fromarray(rng.integers(0, 256, cells, np.uint8)).resize((128, 48), Image.Resampling.BICUBIC)
        for cells in ((3, 4), (8, 10))
    )
    noise = np.asarray(coarse) * 0.65 + np.asarray(fine) * 0.35
    opacity = np.clip((noise - rng.uniform(110, 160)) * 4, 0, 225).astype(np.uint8)
    clouds = Image.fromarray(opacity).resize(size, Image.Resampling.BILINEAR)
    canvas.picture.paste(_shade(light.cloud, 0.86), (0, canvas.fine(2)), clouds)  # their shaded undersides
    canvas.picture.paste(light.cloud, (0, 0), clouds)


def _paint_building(canvas: Canvas, rng: np.random.Generator, *, corner: Point, width: float, height: float) -> None:
    """A facade in one of many colours, with a roof, windows, a door, a shaded side and perhaps an awning."""
    facade, (left, base) = _pick(rng, FACADES), corner
    right, top = left + width, base - height
    if rng.random() < 0.6:
        ridge, peak = rng.uniform(0.0, 0.35) * width, top - rng.uniform(0.15, 0.5) * width
        eaves = [(right + 0.8, top), (left - 0.8, top)]
        canvas.polygon([*eaves, (left + ridge, peak), (right - ridge, peak)], _pick(rng, ROOFS), BUILDING)
    canvas.box((left, top), (right, base), facade, BUILDING)
    canvas.box((left, top), (right, top + 1.2), _shade(facade, 0.8))
    canvas.box((right - width * 0.16, top), (right, base), (20, 20, 40, 45))
    pane_width, pane_height, pitch = rng.uniform(1.6, 2.4), rng.uniform(2.2, 3.0), rng.uniform(4.2, 5.4)
    columns, rows = max(1, int((width - 2) / pitch)), max(1, int((height - 6) / (pitch + 0.8)))
    margin = (width - (columns - 1) * pitch - pane_width) / 2
    for index, draw in enumerate(rng.random(rows * columns)):
        x, y = left + margin + index % columns * pitch, top + 2.8 + index // columns * (pitch + 0.8)
        sill = y + pane_height
        canvas.box((x, y), (x + pane_width, sill), LAMP if draw < canvas.light.lit_windows else GLASS)
        canvas.box((x - 0.3, sill), (x + pane_width + 0.3, sill + 0.5), _shade(facade, 1.2))
    door = left + width * rng.uniform(0.2, 0.7)
    canvas.box((door, base - 4.5), (door + 2.6, base), _shade(_pick(rng, PAINTS), 0.55))
    if rng.random() < 0.5:
        canvas.box((left + 1, base - 6), (right - 1, base - 4.8), _pick(rng, PAINTS))


def _paint_tree(canvas: Canvas, rng: np.random.Generator, *, foot: Point, height: float) -> None:
    """A trunk and a crown of leaf blobs, dark below and light above."""
    green, radius, (x, base) = _pick(rng, GREENS), height * rng.uniform(0.28, 0.38), foot
    canvas.box((x - height * 0.035, base - height * 0.5), (x + height * 0.035, base), (92, 72, 56), TREE)
    canvas.disc((x, base - height + radius), radius * 0.85, _shade(green, 0.75), TREE)
    for rise in np.arange(22) / 21:
        blob_x = x + radius * rng.uniform(-0.85, 0.85) * (1.1 - 0.6 * rise)
        blob_y = base - height + radius * (1.75 - 1.6 * rise + rng.uniform(-0.15, 0.15))
        canvas.disc((blob_x, blob_y), radius * rng.uniform(0.22, 0.4), _shade(green, 0.72 + 0.6 * rise), TREE)


def _paint_skyline(canvas: Canvas, rng: np.random.Generator, *, horizon: float) -> None:
    """Hills in the haze, then a row of buildings, trees and gaps."""
    ridge = [(float(x), horizon * rng.uniform(0.7, 0.95)) for x in np.linspace(0, canvas.width, 9)]
    canvas.polygon([(0, horizon), *ridge, (canvas.width, horizon)], (84, 112, 84), TREE)
    canvas.add_haze(horizon=horizon)
    town, x = rng.uniform(0.3, 0.85), rng.uniform(-8, 0)
    while x < canvas.width:
        if rng.random() < town:
            width, height = rng.uniform(11, 24), horizon * rng.uniform(0.3, 0.8)
            _paint_building(canvas, rng, corner=(x, horizon), width=width, height=height)
            x += width + _pick(rng, [0, 0, 1, 4])
        else:
            x += rng.uniform(4, 8)
            _paint_tree(canvas, rng, foot=(x, horizon), height=horizon * rng.uniform(0.35, 0.75))
            x += rng.uniform(2, 9)
    canvas.add_haze(horizon=horizon)


def _paint_water(canvas: Canvas, rng: np.random.Generator, *, above: Image.Image, top: float, bottom: float,
                 sun: Point) -> None:  # fmt: skip
    """The picture above the horizon, upside down and broken by waves, with ripples: water has no colour of its own."""
    canvas.box((0, top), (canvas.width, bottom), SHADOW, WATER)
    rows, columns = canvas.fine(bottom) - canvas.fine(top), canvas.picture.width
    depth = np.arange(rows) / rows
    source = ((1 - depth * 0.98) * (above.height - 1)).astype(np.int64)
    wave = np.repeat(rng.uniform(-1, 1, rows // 3 + 1), 3)[:rows] * (0.3 + 1.6 * depth) * canvas.fine(1)
    shifted = np.clip(np.arange(columns) + wave.astype(np.int64)[:, None], 0, columns - 1)
    canvas.picture.paste(Image.fromarray(np.asarray(above)[source[:, None], shifted]), (0, canvas.fine(top)))
    for near in rng.random(int(canvas.width * (bottom - top) / 50)):
        glitter, length = rng.random() < 0.5, rng.uniform(3, 8) * (0.6 + near)
        x = sun[0] + rng.uniform(-14, 14) * (0.4 + near) if glitter else rng.uniform(0, canvas.width)
        y, color = top + (bottom - top - 1) * near, (255, 250, 235, 110) if glitter else (16, 34, 70, 70)
        canvas.box((x - length / 2, y), (x + length / 2, y + 0.35 + 0.5 * near), color)


def _paint_road(canvas: Canvas, rng: np.random.Generator, *, top: float, bottom: float) -> None:
    """Asphalt in a grey that facades have too, with kerb, stains, lane marks and perhaps a zebra crossing."""
    grey, height, mark = _pick(rng, GREYS), bottom - top, (236, 232, 214, 230)
    kerb = top + height * 0.12
    canvas.box((0, top), (canvas.width, bottom), grey, ROAD)
    canvas.box((0, top), (canvas.width, kerb), _shade(grey, 1.25))
    canvas.box((0, kerb), (canvas.width, kerb + 0.8), _shade(grey, 0.7))
    canvas.box((0, bottom - 1.2), (canvas.width, bottom), _shade(grey, 0.6))
    for stain in [(0, 0, 0, 28), (255, 255, 255, 20), (0, 0, 0, 28)]:
        center = (rng.uniform(0, canvas.width), top + height * rng.uniform(0.25, 0.9))
        canvas.disc(center, rng.uniform(5, 16), stain, flat=0.2)
    dash, lane = rng.uniform(7, 12), top + height * rng.uniform(0.45, 0.7)
    bars = [(float(x), lane, dash) for x in np.arange(-rng.uniform(0, 2 * dash), canvas.width, 2 * dash)]
    if rng.random() < 0.4:
        x = rng.uniform(0, canvas.width)
        bars = [bar for bar in bars if not x - dash < bar[0] < x + 9]
        bars += [(x - 0.3 * (y - kerb), float(y), 8.0) for y in np.arange(kerb + 2, bottom, 4)]
    for x, y, length in bars:
        canvas.polygon([(x + 0.8, y), (x + length + 0.8, y), (x + length, y + 1.5), (x, y + 1.5)], mark)


def _paint_vehicle(canvas: Canvas, rng: np.random.Generator, *, label: int, foot: Point, length: float) -> None:
    """One shape for cars on roads and boats on water: hull and cabin, without wheels or a wake."""
    paint, facing = _pick(rng, PAINTS), _pick(rng, [-1, 1])
    cabin_left, cabin_width, cabin_height = rng.uniform(0.08, 0.22), rng.uniform(0.42, 0.6), rng.uniform(0.15, 0.22)

    def hull(*points: Point) -> list[Point]:
        return [(foot[0] + facing * length * (u - 0.5), foot[1] - length * 0.2 * v) for u, v in points]

    def cabin(*points: Point) -> list[Point]:
        return hull(*((cabin_left + cabin_width * u, 0.95 + cabin_height / 0.2 * v) for u, v in points))

    canvas.disc(foot, length * 0.5, SHADOW, flat=0.09)
    canvas.polygon(cabin((0, 0), (0.08, 1), (0.74, 1), (1, 0)), _pick(rng, [paint, WHITE, _shade(paint, 0.8)]), label)
    canvas.polygon(cabin((0.1, 0.1), (0.14, 0.8), (0.38, 0.8), (0.38, 0.1)), GLASS)
    canvas.polygon(cabin((0.46, 0.1), (0.46, 0.8), (0.7, 0.8), (0.88, 0.1)), GLASS)
    canvas.polygon(cabin((0.46, 0.45), (0.46, 0.8), (0.62, 0.8)), (150, 174, 196))
    outline = hull((0.07, 0), (0.02, 0.6), (0, 1.05), (0.75, 1), (1, 1.04), (0.96, 0.5), (0.9, 0))
    canvas.polygon(outline, paint, label)
    canvas.polygon(hull((0.07, 0), (0.04, 0.25), (0.93, 0.25), (0.9, 0)), _shade(paint, 0.5))
    canvas.polygon(hull((0.01, 0.85), (0, 1.05), (0.75, 1), (1, 1.04), (0.98, 0.82), (0.75, 0.8)), _shade(paint, 1.3))
    canvas.disc(hull((0.93, 0.7))[0], length * 0.025, LAMP)


def _paint_pole(canvas: Canvas, rng: np.random.Generator, *, is_lamp: bool, foot: Point, height: float) -> None:
    """A thin post with a small sign, or else with a street lamp on a road and a cap on water."""
    metal, width, (left, base) = _pick(rng, METALS), rng.uniform(2.2, 4.2), foot
    width = max(width, MIN_POLE_PX / canvas.unit_px)
    x, top = left + width / 2, base - height
    canvas.disc((x, base), width, SHADOW, flat=0.4)
    canvas.box((left, top), (left + width, base), metal, POLE)
    if rng.random() < 0.65:
        paint, radius, y = _pick(rng, PAINTS), rng.uniform(4.5, 7.0), top + rng.uniform(0, 3)
        match int(rng.integers(3)):
            case 0:
                canvas.disc((x, y), radius, _pick(rng, PAINTS), SIGN)
                canvas.disc((x, y), radius * 0.62, paint)
            case 1:
                canvas.box((x - radius, y - radius * 0.8), (x + radius, y + radius * 0.8), paint, SIGN)
                canvas.box((x - radius * 0.6, y - 0.5), (x + radius * 0.6, y + 0.5), WHITE)
            case _:
                canvas.polygon([(x, y - radius), (x + radius, y + radius), (x - radius, y + radius)], paint, SIGN)
    elif is_lamp:
        arm = _pick(rng, [-8, 8])
        canvas.box((min(x, x + arm), top), (max(x, x + arm), top + width), metal, POLE)
        canvas.disc((x + arm, top + width), 2.4, LAMP, POLE, flat=0.7)
    else:
        canvas.box((left - 0.5, top - 1), (left + width + 0.5, top + 1), _shade(metal, 1.4), POLE)


def _label_map(class_map: Image.Image) -> LabelMap:
    """Supersampled class map -> (H, W) class that covers most, IGNORE_INDEX if that is less than MIN_COVERAGE."""
    fine, side = np.asarray(class_map), SUPERSAMPLING
    height, width = fine.shape[0] // side, fine.shape[1] // side
    cells = np.arange(height * width).reshape(height, 1, width, 1) * len(CLASSES)
    keys = (fine.reshape(height, side, width, side) + cells).ravel()
    coverage = np.bincount(keys, minlength=height * width * len(CLASSES)).reshape(height, width, len(CLASSES))
    is_void = coverage.max(axis=2) < MIN_COVERAGE * side * side
    return np.where(is_void, IGNORE_INDEX, coverage.argmax(axis=2)).astype(np.uint8)


def _expose(canvas: Canvas, rng: np.random.Generator, *, label_map: LabelMap, sun: Point) -> NDArray[np.uint8]:
    """Supersampled picture -> (H, W, 3) uint8 image with grain, soft edges, the sun's glow and sensor noise."""
    picture = np.asarray(canvas.picture.reduce(SUPERSAMPLING)).astype(np.float64)
    height, width, _ = picture.shape
    picture += (rng.integers(-3, 4, (2, height, width), np.int8).sum(axis=0) * GRAIN[label_map])[:, :, None]
    for axis in (0, 1):  # binomial blur, 1 2 1
        picture = np.pad(picture, [(1, 1) if axis == a else (0, 0) for a in range(3)], mode="edge")
        before, here, after = (picture.take(range(i, picture.shape[axis] - 2 + i), axis) for i in range(3))
        picture = (before + 2 * here + after) / 4
    x, y = np.arange(width) / canvas.unit_px - sun[0], np.arange(height)[:, None] / canvas.unit_px - sun[1]
    glow = ((0.5 - canvas.light.haze) / (1 + (x * x + y * y) / 260))[:, :, None]
    picture = picture * (1 - glow) + (np.array(canvas.light.horizon) / 2 + 120) * glow
    noisy = picture + rng.integers(-2, 3, (3, height, width, 3), np.int8).sum(axis=0)
    exposed: NDArray[np.uint8] = np.clip(np.round(noisy, 3), 0, 255).astype(np.uint8)
    return exposed


def draw_scene(*, rng: np.random.Generator, width_px: int, height_px: int) -> tuple[NDArray[np.uint8], LabelMap]:
    """Draw one scene: a street, a waterfront, or a quay with the water before or behind the road.

    Returns a (height_px, width_px, 3) uint8 RGB image and its (height_px, width_px) label map, IGNORE_INDEX where
    classes share a pixel. Raises ValueError for a side below MIN_SIDE_PX.
    """
    if min(width_px, height_px) < MIN_SIDE_PX:
        raise ValueError(f"scene of {width_px} x {height_px} px; both sides must be at least {MIN_SIDE_PX} px")
    canvas = Canvas(width_px=width_px, height_px=height_px, light=_pick(rng, LIGHTS))
    width, height = canvas.width, canvas.height
    horizon = height * rng.uniform(0.36, 0.52)
    shore = horizon + (height - horizon) * rng.uniform(0.42, 0.58)
    sun = (width * rng.uniform(0.1, 0.9), horizon * rng.uniform(0.2, 0.9))
    _paint_sky(canvas, rng, horizon=horizon, sun=sun)
    sky = canvas.above(horizon)
    _paint_skyline(canvas, rng, horizon=horizon)
    above = Image.composite(canvas.above(horizon), sky, Image.new("L", sky.size, int(rng.integers(60, 140))))

    far, near = _pick(rng, [(ROAD, ROAD), (WATER, WATER), (ROAD, WATER), (WATER, ROAD)])
    bands = [(far, horizon, height)] if far == near else [(far, horizon, shore), (near, shore, height)]
    things: list[tuple[float, float, int, bool]] = []
    for ground, top, bottom in bands:
        if ground == WATER:
            _paint_water(canvas, rng, above=above, top=top, bottom=bottom, sun=sun)
        else:
            _paint_road(canvas, rng, top=top, bottom=bottom)
        count = 4 // len(bands)
        for is_vehicle in (True, False):
            for slot, column in enumerate(rng.permutation(count)):
                base = top + (bottom - top) * (0.25 + 0.72 * (slot + rng.random()) / count)
                things.append((base, width * (column + rng.random()) / count, ground, is_vehicle))
    for base, x, ground, is_vehicle in sorted(things):  # the nearest last, so that it hides the others
        nearness = (base - horizon) / (height - horizon)
        if is_vehicle:
            length = (22 + 30 * nearness) * rng.uniform(0.8, 1.15)
            _paint_vehicle(canvas, rng, label=CAR if ground == ROAD else BOAT, foot=(x, base), length=length)
        else:
            tall = rng.uniform(20, 28 + 24 * nearness)
            _paint_pole(canvas, rng, is_lamp=ground == ROAD, foot=(x, base), height=tall)
    label_map = _label_map(canvas.class_map)
    return _expose(canvas, rng, label_map=label_map, sun=sun), label_map


def open_source(*, seed: int, width_px: int, height_px: int, num_train: int, num_val: int, num_test: int) -> Source:
    """Scenes, drawn when they are loaded.

    Each has its own random stream, so that the number of images in a split does not change the scenes in another.
    """
    num_images = {"train": num_train, "val": num_val, "test": num_test}
    examples = [
        Example(
            split=split,
            name=f"{index:05d}",
            group=split,
            block=f"{split}{index:05d}",
            load=partial(_draw, (seed, SPLITS.index(split), index), width_px=width_px, height_px=height_px),
        )
        for split in SPLITS
        for index in range(num_images[split])
    ]
    return Source(classes=CLASSES, ignore_index=IGNORE_INDEX, examples=examples)


def _draw(seeds: tuple[int, int, int], *, width_px: int, height_px: int) -> tuple[NDArray[np.uint8], LabelMap]:
    return draw_scene(rng=np.random.default_rng(seeds), width_px=width_px, height_px=height_px)
