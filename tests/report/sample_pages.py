"""Pages of any size, filled as the comparison would."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import nan

import numpy as np

from segbench.datasets.catalog import Attribution
from segbench.images import RGBImage
from segbench.labels import IGNORE_INDEX, Classes, LabelMap
from segbench.report.pages.about import about
from segbench.report.table.claims import Finding
from segbench.report.table.comparison import MEAN_IOU
from segbench.report.table.content import Answer, Costs, Curve, Entry, Group, Page, ScoredImage
from segbench.scoring.intervals import Difference, Interval, Pair
from segbench.scoring.metrics import compute_scores, confusion_matrix
from tests.report.sample_results import a_model

EPOCHS = (1, 2, 3, 4)
ATTRIBUTION = Attribution("CC0", "https://example.org/streets", ("Nobody: Streets of blocks, 2020",))
WIDTHS_PX = (1.0, 2.0, 4.0, 8.0)


def some_classes(num_classes: int) -> Classes:
    rng = np.random.default_rng(num_classes)
    return Classes.of((f"class {index}", rng.integers(0, 256, 3).tolist()) for index in range(num_classes))


def blocks(rng: np.random.Generator, *, num_classes: int, height_px: int, width_px: int) -> LabelMap:
    """A label map of blocks of 8x8 px."""
    coarse = rng.integers(0, num_classes, (-(-height_px // 8), -(-width_px // 8)), dtype=np.uint8)
    return np.kron(coarse, np.ones((8, 8), np.uint8))[:height_px, :width_px]


def blurred(rng: np.random.Generator, label_map: LabelMap, *, num_classes: int, wrong_share: float) -> LabelMap:
    """The label map moved by some pixels, with blocks of another class in it."""
    shift = rng.integers(-2, 3, 2)
    moved = np.roll(label_map, shift, axis=(0, 1))
    other = blocks(rng, num_classes=num_classes, height_px=label_map.shape[0], width_px=label_map.shape[1])
    is_wrong = blocks(rng, num_classes=100, height_px=label_map.shape[0], width_px=label_map.shape[1])
    wrong = np.where(is_wrong < 100 * wrong_share, other, moved)
    return np.where(wrong == IGNORE_INDEX, 0, wrong).astype(np.uint8)


def photo(rng: np.random.Generator, label_map: LabelMap, classes: Classes) -> RGBImage:
    noise = rng.integers(0, 60, (*label_map.shape, 3))
    return (classes.colorize(label_map) * 0.7 + noise).astype(np.uint8)


def a_page(
    *,
    models: tuple[str, ...],
    classes: Classes,
    num_images: int,
    height_px: int,
    width_px: int,
    external: str | None = None,
) -> Page:
    """A page with every part; each model with the CRF off and on, and `external` without costs."""
    rng = np.random.default_rng(0)
    num_classes = len(classes)
    names = [(model, crf) for model in models for crf in (True, False)] + ([(external, False)] if external else [])

    def test_images() -> Iterator[ScoredImage]:
        for index in range(num_images):
            truth = blocks(rng, num_classes=num_classes, height_px=height_px, width_px=width_px)
            truth[:2, :3] = IGNORE_INDEX
            predicted = tuple(
                blurred(rng, truth, num_classes=num_classes, wrong_share=0.02 * place) for place in range(len(names))
            )
            mean_iou = tuple(
                compute_scores(confusion_matrix(truth=truth, predicted=found, num_classes=num_classes)).mean_iou
                for found in predicted
            )
            yield ScoredImage(
                name=f"image {index}",
                score=float(np.mean(mean_iou)),
                image=photo(rng, truth, classes),
                truth=truth,
                predicted=predicted,
                mean_iou=mean_iou,
                place=index + 1,
                num_places=num_images,
                doubt="Check the label: the models agree." if index == 1 else "",
            )

    entries = [
        an_entry(model, crf=crf, place=place, num_classes=num_classes, is_external=model == external)
        for place, (model, crf) in enumerate(names, 1)
    ]
    return Page(
        dataset="streets",
        description="Streets of blocks.",
        answers=(
            Answer("What should I know before I trust the order?", "Each model was trained once."),
            Answer("Which model is the most accurate?", f"{models[0]} has the highest mIoU."),
        ),
        classes=classes,
        entries=tuple(entries),
        num_images=num_images,
        trainings="Each model was trained once.",
        protocol={"images": f"test {num_images}", "seed": "0"},
        notes=("one machine",),
        limits=("one backbone for all",),
        curves=tuple(
            Curve(model, EPOCHS, (nan, 0.5 - low, nan, 0.7 - low), (2.0, 1.0, 0.7, 0.6 + low))
            for low, model in zip(np.arange(0, 1, 0.02).tolist(), models, strict=False)
        ),
        boundary_shares={width_px: 0.05 * width_px for width_px in WIDTHS_PX},
        groups=(Group("town", num_images=1, is_seen=True), Group("country", num_images=num_images - 1, is_seen=False)),
        groups_note="They need not average.",
        differences=some_differences(entries),
        crf_choices=(("Model", "gain, points", "steps"), *((model, "+1.5", "5") for model in models)),
        crf_choices_note="Chosen on validation images.",
        findings=(
            Finding(
                "More context helps",
                "mIoU, %",
                "a 60.0",
                "b 50.0",
                "+10.0 [+8.0, +12.0]",
                "holds",
                "one factor: bins [1], not []",
            ),
            Finding(
                "A CRF helps", "mIoU, %", "a 50.0", "b 60.0", "-10.0 [-12.0, -8.0]", "does not hold", "whole models"
            ),
            Finding("Rates help", "mIoU, %", "a 50.0", "b 50.0", "+0.0 [-1.0, +1.0]", "undecided", "whole models"),
            Finding("Pooling helps", "mIoU, %", "a", "b", "b is not in the benchmark", "not run", ""),
        ),
        test_images=test_images(),
        test_images_note="By the mean of all entries.",
        about=about([a_model(model) for model in models], ATTRIBUTION),
    )


def some_differences(entries: Sequence[Entry]) -> dict[Pair, Difference]:
    """CRF on against off, and what papers report against each other; significant if more than three points apart."""
    labels = [entry.label for entry in entries]
    pairs = [(label, label.removesuffix(" + CRF")) for label in labels if label.endswith(" + CRF")]
    pairs += combinations([entry.label for entry in entries if entry.as_in_paper], 2)
    value = {entry.label: entry.mean_iou.value for entry in entries}

    def gap(first: str, second: str) -> Difference:
        difference = value[first] - value[second]
        alone, simultaneous = (Interval(difference, difference - half, difference + half) for half in (0.02, 0.03))
        return Difference(alone, simultaneous, adjusted_p_value=0.001 if abs(difference) > 0.03 else 0.4)

    return {Pair(*pair, MEAN_IOU): gap(*pair) for pair in pairs}


def an_entry(model: str, *, crf: bool, place: int, num_classes: int, is_external: bool) -> Entry:
    """An entry whose scores fall with its place."""
    rng = np.random.default_rng(place)
    score = 0.9 - 0.02 * place
    confusion = rng.integers(0, 50, (num_classes, num_classes)) + np.diag(rng.integers(500, 2000, num_classes))

    def estimate(value: float) -> Interval:
        return Interval(value, value - 0.012, value + 0.011)

    return Entry(
        model=model,
        crf=crf,
        rank=Interval(place, max(1, place - 1), place),
        scores={
            "aAcc": estimate(score + 0.05),
            "mAcc": estimate(score + 0.02),
            "mIoU": estimate(score),
            "mDice": estimate(score + 0.04),
        },
        class_iou=tuple(rng.uniform(0, 1, num_classes).tolist()),
        confusion=confusion,
        crf_gain=None if is_external else 0.02,
        costs=None
        if is_external
        else Costs(
            parameters=1_000_000 * place,
            multiply_adds=300_000_000 * place,
            latency_ms=5.0 + place + (20 if crf else 0),
            peak_memory_mib=700.0 + place,
            training_images_per_second=100.0 / place,
            training_seconds=40.0 * place,
            latency_low_ms=None if crf else 4.9 + place,
            latency_high_ms=None if crf else 5.5 + place,
            latency_device="a processor",
            latency_cores=2,
            latency_input_px="128x96",
        ),
        is_on_front=None if is_external else place < 3,
        deviations=("backbone none",) if place == 2 else (),
        boundary_mean_iou=() if is_external else tuple(score - 0.3 / width for width in WIDTHS_PX),
        group_mean_iou=(score + 0.03, score - 0.03),
        group_class_iou=tuple(tuple(of_group) for of_group in rng.uniform(0, 1, (2, num_classes)).tolist()),
        as_in_paper=not crf,
    )


MODELS = (
    "deeplab_v3_plus", "deeplab_v3", "deeplab_v2", "deeplab_v1", "pspnet", "unet", "fcn_8s", "fcn_16s", "fcn_32s",
    "sliding_window", "color_clusters",
)  # fmt: skip


def realistic_page() -> Page:
    return a_page(
        models=MODELS, classes=some_classes(8), num_images=60, height_px=96, width_px=128, external="from elsewhere"
    )


def large_page() -> Page:
    return a_page(models=(*MODELS, "another"), classes=some_classes(19), num_images=60, height_px=360, width_px=480)
