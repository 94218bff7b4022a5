"""What a whole report says of models that differ in nearly everything, and of models that differ in nothing."""

from collections.abc import Sequence
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from segbench.datasets.prepared import Prepared
from segbench.labels import Classes
from segbench.report.pages import assemble
from segbench.report.pages.assemble import assemble_page
from segbench.report.pages.benchmark import benchmark_latex, benchmark_markdown
from segbench.report.table.comparison import Contender
from segbench.report.table.content import Costs, Page
from segbench.report.table.results import ModelResults
from segbench.report.table.suspects import Suspect, Suspects
from segbench.scoring.counts import SplitCounts
from tests.report.sample_pages import ATTRIBUTION
from tests.report.sample_results import a_model, row
from tests.scoring.population import split_counts

CLASSES = Classes.of([("road", (0, 0, 0)), ("pole", (9, 9, 9)), ("nowhere", (99, 9, 9))])
NUM_IMAGES = 12


def prepared() -> Prepared:
    rows = [
        row(split, str(index), group=f"{split}{index}", block=f"{split}{index}")
        for split in ("train", "val", "test")
        for index in range(NUM_IMAGES)
    ]
    return Prepared(Path(), CLASSES, fingerprint="f00d", rows=tuple(rows))


def counts(*, num_seeds: int, right: int) -> SplitCounts:
    """Of 100 pixels of each of two classes, about `right` are found; the third class has none."""
    rng = np.random.default_rng(right)
    confusions = np.zeros((num_seeds, NUM_IMAGES, 3, 3), np.int64)
    for true_class in (0, 1):
        found = rng.binomial(100, right / 100, (num_seeds, NUM_IMAGES))
        confusions[..., true_class, true_class], confusions[..., true_class, 1 - true_class] = found, 100 - found
    return split_counts(confusions, near_boundaries=confusions.sum(axis=1)[:, np.newaxis])


def page_of(models: Sequence[ModelResults], *, others: Sequence[str] = ()) -> Page:
    contenders = []
    for place, model in enumerate(models):
        costs = Costs(1000, 10**9, 10.0 + place, 700.0, 50.0, 60.0)
        deviations = tuple(f"{name} {value}" for name, value in model.training["deviations"].items())
        for crf in (False, True):
            found = counts(num_seeds=len(model.seeds), right=70 + 3 * place + crf)
            contenders.append(
                Contender(
                    model.name,
                    crf,
                    found,
                    label_maps=[np.zeros((2, 2), np.uint8)] * NUM_IMAGES,
                    as_in_paper=not crf,
                    costs=costs,
                    deviations=deviations,
                )
            )
    contenders += [Contender(name, False, counts(num_seeds=1, right=60), is_trained=False) for name in others]
    return assemble_page(
        "streets",
        prepared(),
        models,
        contenders,
        failed={},
        findings=[],
        boundary_widths_px=[1.0],
        left_out=[],
        champion="",
        attribution=ATTRIBUTION,
    )


def test_an_image_that_looks_mislabelled_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    suspects = Suspects((Suspect("test/3", 0.4),), judges=("unet", "fcn_8s", "pspnet"), usual_share=0.05)
    monkeypatch.setattr(assemble, "find_suspects", lambda contenders, data: suspects)
    monkeypatch.setattr(Prepared, "image", lambda prepared, row: np.zeros((2, 2, 3), np.uint8))
    monkeypatch.setattr(Prepared, "label_map", lambda prepared, row: np.zeros((2, 2), np.uint8))
    doubts = {image.name: image.doubt for image in page_of([a_model("unet", seeds=(0,))]).test_images}
    assert doubts.pop("3").startswith("Check the label of this image.")
    assert len(doubts) == NUM_IMAGES - 1 and not any(doubts.values())
    (entry, *_) = page_of([a_model("unet", seeds=(0,))]).entries
    assert entry.mean_iou_without_doubtful is not None


def worst_models() -> list[ModelResults]:
    curve = {"epoch": [1, 2, 3, 4], "val_mean_iou": [nan, 0.3, nan, 0.5], "train_loss": 1.0}
    still = pd.concat([pd.DataFrame({"seed": seed, **curve}) for seed in range(3)])
    useless = {"score_without": 0.9, "chosen": None}
    unet, window = a_model("unet", seeds=(0, 1, 2)), a_model("window", backbone="none", seeds=(0,))
    return [
        replace(unet, epochs=still, crf=unet.crf | useless),
        a_model("fcn_8s", seeds=(0,), epochs=1, train={"lr": 0.5, "batch_size": 4}, deviations={"lr": 0.5}),
        a_model("pspnet", seeds=(5, 6), machine="two", predicted_on="a GPU", commit="facade", weights="none"),
        window,
        a_model("clusters", seeds=(0,), backbone="none", epochs=0),
    ]


TOLD = (
    "on other test images and after trainings with other seeds (95 %). The seeds make up",
    "How much they matter is known from pspnet and unet, and taken to be the same for the others.",
    "On the page, learning curves, label maps and scores of single images of unet and pspnet are those of the first",
    "Trained with different seeds: unet 3 times, pspnet 2 times, the others once. All models are compared by the first",
    "none raised it, so the CRF leaves the label maps of unet as they are.",
    "- fcn_8s: lr 0.5",
    "- window: backbone none",
    "Backbones: models have different ones",
    "Schedule: 40 epochs for unet, pspnet and window; 1 epoch for fcn_8s. The validation scores do not tell whether",
    "unet still gained more than 2 points",
    "Settings: networks were not trained alike, so scores compare more than architectures: batch_size 8 (unet, pspnet",
    "Costs: models were trained on machines of different kinds",
    "Costs: models predicted on machines of different kinds",
    "only the label maps are known of theirs",
    "c0ffee; pspnet: facade",
)


@pytest.mark.parametrize("sentence", TOLD)
def test_a_report_tells_what_its_models_do_not_share(sentence: str) -> None:
    assert sentence in benchmark_markdown(page_of(worst_models(), others=["theirs"]))
    assert sentence not in benchmark_markdown(page_of([a_model("unet", seeds=(0,)), a_model("fcn_8s", seeds=(0,))]))


def test_a_paper_is_told_the_same() -> None:
    latex = benchmark_latex(page_of(worst_models(), others=["theirs"]))
    for text in (
        "unet 3 times, pspnet 2 times, the others once. All models are compared by the first training",
        "Other programs: only the label maps are known of theirs.",
        r"fcn\_8s lr 0.5",
    ):
        assert text in latex


def test_a_report_on_one_model_does_not_speak_of_several() -> None:
    text = benchmark_markdown(page_of([a_model("unet", seeds=(0,))]))
    assert "unet has an mIoU of" in text
    assert "highest mIoU" not in text.partition("| Model")[0]
    for plural in ("all 1", "1 models", "1 networks", "each of", "every model", "the others", "Each model was"):
        assert plural not in text


@pytest.mark.parametrize(("num_seeds", "expected"), [((2, 3), 2), ((1, 3), 1)])
def test_the_page_knows_how_many_trainings_are_compared(num_seeds: tuple[int, int], expected: int) -> None:
    first, second = (tuple(range(number)) for number in num_seeds)
    assert page_of([a_model("unet", seeds=first), a_model("fcn_8s", seeds=second)]).num_compared == expected
