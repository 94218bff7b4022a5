"""The counts and costs of all models -> the results table, its pages, its figure and DVC's plots."""

from pathlib import Path

from pipeline.command import run
from segbench import params, tracking
from segbench.checkpoints import remove_finished
from segbench.datasets.catalog import attribution
from segbench.datasets.left_out import open_scored
from segbench.files import read_json, replacing, write_csv, write_json
from segbench.report.drawing.examples import write_examples
from segbench.report.drawing.pictures import pictured
from segbench.report.pages.assemble import assemble_page
from segbench.report.pages.benchmark import benchmark_latex, benchmark_markdown, benchmark_table, differences_table
from segbench.report.pages.page import page_html
from segbench.report.pages.plots import confusion_table, curves_table
from segbench.report.table.agreement import check_agreement, check_any_trained
from segbench.report.table.champion import champion_content, describe_champion
from segbench.report.table.claims import Finding
from segbench.report.table.failures import failure_of
from segbench.report.table.results import ModelResults, external_contender
from segbench.scoring.results import groups_table, results_table


def main(
    *, dataset: str, prepared: Path, external: Path, results: Path, latency: Path, findings: Path, out: Path
) -> None:
    """Compare the models of one dataset, and the predictions of other programs; all reports go to the folder `out`."""
    parameters = params.load()
    entry = parameters.dataset(dataset)
    data = open_scored(prepared, entry.leave_out, dataset=dataset)
    rows = pictured(data)
    trainings = {name: read_json(results / name / "training.json") for name in parameters.benchmark.models}
    check_agreement(trainings, fingerprint=data.fingerprint, results=results)
    failures = {name: failure_of(training) for name, training in trainings.items()}
    check_any_trained(failures, results=results)
    latencies = read_json(latency)["models"]
    models = [
        ModelResults.read(name, results / name, latency=latencies[name])
        for name, failure in failures.items()
        if not failure
    ]
    others = [external_contender(name, external, rows) for name in entry.predictions]
    contenders = [each for model in models for each in model.contenders(rows)]
    contenders += others
    page = assemble_page(
        dataset, data, models, contenders,
        failed={name: failure for name, failure in failures.items() if failure},
        findings=[Finding(**finding) for finding in read_json(findings)],
        boundary_widths_px=parameters.evaluate.trimap_widths_px,
        left_out=entry.leave_out,
        champion=describe_champion(models, parameters.champion, dataset=dataset),
        attribution=attribution(entry.source),
    )  # fmt: skip

    counts = {model.name: model.counts for model in models} | {other.model: {"off": other.counts} for other in others}
    seeds = {model.name: model.seeds for model in models}
    groups = {group.name: [row.group == group.name for row in data.split("test")] for group in page.groups}
    tables = {
        "benchmark": benchmark_table(page),
        "differences": differences_table(page),
        "results": results_table(counts, seeds=seeds, class_names=data.classes.names),
        "groups": groups_table(counts, groups=groups, seeds=seeds, class_names=data.classes.names),
        "curves": curves_table(models),
        "confusion": confusion_table(page.entries, data.classes),
    }
    for name, table in tables.items():
        write_csv(out / f"{name}.csv", table)
    texts = {
        "benchmark.md": benchmark_markdown(page), "benchmark.tex": benchmark_latex(page), "index.html": page_html(page),
    }  # fmt: skip
    for name, text in texts.items():
        with replacing(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    mean_iou = {shown.label.replace(" + CRF", "+crf"): shown.mean_iou.value for shown in page.entries}
    write_json(out / "metrics.json", {dataset: mean_iou})
    write_json(out / "champion.json", champion_content(models, parameters.champion))
    without_crf = [each for each in contenders if not each.crf]
    write_examples(
        out / "examples.png", data, {each.model: each.label_maps for each in without_crf},
        mean_ious={each.model: each.counts.mean_ious(rows, of=data.split("test")) for each in without_crf},
        num_images=parameters.compare.figure_images,
    )  # fmt: skip

    from segbench.report.tracked import log_benchmark  # late, as in evaluate

    log_benchmark(data, dataset=dataset, table=tables["benchmark"], trainings=trainings, latencies=latencies, out=out)
    tracking.send_waiting()
    remove_finished(dataset)


if __name__ == "__main__":
    run(main)
