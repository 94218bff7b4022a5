"""Everything that a dataset's reports show, in one object."""

from collections.abc import Mapping, Sequence

from segbench.datasets.catalog import Attribution
from segbench.datasets.prepared import Prepared
from segbench.report.pages.about import about
from segbench.report.pages.answer import answers
from segbench.report.pages.limits import cautions, limits
from segbench.report.pages.listing import describe_trainings
from segbench.report.pages.protocol import LICENCE, protocol
from segbench.report.pages.wording import (
    crf_choices,
    describe_averaging,
    describe_crf_choices,
    describe_dataset,
    describe_doubts,
    describe_first_seeds,
    describe_groups,
    describe_intervals,
    describe_matrices,
    describe_test_images,
    describe_times,
)
from segbench.report.table.claims import Finding
from segbench.report.table.comparison import (
    Contender,
    boundary_shares,
    compare,
    error_ratio_with_longer_blocks,
    groups_of,
    scored_images,
)
from segbench.report.table.content import Page
from segbench.report.table.results import ModelResults
from segbench.report.table.suspects import find_suspects


def assemble_page(
    dataset: str, data: Prepared, models: Sequence[ModelResults], contenders: Sequence[Contender], *,
    failed: Mapping[str, str], findings: Sequence[Finding], boundary_widths_px: Sequence[float],
    left_out: Sequence[str], champion: str, attribution: Attribution,
) -> Page:  # fmt: skip
    """Compare the contenders, and say what the comparison shows and what limits it.

    data: without the test images of `left_out`, which scores leave out. failed, champion: as in `Page`.
    attribution: of the images.
    """
    suspects = find_suspects(contenders, data)
    found = compare(contenders, data, doubtful=[image.name for image in suspects.images])
    entries = found.entries
    curves = [curve for model in models if not model.epochs.empty for curve in model.curves]
    longer = error_ratio_with_longer_blocks(contenders, found.blocks)
    num_trainings = {model.name: len(model.seeds) for model in models}
    notes = [
        describe_intervals(found, num_images=len(data.split("test"))), describe_times(entries),
        describe_averaging(entries), describe_first_seeds(num_trainings), describe_matrices(len(data.classes)),
    ]  # fmt: skip
    others = [contender.model for contender in contenders if contender.model not in num_trainings]
    return Page(
        dataset=dataset,
        description=describe_dataset(dataset, data, left_out=left_out),
        answers=answers(
            entries,
            found.differences,
            longer=found.differences_with_longer_blocks,
            num_images=len(data.split("test")),
            cautions=cautions(data, curves, num_trainings=num_trainings),
        ),
        trainings=describe_trainings(num_trainings),
        classes=data.classes,
        entries=entries,
        num_images=len(data.split("test")),
        protocol={
            **protocol(dataset, data, models, blocks=found.blocks, num_compared=found.num_compared, others=others),
            LICENCE: attribution.licence,
        },
        notes=tuple(note for note in notes if note),
        limits=limits(
            data, models, curves=curves, blocks=found.blocks, longer=longer, suspects=suspects, entries=entries
        ),
        num_compared=found.num_compared,
        crf_choices=crf_choices(models),
        crf_choices_note=describe_crf_choices(models),
        curves=tuple(curves),
        boundary_shares=dict(zip(boundary_widths_px, boundary_shares(contenders[0].counts), strict=True)),
        groups=groups_of(data),
        groups_note=describe_groups(data, entries),
        differences=found.differences,
        differences_with_longer_blocks=found.differences_with_longer_blocks,
        findings=tuple(findings),
        test_images=scored_images(data, entries, contenders, doubts=describe_doubts(suspects)),
        test_images_note=describe_test_images(data),
        failed=failed,
        champion=champion,
        about=about(models, attribution),
    )
