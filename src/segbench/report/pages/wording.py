"""The sentences and the protocol of a dataset's reports."""

from collections.abc import Collection, Sequence
from typing import Any

from segbench.datasets.prepared import Prepared
from segbench.datasets.source import SPLITS
from segbench.report.drawing.pictures import MAX_SIDE_PX, pictured
from segbench.report.table.assemble import LEAST_BLOCKS, sizes_of
from segbench.report.table.columns import interval
from segbench.report.table.content import SIGNIFICANT, Curve, Difference, Entry
from segbench.report.table.numbers import MISSING, percent, points
from segbench.report.table.results import ModelResults
from segbench.scoring.metrics import SHORT_NAMES

MOST_NAMED = 5
STILL_LEARNING = 0.02
"""Mean IoU on validation images gained in the last quarter of the epochs."""
NOTES = (
    "Rank: the place by mIoU, and the places that 95 % of resamples of the test images give.",
    "Intervals say what other test images would change, blocks of frames that resemble each other kept together; what "
    "another seed of the training would change is not in them.",
    "Latency: the median time of one image, with the CRF where it is on. Front: no entry is both better and faster. "
    "Each model's latency and training time were measured in runs of its own, so on a shared machine small differences "
    "are chance.",
    "Parameters, GMAC and memory are without the CRF.",
)


def described(dataset: str, data: Prepared) -> str:
    """What the dataset is, in a sentence."""
    counts = ", ".join(f"{len(data.split(split))} {split}" for split in SPLITS)
    sizes = sizes_of(data.split("test"))
    return f"{dataset}: {counts} images of {sizes} px, {len(data.classes)} classes. All scores are of the test images."


def summarised(entries: Sequence[Entry], differences: Sequence[Difference]) -> str:
    """The best of what papers report, and which of the others cannot be told from it."""
    best = max((entry for entry in entries if entry.as_in_paper), key=lambda entry: entry.mean_iou.value or 0)
    score = f"mIoU {percent(best.mean_iou.value)}\N{NO-BREAK SPACE}% [{interval(best.mean_iou)}]"
    near = {frozenset((two.first, two.second)) for two in differences if two.adjusted_p_value >= SIGNIFICANT}
    alike = [one.label for one in entries if one.as_in_paper and frozenset((best.label, one.label)) in near]
    about = "With the CRF only where its paper has one,"
    if not alike:
        return f"{about} {best.label} is best: {score}; no other comes within noise of it."
    named = ", ".join(alike[:MOST_NAMED]) + (f" and {len(alike) - MOST_NAMED} more" if len(alike) > MOST_NAMED else "")
    return f"{about} none is clearly best: {best.label} has {score}; within noise of it: {named}."


def averaged(entries: Sequence[Entry]) -> str:
    """Over how many classes the means run: a class without a pixel, true or predicted, is left out."""
    counts = sorted({entry.num_classes_averaged for entry in entries})
    return f"Means over classes are over {' to '.join(map(str, counts))} of {len(entries[0].class_iou)}."


def of_pictures(data: Prepared) -> str:
    """How a page's test images are scored, and what was chosen of them before."""
    rows, shown = data.split("test"), pictured(data)
    texts = ["By the mean IoU of the image, over all entries."]
    if len(shown) < len(rows):
        texts.append(f"They are out of {len(shown)}, evenly spaced.")
    if any(max(row.height_px, row.width_px) > MAX_SIDE_PX for row in shown):
        texts.append(f"Larger ones are reduced to {MAX_SIDE_PX} px.")
    return " ".join(texts)


def limits(
    data: Prepared, trainings: Sequence[dict[str, Any]], *, curves: Sequence[Curve] = (), joined: float | None = None
) -> tuple[str, ...]:
    """What the comparison cannot tell, for its split, its resolution, its backbone and its trainings.

    joined: how many times as large errors of mIoU are with neighbouring blocks joined in pairs, if that is known.
    """
    settings = _common_settings(trainings)
    scale, name = settings["samples"]["scale"], settings["backbone"]["name"]
    train, val, test = ({row.group for row in data.split(split)} for split in SPLITS)
    val_blocks, test_blocks = (len({row.block for row in data.split(split)}) for split in ("val", "test"))
    seen = sum(row.group in train for row in data.split("test"))
    machines = {training["machine"] for training in trainings}
    once = sum(len(training["trainings"]) == 1 for training in trainings)
    texts = []
    if len(train | test) > 1 and seen:
        texts.append(
            f"Split: training images are of the same groups as {seen} of the {len(data.split('test'))} test images, so "
            "scores on other groups may be lower."
        )
    if val_blocks < len(data.split("val")):
        texts.append(
            f"Validation: {len(data.split('val'))} images, pieces of {_counted(val, 'group')}"
            f"{', of which training images are too' if val <= train else ''}. What is chosen on them, such as the "
            "CRF's parameters, fits few scenes."
        )
    if len(test) < test_blocks < len(data.split("test")):
        wider = f" With neighbours joined in pairs, errors of mIoU are {joined:.1f} times as large." if joined else ""
        texts.append(
            f"Intervals: {test_blocks} blocks of test images are drawn as if independent, but are pieces of "
            f"{_counted(test, 'group')}.{wider} What other groups would change is not in any interval."
        )
    if test_blocks < LEAST_BLOCKS:
        drawn = "blocks of test images" if test_blocks < len(data.split("test")) else "test images"
        texts.append(f"Test images: intervals rest on only {test_blocks} {drawn}, so they are rough themselves.")
    texts.append(f"Backbone: all networks have {name}. An architecture made for a larger one may gain more from it.")
    texts.append(f"Schedule: {settings['train']['epochs']} epochs for all. {_learning(curves)}")
    if scale < 1:
        texts.append(
            f"Resolution: networks see images at {scale:g} of their size, so what is thin there is lost to all."
        )
    if len(machines) > 1:
        texts.append(f"Costs: models were trained on {len(machines)} machines; times compare within each alone.")
    if once:
        texts.append(
            f"Seeds: {once} of {len(trainings)} models were trained once; what another seed would change is not known."
        )
    return tuple(texts)


def _counted(things: Collection[str], name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"


def _learning(curves: Sequence[Curve]) -> str:
    """Which models a longer schedule would lift: the last epoch beats every one before the last quarter by far."""
    still = []
    for curve in curves:
        by_epoch = zip(curve.epochs, curve.mean_iou, strict=True)
        before = [score for epoch, score in by_epoch if score is not None and epoch <= 0.75 * curve.epochs[-1]]
        if before and (curve.mean_iou[-1] or 0) - max(before) > STILL_LEARNING:
            still.append(curve.model)
    if not still:
        return "On validation images, none gained much in the last quarter of them."
    return (
        f"On validation images, {', '.join(still)} still gained more than {100 * STILL_LEARNING:g} points in the last "
        "quarter of them: longer training may change their places."
    )


def crf_choices(models: Sequence[ModelResults]) -> tuple[tuple[str, ...], ...]:
    """What each search found: its best gain on validation images, and the parameters that gave it.

    A heading and a row a model; without parameters where none helps, so that the CRF changes nothing.
    """
    names = models[0].crf["best"]["parameters"]
    rows = []
    for model in models:
        gain, chosen = model.crf["best"]["score"] - model.crf["score_without"], model.crf["chosen"]
        rows.append((model.name, points(gain), *(f"{chosen[name]:.3g}" if chosen else MISSING for name in names)))
    return (("Model", "gain, points", *names), *rows)


def of_crf_choices(models: Sequence[ModelResults]) -> str:
    """On which images the parameters were chosen, by which score, and their units."""
    search = models[0].crf
    (short,) = (short for short, name in SHORT_NAMES.items() if name == search["objective"])
    return (
        f"Parameters chosen by {short} of {search['num_images']} validation images, and the gain there; "
        f"{MISSING}: none helps, so the CRF is left out. Sigmas: xy in fractions of the image's diagonal, rgb in grey "
        "levels."
    )


def _common_settings(trainings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of a model that does not deviate from the common protocol, if there is one."""
    settings: dict[str, Any] = next((t for t in trainings if not t["deviations"]), trainings[0])["settings"]
    return settings


def protocol(dataset: str, data: Prepared, trainings: Sequence[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """What all rows have in common, as the stages wrote it."""
    settings = _common_settings(trainings)
    samples, schedule, backbone = settings["samples"], settings["train"], settings["backbone"]
    crop_height, crop_width = samples["crop_px"]
    batch = f"batch {schedule['batch_size']}{' a device' if schedule['devices'] != 1 else ''}"
    optimizer = f"{schedule['optimizer']}, lr {schedule['lr']:g} (backbone {schedule['backbone_lr_factor']:g} of it)"
    versions = {", ".join(f"{name} {number}" for name, number in t["versions"].items()) for t in trainings}
    commits = {one["commit"] for training in trainings for one in training["trainings"]}
    blocks = len({row.block for row in data.split("test")})
    return (
        ("dataset", f"{dataset}, fingerprint {data.fingerprint}"),
        (
            "scores",
            "one confusion matrix over the test split, whole images at their own size, no test-time augmentation",
        ),
        ("intervals", f"95 %, studentised bootstrap over {blocks} blocks of {len(data.split('test'))} test images"),
        ("network input", f"images at {samples['scale']:g} of their size, training crops {crop_width}x{crop_height}"),
        ("backbone", f"{backbone['name']}, weights {backbone['weights']}"),
        ("schedule", f"{schedule['epochs']} epochs, {batch}, {optimizer}"),
        ("loss", " + ".join(f"{weight:g} {name}" for name, weight in schedule["loss"].items())),
        ("class weights", schedule["class_weights"]),
        ("rare-class sampling", f"{schedule['rare_class_sampling']:g} of the samples"),
        ("checkpoint", schedule["checkpoint"]),
        ("precision", f"training {schedule['precision']}, prediction float32"),
        ("seeds", ", ".join(map(str, schedule["seeds"]))),
        ("trained at commit", "; ".join(sorted(commits))),
        ("machine", "; ".join(sorted({training["machine"] for training in trainings}))),
        ("versions", "; ".join(sorted(versions))),
    )
