"""What the reports on one dataset show: what the stage `compare` fills in, and what the pages are drawn from."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from segbench.images import RGBImage
from segbench.labels import Classes, LabelMap
from segbench.report.table.claims import Finding
from segbench.report.table.numbers import finite
from segbench.scoring.intervals import Difference, Interval, Metric, Pair
from segbench.scoring.metrics import Counts

SIGNIFICANT = 0.05
"""A difference with a smaller adjusted p value is significant."""


def label(model: str, *, crf: bool) -> str:
    """How reports call a model with the CRF off or on. The claims use the same names."""
    return f"{model} + CRF" if crf else model


@dataclass(frozen=True)
class Costs:
    """What a model costs; None: not measured.

    latency_ms: of one image, with the CRF where it is on; latency_low_ms and latency_high_ms: its interval, without the
    CRF alone; latency_device, latency_cores, latency_input_px: what it was measured on. multiply_adds and
    peak_memory_mib: of predicting one image, without the CRF. trained_on: the machine.
    predicted_on: the machine whose memory this is, and that timed the CRF.
    """

    parameters: int | None
    multiply_adds: int | None
    latency_ms: float | None
    peak_memory_mib: float | None
    training_images_per_second: float | None
    training_seconds: float | None
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    latency_device: str | None = None
    latency_cores: int | None = None
    latency_input_px: str | None = None
    trained_on: str | None = None
    predicted_on: str | None = None


@dataclass(frozen=True, eq=False)
class Entry:
    """A row of the results table: a model with the CRF off or on, or another program's predictions (costs None).

    Scores are fractions, NaN where they are not known.

    - rank: the place by mIoU, 1 the best, None for one set of predictions among means over several trainings
    - scores: of the whole test split, by metric
    - class_iou, boundary_mean_iou, group_mean_iou: one value for each of the page's classes, boundary widths and groups
    - group_class_iou: for each of the page's groups, one value for each class
    - confusion: (C, C), over the whole test split
    - seed_spread: standard deviation of mIoU over trainings with different seeds, None with a single training
    - training_share: of the squared standard error of mIoU, the share that is due to the choice of seeds; None if no
      model was trained more than once
    - crf_gain: the model's mIoU with the CRF minus that without
    - is_on_front: no other entry has both a higher mIoU and a lower latency; None where the latency is not known
    - mean_iou_without_doubtful: mIoU without the test images that look mislabelled; None if none does
    - as_in_paper: how the model's paper reports it. DeepLab v1 and v2 end with a CRF, the others have none
    - deviations: from the common protocol; protocol: settings by name in which entries may differ
    """

    model: str
    crf: bool
    rank: Interval | None
    scores: Mapping[Metric, Interval]
    class_iou: tuple[float, ...]
    confusion: Counts | None = None
    seed_spread: float | None = None
    training_share: float | None = None
    crf_gain: float | None = None
    costs: Costs | None = None
    is_on_front: bool | None = None
    deviations: tuple[str, ...] = ()
    boundary_mean_iou: tuple[float, ...] = ()
    group_mean_iou: tuple[float, ...] = ()
    group_class_iou: tuple[tuple[float, ...], ...] = ()
    mean_iou_without_doubtful: float | None = None
    as_in_paper: bool = True
    protocol: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The model's name, with ` + CRF` if that is on."""
        return label(self.model, crf=self.crf)

    @property
    def mean_iou(self) -> Interval:
        """The score that entries are ordered by."""
        return self.scores["mIoU"]

    @property
    def num_classes_averaged(self) -> int:
        """How many classes have an IoU, and so are in the means."""
        return sum(finite(value) is not None for value in self.class_iou)


def best_as_published(entries: Sequence[Entry]) -> Entry:
    """The best of the ranked entries that are as their papers have them, of all if there is none."""
    return max(entries, key=lambda entry: (entry.as_in_paper and bool(entry.rank), entry.mean_iou.value))


def are_of_several_machines(entries: Iterable[Entry]) -> bool:
    """Whether machines of different kinds trained the models, so that their training times do not compare."""
    return len({entry.costs.trained_on for entry in entries if entry.costs}) > 1


@dataclass(frozen=True)
class Group:
    """Test images of one origin, such as a video. is_seen: some training images come from it too."""

    name: str
    num_images: int
    is_seen: bool


@dataclass(frozen=True)
class Curve:
    """A training's mIoU on validation images, a fraction, after each epoch, and the loss of training in it.

    NaN where a value was not measured; no losses where they are not known.
    """

    model: str
    epochs: tuple[int, ...]
    mean_iou: tuple[float, ...]
    train_loss: tuple[float, ...] = ()

    @property
    def late_gain(self) -> float | None:
        """What the last quarter of the epochs added to the best mIoU until then, between epochs by interpolation.

        None if the mIoU is not known after the last epoch, or not before the last quarter.
        """
        mean_iou, epochs, start = np.array(self.mean_iou), np.array(self.epochs), 0.75 * self.epochs[-1]
        known = np.isfinite(mean_iou)
        before = mean_iou[known & (epochs <= start)]
        if not known[-1] or not len(before):
            return None
        return float(mean_iou[-1] - max(before.max(), np.interp(start, epochs[known], mean_iou[known])))


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """A test image with its label maps, all of one size.

    predicted, mean_iou: one for each of the page's entries, in their order; mean_iou is of this image alone.
    score: the mean of mean_iou. place: by score among all images that could be shown, 1 the worst; num_places: of them.
    doubt: why the label map may be wrong, in a sentence; empty where nothing says so.
    """

    name: str
    score: float
    image: RGBImage
    truth: LabelMap
    predicted: tuple[LabelMap, ...]
    mean_iou: tuple[float, ...]
    place: int
    num_places: int
    doubt: str = ""


@dataclass(frozen=True)
class Answer:
    """A reader's question, and what the numbers say."""

    question: str
    text: str


@dataclass(frozen=True)
class Link:
    """path: from the folder of the dataset's reports, or an address."""

    text: str
    path: str


@dataclass(frozen=True)
class Origin:
    """Where a model's results come from. values: it was trained with, as params.yaml has them.

    training_keys: by seed; MLflow's runs have them as a tag.
    """

    model: str
    links: tuple[Link, ...]
    training_keys: Mapping[int, str]
    values: str


@dataclass(frozen=True)
class About:
    """How a report was made, and what its readers owe to whom. files: of the report, in other forms.

    licence, home, papers: of the images; home is an address, empty if there is none.
    """

    origins: tuple[Origin, ...]
    files: tuple[Link, ...]
    licence: str
    home: str
    papers: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Page:
    """All that the reports on a dataset show. A part whose field is empty is left out.

    - description: what the dataset is; answers: to a reader's questions, the most accurate model first; trainings: how
      often models were trained; champion: the model to use, and by what rule it was chosen
    - entries: best first; failed: by name of a model without scores, why it has none, such as `diverged in epoch 3`
    - differences: of mIoU, by pairs of entries' labels; differences_with_longer_blocks: of test images, twice as long
    - num_compared: scores are means over so many trainings of each model; num_images: of the test split;
      boundary_shares: by width in px, the share of its labelled pixels that is within this distance of a boundary
    - protocol: what all entries have in common; notes: how to read the table; limits: what the comparison cannot tell
    - curves: of every training, a model's first seed first
    - groups_note: why their scores do not average to that of all test images
    - crf_choices: the parameters found for the CRF, a heading and one row per model; crf_choices_note: on which images
    - about: how the report was made, with links to its files
    - test_images: those that say most first. The page takes them until it is full, so a generator need not load the
      rest, and shows the worst first.
      test_images_note: how they were chosen
    """

    dataset: str
    description: str
    answers: tuple[Answer, ...]
    trainings: str
    classes: Classes
    entries: tuple[Entry, ...]
    num_images: int
    protocol: Mapping[str, str]
    notes: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    num_compared: int = 1
    crf_choices: tuple[tuple[str, ...], ...] = ()
    crf_choices_note: str = ""
    curves: tuple[Curve, ...] = ()
    boundary_shares: Mapping[float, float] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    groups_note: str = ""
    differences: Mapping[Pair, Difference] = field(default_factory=dict)
    differences_with_longer_blocks: Mapping[Pair, Difference] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    test_images: Iterable[ScoredImage] = ()
    test_images_note: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)
    champion: str = ""
    about: About | None = None

    def __post_init__(self) -> None:
        if not self.entries:
            raise ValueError("a page needs at least one entry")
        for name, times in Counter(entry.label for entry in self.entries).items():
            if times > 1:
                raise ValueError(f"{times} entries are called {name}")
        num_classes, num_widths = len(self.classes), len(self.boundary_shares)
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

    @property
    def best_as_published(self) -> Entry:
        """The best of the ranked entries that are as their papers have them, of all if there is none."""
        return best_as_published(self.entries)

    @property
    def has_repeated_trainings(self) -> bool:
        """Whether a model was trained with several seeds."""
        return any(entry.seed_spread is not None for entry in self.entries)

    @property
    def crf_differences(self) -> dict[str, Difference]:
        """By model, its mIoU with the CRF minus that without."""
        return {
            pair.second: difference
            for pair, difference in self.differences.items()
            if pair.first == label(pair.second, crf=True)
        }
