"""The page of a dataset's audit: its warnings, its splits and how its classes are balanced."""

from collections.abc import Sequence

from segbench.datasets.audit import Finding, class_images, class_shares, ignored_share
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import SPLITS
from segbench.errors import MOST_LISTED
from segbench.report.markdown import table


def audit_markdown(data: Prepared, findings: Sequence[Finding], *, dataset: str) -> str:
    """The page. findings: the audit's; the first images of each are listed."""
    lines = [f"# Audit of {dataset}", ""]
    lines += ["Every image is readable, of one size with its label map, and has no label outside the classes.", ""]
    lines += [line for finding in findings for line in _warning(finding)] or ["Nothing else to warn of.", ""]
    lines += [*_splits(data), "", *_classes(data), "", "Images under their classes' colours: [images.png](images.png)."]
    return "\n".join(lines) + "\n"


def _warning(finding: Finding) -> list[str]:
    listed = [f"- {image}" for image in finding.images[:MOST_LISTED]]
    if len(finding.images) > MOST_LISTED:
        listed.append(f"- ... and {len(finding.images) - MOST_LISTED} more")
    return [f"**Warning:** {finding.says}.", "", *listed, *([""] if listed else [])]


def _splits(data: Prepared) -> list[str]:
    rows = []
    for split in SPLITS:
        images = data.split(split)
        heights, widths = ([getattr(row, side) for row in images] for side in ("height_px", "width_px"))
        smallest, largest = (f"{pick(widths)}x{pick(heights)}" for pick in (min, max))
        size = smallest if smallest == largest else f"{smallest} to {largest}"
        rows.append(
            [
                split,
                size,
                str(len(images)),
                str(len({row.group for row in images})),
                f"{100 * ignored_share(images):.1f}",
            ]
        )
    return table(["Split", "Size (px)", "Images", "Groups", "Without a class %"], rows, left=2)


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
