"""Raw images -> PNG files and a manifest in the prepared form, a page with the audit, and a contact sheet."""

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.command import run
from segbench import params, tracking
from segbench.datasets.audit import Finding, audit
from segbench.datasets.catalog import open_source
from segbench.datasets.left_out import check_left_out
from segbench.datasets.preparation import prepare_and_align
from segbench.datasets.prepared import Prepared
from segbench.files import replacing
from segbench.report.drawing.figures import overlay, write_grid
from segbench.report.pages.audit import audit_markdown

SHEET_IMAGES = 12
SHEET_COLUMNS = 3


def main(*, dataset: str, out: Path, page: Path, contact_sheet: Path) -> None:
    """Prepare one dataset and audit it; warnings go to the page, to stderr and to MLflow."""
    entry = params.load().dataset(dataset)
    source = open_source(entry.source)
    check_left_out(entry.leave_out, {f"{each.split}/{each.name}" for each in source.examples}, dataset=dataset)
    prepared, alignments = prepare_and_align(source, out)
    findings = audit(prepared, alignments)
    for finding in findings:
        print(f"warning: {dataset}: {finding.says}; see {page}", file=sys.stderr)
    with replacing(page) as temporary:
        temporary.write_text(audit_markdown(prepared, findings, dataset=dataset), encoding="utf-8")
    _write_contact_sheet(contact_sheet, prepared)
    _track(dataset, prepared, findings, files=[page, contact_sheet])


def _write_contact_sheet(path: Path, prepared: Prepared) -> None:
    cells = []
    for row in prepared.sample("train", SHEET_IMAGES):
        image, label_map = prepared.image(row), prepared.label_map(row)
        cells += [image, overlay(image, label_map, prepared.classes)]
    per_row = 2 * SHEET_COLUMNS
    write_grid(
        path,
        [cells[start : start + per_row] for start in range(0, len(cells), per_row)],
        headers=["photo", "truth over it"],
        classes=prepared.classes,
        marks={},
    )


def _track(dataset: str, prepared: Prepared, findings: Sequence[Finding], files: Sequence[Path]) -> None:
    with tracking.evaluation_run(dataset=dataset, name="audit", key=f"audit of {prepared.fingerprint}") as run:
        run.set_tags({f"warning {number}": finding.says for number, finding in enumerate(findings, start=1)})
        run.log_metrics({"warnings": len(findings), "images": len(prepared.rows)})
        for path in files:
            run.log_file(path)


if __name__ == "__main__":
    run(main)
