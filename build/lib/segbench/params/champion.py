"""The section `champion`."""

from typing import Literal

from segbench.params.fields import Positive, Section


class Champion(Section):
    """By what the model to use is chosen: a score on the validation images, and budgets that it must keep."""

    score: Literal["mean_iou", "pixel_accuracy"]
    most_latency_ms: Positive | None
    most_memory_mib: Positive | None
