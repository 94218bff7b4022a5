"""Confusion matrices and costs of all models -> the benchmark table, its page, its figure and DVC's plots."""

from math import ceil
from pathlib import Path

from pipeline.command import run
from segbench import params
from segbench.datasets.prepared import Prepared
from segbench.files import read_json, replacing, write_json
from segbench.report.drawing.figures import write_grid
from segbench.report.drawing.pictures import pictured, read_contact_sheet, reduced_image, reduced_label_map
from segbench.report.drawing.plots import write_confusions, write_curves
from segbench.report.pages.benchmark import latex, markdown, write_csv, write_differences
from segbench.report.pages.html import write_page
from segbench.report.pages.wording import (
    NOTES,
    averaged,
    crf_choices,
    described,
    limits,
    of_crf_choices,
    of_pictures,
    protocol,
    summarised,
)
from segbench.report.table.assemble import Contender, compare, error_ratio_of_joined_blocks, groups_of, worst_first
from segbench.report.table.claims import Finding
from segbench.report.table.content import Page
from segbench.report.table.published import published_on
from segbench.report.table.results import ModelResults
from segbench.scoring.counts import predicted_label_map, read_counts

FIGURE_CELL_PX = 240
LABEL_MAPS = {False: "label_maps.png", True: "label_maps_crf.png"}
"""By whether the CRF is on."""


def main(*, dataset: str, prepared: Path, external: Path, results: Path, findings: Path, out: Path) -> None:
    """Compare the models of one dataset, and the predictions of other programs; all reports go to the folder `out`."""
    parameters = params.load()
    entry = parameters.dataset(dataset)
    data = Prepared.open(prepared)
    rows = pictured(data)
    models = [
        ModelResults.read(name, results / name, ends_with_crf=parameters.model(name).ends_with_crf)
        for name in parameters.benchmark.models
    ]
    published = published_on(entry.source)
    label_maps = {
        one: read_contact_sheet(results / model.name / LABEL_MAPS[one.crf], rows)
        for model in models
        for one in model.scored(published.get(model.name))
    }
    for name in entry.predictions:
        counts = read_counts(external / f"{name}.npz")["off"]
        one = Contender(name, crf=False, confusions=counts.confusions, trimap=counts.trimap)
        label_maps[one] = [reduced_label_map(predicted_label_map(external / name, row)) for row in rows]
    entries, differences = compare(list(label_maps), data)
    trainings = [model.training for model in models]
    curves = tuple(model.curve for model in models if model.epochs)
    content = Page(
        dataset=dataset,
        description=described(dataset, data),
        result=summarised(entries, differences),
        classes=data.classes,
        entries=entries,
        num_images=len(data.split("test")),
        num_seeds=max(len(one.confusions) for one in label_maps),
        protocol=protocol(dataset, data, trainings),
        notes=(*NOTES, averaged(entries)),
        limits=limits(data, trainings, curves=curves, joined=error_ratio_of_joined_blocks(list(label_maps), data)),
        crf_choices=crf_choices(models),
        crf_choices_note=of_crf_choices(models),
        curves=curves,
        boundary_widths_px=tuple(parameters.evaluate.trimap_widths_px),
        groups=groups_of(data),
        differences=differences,
        findings=tuple(Finding(**finding) for finding in read_json(findings)),
        test_images=worst_first(data, entries, label_maps),
        test_images_note=of_pictures(data),
    )
    write_csv(out / "benchmark.csv", content)
    mean_iou = {entry.label.replace(" + CRF", "+crf"): entry.mean_iou.value for entry in entries}
    write_json(out / "metrics.json", {dataset: mean_iou})
    write_differences(out / "differences.csv", differences)
    for name, text in (("benchmark.md", markdown(content)), ("benchmark.tex", latex(content))):
        with replacing(out / name) as temporary:
            temporary.write_text(text)
    write_page(out / "index.html", content)
    write_curves(out / "curves.csv", models)
    write_confusions(out / "confusion.csv", entries, data.classes)

    shown = range(0, len(rows), ceil(len(rows) / parameters.compare.figure_images))
    reported = {one.model: found for one, found in label_maps.items() if not one.crf}
    predicted = [[data.classes.colorize(found[index]) for index in shown] for found in reported.values()]
    images = [reduced_image(data.image(rows[index])) for index in shown]
    truths = [data.classes.colorize(reduced_label_map(data.label_map(rows[index]))) for index in shown]
    write_grid(
        out / "examples.png",
        [images, truths, *predicted],
        row_headers=["image", "truth", *reported],
        classes=data.classes,
        cell_width_px=FIGURE_CELL_PX,
    )


if __name__ == "__main__":
    run(main)
