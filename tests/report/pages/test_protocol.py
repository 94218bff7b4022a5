"""The protocol: a setting is said of the models that have it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from segbench.datasets.prepared import Prepared
from segbench.report.pages.protocol import protocol
from segbench.report.table.results import ModelResults
from segbench.scoring.blocks import Blocks
from tests.report.sample_results import INDEPENDENT, a_model, data, row


def told(
    of: Prepared, models: list[ModelResults], *, num_compared: int = 1, others: Sequence[str] = ()
) -> dict[str, str]:
    """The protocol with the blocks that the dataset has."""
    blocks = Blocks([row.block for row in of.split("test")], None, None, None)
    return protocol("streets", of, models, blocks=blocks, num_compared=num_compared, others=others)


def test_the_protocol_names_the_models_that_differ_from_the_others() -> None:
    slow = a_model("slow", seeds=(0,), train={"lr": 0.5})
    models = [a_model("unet"), a_model("pspnet"), slow, a_model("clusters", epochs=0)]
    lines = told(INDEPENDENT, models)
    assert lines["schedule"] == "40 epochs, batch 8, sgd, lr 0.01; slow: 40 epochs, batch 8, sgd, lr 0.5"
    assert lines["backbone"] == "resnet18, weights bundled"
    assert lines["seeds"] == "0, 1, 2; slow: 0"
    assert lines["loss"] == "1 dice"
    assert "loss" not in told(INDEPENDENT, models[3:])


SCHEDULE = "40 epochs, batch 8, sgd, lr 0.01"


@pytest.mark.parametrize(
    ("of_last", "what", "expected"),
    [
        ({"backbone": "none"}, "backbone", "resnet18, weights bundled; last: none"),
        ({"backbone": "none", "train": {"backbone_lr_factor": 1.0}}, "backbone's lr", "0.5 of lr"),
        ({"train": {"backbone_lr_factor": 1.0}}, "backbone's lr", "0.5 of lr; last: 1 of lr"),
        ({"weights": "none"}, "backbone", "resnet18, weights bundled; last: resnet18, weights none"),
        ({"train": {"batch_size": 64}}, "schedule", f"{SCHEDULE}; last: 40 epochs, batch 16, sgd, lr 0.01"),
        ({"train": {"devices": 4}}, "schedule", f"{SCHEDULE}; last: 40 epochs, batch 8 on 4 devices, sgd, lr 0.01"),
        (
            {"train": {"devices": "auto"}}, "schedule",
            f"{SCHEDULE}; last: 40 epochs, batch 8 on all devices, sgd, lr 0.01",
        ),
        ({"epochs": 1}, "schedule", f"{SCHEDULE}; last: 1 epoch, batch 8, sgd, lr 0.01"),
        ({"train": {"loss": {"dice": 1.0, "focal": 0.5}}}, "loss", "1 dice; last: 1 dice + 0.5 focal"),
        (
            {"train": {"rare_class_sampling": 0.25}}, "rare-class sampling",
            "0 % of the samples; last: 25 % of the samples",
        ),
        ({"seeds": (5,)}, "seeds", "0; last: 5"),
        ({"commit": "facade"}, "trained at commit", "c0ffee; last: facade"),
        ({"machine": "two"}, "machine", "one; last: two"),
        (
            {"machine": "one, two", "predicted_on": "two"},
            "machine",
            "one; last: one, then two for training, two for prediction",
        ),
        ({"predicted_on": "a GPU"}, "machine", "one; last: one for training, a GPU for prediction"),
    ],
)  # fmt: skip
def test_what_one_model_alone_has_is_not_said_of_all(of_last: dict[str, Any], what: str, expected: str) -> None:
    models = [a_model("unet", seeds=(0,)), a_model("pspnet", seeds=(0,)), a_model("last", **{"seeds": (0,), **of_last})]
    assert told(INDEPENDENT, models)[what] == expected
    common = told(INDEPENDENT, models[:2])[what]
    assert common == told(INDEPENDENT, models[:1])[what]
    assert "last" not in common


def test_without_a_backbone_there_is_no_learning_rate_of_one() -> None:
    assert "backbone's lr" not in told(INDEPENDENT, [a_model(backbone="none")])


@pytest.mark.parametrize(
    ("num_compared", "expected"),
    [
        (1, "one confusion matrix over the test split; label maps at the images' own size"),
        (2, "one confusion matrix over the test split for each of 2 trainings, and the mean of their scores; label"),
    ],
)
def test_a_mean_over_trainings_is_not_one_confusion_matrix(num_compared: int, expected: str) -> None:
    models = [a_model(seeds=(0, 1, 2)), a_model("fcn_8s", seeds=(0, 1))]
    assert told(INDEPENDENT, models, num_compared=num_compared)["scores"].startswith(expected)


@pytest.mark.parametrize(("seconds", "when"), [(7.0, ""), (None, ", before this run")])
def test_the_budget_of_a_search_is_told(seconds: float | None, when: str) -> None:
    search = {
        "epochs": 3,
        "best": {"lr": 0.1},
        "trials": [
            {"values": values, "training_seconds": seconds}
            for values in ({"lr": 0.1}, {"lr": 0.2, "weight_decay": 0.0})
        ],
    }
    searched, common = a_model("unet"), a_model("pspnet")
    searched = replace(searched, training={**searched.training, "search": search})
    assert told(INDEPENDENT, [common])["search"] == "none"
    assert told(INDEPENDENT, [searched])["search"] == (
        "2 trials of 3 epochs for each network, judged by mIoU on the validation images (lr 0.1, 0.2; weight_decay as "
        f"above, 0.0){when}"
    )
    assert "search" not in told(INDEPENDENT, [a_model(backbone="none", epochs=0)])


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, "whole images, float32, no test-time augmentation"),
        ({"tile_px": 512}, "overlapping tiles of 512x512 px, blended, float32, no test-time augmentation"),
        (
            {"test_time": {"flip": True, "scales": [0.75, 1.0, 1.25]}},
            "whole images, float32, mean of the probabilities at scales 0.75, 1 and 1.25, each also mirrored",
        ),
        (
            {"tile_px": 64, "test_time": {"flip": True, "scales": [1.0]}},
            "overlapping tiles of 64x64 px, blended, float32, mean of the probabilities at scale 1 and mirrored",
        ),
        (
            {"test_time": {"flip": False, "scales": [1.0, 2.0]}},
            "whole images, float32, mean of the probabilities at scales 1 and 2",
        ),
    ],
)
def test_tiles_and_test_time_augmentation_are_told_where_they_were_used(seen: dict[str, Any], expected: str) -> None:
    assert told(INDEPENDENT, [a_model("unet", seen=seen), a_model("pspnet", seen=seen)])["prediction"] == expected
    differing = told(INDEPENDENT, [a_model("unet"), a_model("pspnet"), a_model("last", seen=seen)])["prediction"]
    default = "whole images, float32, no test-time augmentation"
    assert differing == (f"{default}; last: {expected}" if seen else default)


@pytest.mark.parametrize(
    ("num_images", "per_block", "expected"),
    [
        (4, 1, "95 %, studentised bootstrap over 4 test images"),
        (6, 2, "95 %, studentised bootstrap over 6 test images in 3 blocks"),
        (2, 2, "not known, since 2 test images in one block cannot be resampled"),
        (1, 1, "not known, since 1 test image in one block cannot be resampled"),
    ],
)
def test_intervals_are_over_what_was_resampled(num_images: int, per_block: int, expected: str) -> None:
    test = [row("test", str(index), group="g", block=str(index // per_block)) for index in range(num_images)]
    of_size = replace(INDEPENDENT, rows=(row("train", "a", group="a", block="a"), *test))
    assert told(of_size, [a_model()])["intervals"] == expected


def test_the_settings_of_other_programs_are_not_known() -> None:
    lines = told(data(seen=True, blocks=("b", "c")), [a_model()], others=["theirs", "ours"])
    assert lines["other programs"] == "only the label maps are known of theirs and ours"
    assert "other programs" not in told(INDEPENDENT, [a_model()])
