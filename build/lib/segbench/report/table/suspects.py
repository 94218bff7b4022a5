"""Test images that look mislabelled: the better models make the same mistakes there, and many.

On a hard image models make mistakes of their own. Where they agree with each other and contradict the label map, the
label map may be wrong. Of CamVid's 233 test images one is named: Seq05VD_f02610, whose label map is wrapped around. If
one label map of 100 test images of CamVid, or of 60 drawn scenes, is replaced, it is named in these shares of trials,
in per cent; with all label maps right none is:

    fault                                 CamVid  scenes
    wrapped by a 16th of the width            48      95
    wrapped by an eighth of the width         97      98
    wrapped by a quarter of the width        100     100
    mirrored                                  97     100
    of another image                          97      98
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segbench.datasets.prepared import Prepared
from segbench.report.table.comparison import Contender
from segbench.scoring.metrics import ratio

LEAST_MODELS = 3
"""Fewer models agree by chance."""
LEAST_IMAGES = 20
"""Fewer images do not show how many mistakes are usual."""
LEAST_SHARE = 0.1
"""Share of an image's pixels below which common mistakes do not matter."""
LEAST_AGREEMENT = 0.5
"""Share of their mistakes that the models must have in common."""
LEAST_DEVIATIONS = 6.0
"""Distance from the median of all test images, in standard deviations as the median absolute deviation gives them."""


@dataclass(frozen=True)
class Suspect:
    """A test image. share: of its labelled pixels, the most that the better models can all give one wrong class."""

    name: str
    share: float


@dataclass(frozen=True)
class Suspects:
    """The images, most conspicuous first; the labels of the better models; and the median share of all test images."""

    images: tuple[Suspect, ...] = ()
    judges: tuple[str, ...] = ()
    usual_share: float = 0.0


def find_suspects(contenders: Sequence[Contender], data: Prepared) -> Suspects:
    """Judge by the best entries as published: half of them, but at least LEAST_MODELS. Nothing is found with fewer, or
    with few images.

    The share is an upper bound, by the classes whose pixels all models miss and those that all predict in their place:
    it takes them to miss the same pixels of a class. data: with the test images that the contenders' counts are of.
    """
    judges = _best([contender for contender in contenders if contender.as_in_paper])
    names = [f"{row.split}/{row.name}" for row in data.split("test")]
    if len(judges) < LEAST_MODELS or len(names) < LEAST_IMAGES:
        return Suspects()
    images = [judge.counts.images for judge in judges]
    true = images[0].true.astype(np.int64)  # (num_images, C)
    missed = np.concatenate([true - of_judge.correct for of_judge in images])  # (num_trainings, num_images, C)
    in_their_place = np.concatenate([of_judge.predicted.astype(np.int64) - of_judge.correct for of_judge in images])
    common = np.minimum(missed.min(axis=0).sum(axis=1), in_their_place.min(axis=0).sum(axis=1))  # (num_images,)
    usual = missed.sum(axis=2).mean(axis=0)
    shares = ratio(common, true.sum(axis=1), empty=0)
    median = float(np.median(shares))
    deviation = 1.4826 * float(np.median(np.abs(shares - median)))
    least = max(LEAST_SHARE, median + LEAST_DEVIATIONS * deviation)
    found = [
        Suspect(names[index], float(shares[index]))
        for index in np.argsort(-shares, kind="stable")
        if shares[index] > least and common[index] >= LEAST_AGREEMENT * usual[index]
    ]
    return Suspects(tuple(found), tuple(judge.label for judge in judges), median)


def _best(contenders: Sequence[Contender]) -> list[Contender]:
    """The better half by mIoU, of an odd number the larger one, but at least LEAST_MODELS; the best first."""

    def mean_iou(contender: Contender) -> float:
        return float(np.mean([scores.mean_iou for scores in contender.counts.scores()]))

    return sorted(contenders, key=mean_iou, reverse=True)[: max(LEAST_MODELS, (len(contenders) + 1) // 2)]
