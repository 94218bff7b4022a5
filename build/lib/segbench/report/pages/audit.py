"""The page of a dataset's audit: its warnings, its splits and how its classes are balanced."""

from collections.abc import Sequence

from segbench.datasets.audit import Finding, class_images, class_shares, ignored_share
from segbench.datasets.prepared import Prepared, Row
from segbench.datasets.source import SPLITS
from segbench.errors import MOST_LISTED
from segbench.report.pages.markdown import table


def audit_markdown(data: Prepared, findings: Sequence[Finding], *, dataset: str) -> str:
    """The page. findings: the audit's; the first images of each are listed."""
    lines = [f"# Audit of {dataset}", ""]
    lines += ["Every image is readable and as large as its label map. Every pixel has one of the classes, or none.", ""]
    lines += [line for finding in findings for line in _warning(finding)] or ["No warnings.", ""]
    lines += [*_splits(data), ""]
    lines += ["Each class's share of the labelled pixels, and the number of images that show it:", ""]
    lines += [*_classes(data), "", "Training images under their classes' colours: [images.jpg](images.jpg)."]
    return "\n".join(lines) + "\n"


def _warning(finding: Finding) -> list[str]:
    listed = [f"- {image}" for image in finding.images[:MOST_LISTED]]
    if len(finding.images) > MOST_LISTED:
        listed.append(f"- ... and {len(finding.images) - MOST_LISTED} more")
    return [f"**Warning:** {finding.says}.", "", *listed, *([""] if listed else [])]


def _splits(data: Prepared) -> list[str]:
    header = ["Split", "Size (px)", "Images", "Groups", "Without a class %"]
    rows = []
    for split in SPLITS:
        images = data.split(split)
        groups = {row.group for row in images}
        rows.append([split, _sizes(images), str(len(images)), str(len(groups)), f"{100 * ignored_share(images):.1f}"])
    return table(header, rows, left=2)


def _sizes(images: Sequence[Row]) -> str:
    """Width by height of the smallest image by area, and of the largest if it differs."""
    by_area = sorted({(row.width_px * row.height_px, row.width_px, row.height_px) for row in images})
    return " to ".join(f"{width}x{height}" for _, width, height in dict.fromkeys((by_area[0], by_area[-1])))


def _classes(data: Prepared) -> list[str]:
    shares = {split: class_shares(data.split(split)) for split in SPLITS}
    counts = {split: class_images(data.split(split)) for split in SPLITS}
    header = ["Class", *(f"{split} %" for split in SPLITS), *(f"Images of {split}" for split in SPLITS)]
    rows = [
        [
            name,
            *(f"{100 * shares[split][index]:.2f}" for split in SPLITS),
            *(str(counts[split][index]) for split in SPLITS),
        ]
        for index, name in enumerate(data.classes.names)
    ]
    return table(header, rows, left=1)
