"""What the benchmark's page shows: the contract between the stage that fills it and the page that is drawn from it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from segbench.images import RGBImage
from segbench.labels import Classes, LabelMap
from segbench.report.table.claims import Finding
from segbench.report.table.numbers import finite
from segbench.scoring.metrics import Counts

SIGNIFICANT = 0.05
"""A difference whose adjusted p value is below is beyond noise."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, in the number's own unit. None or NaN: not known."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Rank:
    """A place in the table by mIoU, 1 the best, and the places that its interval allows."""

    place: int
    best: int
    worst: int


@dataclass(frozen=True)
class Costs:
    """What an entry costs. multiply_adds: of one prediction, without the CRF; latency_ms: with the CRF where it is on.

    The memory's peak is that of predicting, in MiB.
    """

    parameters: int | None
    multiply_adds: int | None
    latency_ms: Estimate
    peak_memory_mib: float | None
    training_images_per_second: float | None
    training_seconds: float | None


@dataclass(frozen=True)
class Published:
    """What a paper reports as mIoU, a fraction, and under which protocol."""

    mean_iou: float
    protocol: str


@dataclass(frozen=True, eq=False)
class Entry:
    """A row of the table: a model with the CRF off or on, or a prediction made elsewhere (costs None).

    Scores are fractions. class_iou: one a class, None for a class without pixels. confusion: (C, C) of the whole split.
    seed_spread: standard deviation of mIoU over trainings with other seeds. is_on_front: no entry has both a
    higher mIoU and a lower latency. boundary_mean_iou: one for each of the page's boundary_widths_px.
    group_mean_iou: one for each of the page's groups. as_in_paper: what the model's paper reports, which for DeepLab v1
    and v2 is the network with the CRF behind it. protocol: what and value, where entries may differ.
    """

    model: str
    crf: bool
    rank: Rank
    pixel_accuracy: Estimate
    mean_accuracy: Estimate
    mean_iou: Estimate
    mean_dice: Estimate
    class_iou: tuple[float | None, ...]
    confusion: Counts | None = None
    seed_spread: float | None = None
    costs: Costs | None = None
    is_on_front: bool | None = None
    deviations: tuple[str, ...] = ()
    published: Published | None = None
    boundary_mean_iou: tuple[float | None, ...] = ()
    group_mean_iou: tuple[float | None, ...] = ()
    as_in_paper: bool = True
    protocol: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """The name that the lecture's claims use."""
        return f"{self.model} + CRF" if self.crf else self.model

    @property
    def num_classes_averaged(self) -> int:
        """The classes that have an IoU."""
        return sum(finite(value) is not None for value in self.class_iou)


@dataclass(frozen=True)
class Difference:
    """The mIoU of one entry minus another's: with its 95 % interval, and with the one that holds for all of them."""

    first: str
    second: str
    alone: Estimate
    simultaneous: Estimate
    adjusted_p_value: float


@dataclass(frozen=True)
class Group:
    """Test images of one origin, such as a video; is_seen: training images are of it too."""

    name: str
    num_images: int
    is_seen: bool


@dataclass(frozen=True)
class Curve:
    """A model's mIoU on validation images, a fraction, after each epoch; None where it was not measured."""

    model: str
    epochs: tuple[int, ...]
    mean_iou: tuple[float | None, ...]


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """An image with its label maps, all of one size.

    predicted, mean_iou: one for each of the page's entries, in their order; mean_iou is of this image alone.
    score: what puts the images in order.
    """

    name: str
    score: float | None
    image: RGBImage
    truth: LabelMap
    predicted: tuple[LabelMap, ...]
    mean_iou: tuple[float | None, ...]


@dataclass(frozen=True, eq=False)
class Page:
    """All that the page shows. A part whose field is empty is left out.

    description: what the dataset is. result: what came out, in one sentence. entries: best first. num_images: of the
    test split. num_seeds: the most trainings that a model had. notes: how to read the table; limits: what the
    comparison cannot tell. crf_choices: what the search for its parameters found, the heading and a row a model;
    crf_choices_note: on which images. test_images: worst first; taken one by one until the page is full, so a generator
    need not load the rest. test_images_note: what their score is, and out of which images they are.
    """

    dataset: str
    description: str
    result: str
    classes: Classes
    entries: tuple[Entry, ...]
    num_images: int
    num_seeds: int
    protocol: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    crf_choices: tuple[tuple[str, ...], ...] = ()
    crf_choices_note: str = ""
    curves: tuple[Curve, ...] = ()
    boundary_widths_px: tuple[float, ...] = ()
    groups: tuple[Group, ...] = ()
    differences: tuple[Difference, ...] = ()
    findings: tuple[Finding, ...] = ()
    test_images: Iterable[ScoredImage] = ()
    test_images_note: str = ""

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError("a page needs at least one entry")
        for label, times in Counter(entry.label for entry in self.entries).items():
            if times > 1:
                raise ValueError(f"{times} entries are called {label}")
        num_classes, num_widths = len(self.classes), len(self.boundary_widths_px)
        for entry in self.entries:
            if len(entry.class_iou) != num_classes:
                raise ValueError(f"{entry.label}: class_iou has {len(entry.class_iou)} values, not {num_classes}")
            if entry.confusion is not None and entry.confusion.shape != (num_classes, num_classes):
                raise ValueError(f"{entry.label}: confusion is {entry.confusion.shape}, not {(num_classes,) * 2}")
            if len(entry.boundary_mean_iou) not in (0, num_widths):
                raise ValueError(
                    f"{entry.label}: boundary_mean_iou has {len(entry.boundary_mean_iou)} values, not {num_widths}"
                )

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names of models and curves, each once, in the entries' order."""
        return tuple(dict.fromkeys([entry.model for entry in self.entries] + [curve.model for curve in self.curves]))
