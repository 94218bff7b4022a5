"""What choices of the protocol are worth: trainings that differ in one of them. Run with `make protocol`.

On augmented samples that `dvc repro` has made, but for choices that change them. Every training takes the values of
params.yaml, without search, and the changes that its row names. What was killed continues: finished trainings lie in
data/checkpoints until the end. Two are trained at a time. `search` tries the candidates of the dataset's search with
every network, and ends with lines for params.yaml, so that a first run need not try them again.
"""

import argparse
import math
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from benchmarks.markdown import print_table
from segbench import params
from segbench.augment.stream import write_augmented
from segbench.checkpoints import hold
from segbench.datasets.prepared import Prepared
from segbench.files import replacing
from segbench.machine import describe_machine
from segbench.parallel import THREAD_LIMITS
from segbench.report.table.content import Curve
from segbench.training.samples import AugmentedSamples
from segbench.training.training import Training

PROJECT = Path(__file__).parent.parent
AT_ONCE = 2
"""Trainings side by side."""
STRONG_COLORS = {"brightness": [0.6, 1.4], "contrast": [0.6, 1.4], "saturation": [0.6, 1.4], "p": 0.8}
LONGER = 3
"""Times the epochs, to see whether networks are finished and in their final order."""


@dataclass(frozen=True)
class Choice:
    """A network's values that differ from params.yaml: of its entry in `models`, of `train`, and of `augment`.

    transforms: the values that differ, by the transforms' names.
    """

    model: str
    network: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    transforms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def change(self) -> str:
        """What it changes, whatever the network."""
        changes = {**self.network, **self.train, **self.transforms}
        return ", ".join(f"{name} {_plain(value)}" for name, value in changes.items()) or "as in params.yaml"


CHOICES = {
    "scenes": (
        Choice("sliding_window", {"stride": 2}),
        Choice("sliding_window", {"stride": 4}),
        Choice("fcn_8s", {"head_channels": 128}),
        Choice("fcn_8s", {"head_channels": 512}),
        Choice("fcn_8s", train={"poly_power": 0.9}),
        Choice("fcn_8s", train={"poly_power": 0.9, "batch_size": 4}),
        Choice("unet", train={"poly_power": 0.9}),
        Choice("unet", train={"poly_power": 0.9, "batch_size": 4}),
        Choice("unet", {"decoder_channels": [256, 128, 64, 32, 16]}),
        Choice("pspnet", {"head_channels": 128}),
        Choice("pspnet", {"head_channels": 512}),
        Choice("deeplab_v1", {"head_channels": 128}),
        Choice("deeplab_v1", {"head_channels": 512}),
        Choice("deeplab_v1", {"rates_for_map_px": None}),
        Choice("deeplab_v1", train={"poly_power": 0.9}),
        Choice("deeplab_v1", train={"poly_power": 0.9, "batch_size": 4}),
        Choice("deeplab_v2", {"rates_for_map_px": None}),
        Choice("deeplab_v3", {"head_channels": 128}),
        Choice("deeplab_v3", {"head_channels": 512}),
        Choice("deeplab_v3", {"rates_for_map_px": None}),
        Choice("deeplab_v3", {"output_stride": 16}),
        Choice("deeplab_v3", {"image_pooling": False}),
    ),
    "camvid": (
        Choice("deeplab_v2", {"rates_for_map_px": None}),
        Choice("deeplab_v2", train={"lr": 0.0005, "backbone_lr_factor": 2}),
        Choice("deeplab_v3", {"rates_for_map_px": None}),
        Choice("deeplab_v3", {"output_stride": 16}),
        Choice("deeplab_v3", {"image_pooling": False}),
        Choice("fcn_8s"),
    ),
    "camvid_disjoint": (
        *(
            choice
            for model in ("fcn_8s", "unet", "pspnet", "deeplab_v3_plus")
            for choice in (
                Choice(model, train={"batch_size": 2}),
                Choice(model, train={"batch_size": 8}),
                Choice(model, train={"rare_class_sampling": 0.5}),
                Choice(model, transforms={"RandomScale": {"scale_limit": [-0.5, 0.5]}}),
                Choice(model, transforms={"ColorJitter": STRONG_COLORS}),
            )
        ),
        *(  # not better with these two, and so not tried with the others
            choice
            for model in ("fcn_8s", "unet")
            for choice in (
                Choice(model, train={"poly_power": 1.5}),
                Choice(model, train={"loss": {"cross_entropy": 1}}),
            )
        ),
    ),
}
"""By dataset; one without a change is trained as in params.yaml alone, for comparison."""


@dataclass
class Trainer:
    """Trains choices on a dataset. epochs: instead of those of params.yaml, if given."""

    dataset: str
    data: Prepared
    samples: AugmentedSamples
    epochs: int | None
    folders: set[Path] = field(default_factory=set)

    @classmethod
    def open(cls, dataset: str, *, epochs: int | None) -> "Trainer":
        """With the samples of the stage `augment`."""
        data = Prepared.open(PROJECT / "data" / "prepared" / dataset)
        return cls(dataset, data, AugmentedSamples(PROJECT / "data" / "augmented" / dataset, data), epochs)

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """Of the dataset's search."""
        return params.load(PROJECT / "params.yaml").train_for(self.dataset, "unet").search.candidates

    def samples_of(self, choice: Choice) -> AugmentedSamples:
        """Those of the stage `augment`, or, with other transforms, some that are made now."""
        usual = self.samples.recipe
        transforms = [
            {name: {**values, **choice.transforms.get(name, {})} for name, values in transform.items()}
            for transform in usual.transforms
        ]
        recipe = replace(usual, transforms=transforms)
        if recipe == usual:
            return self.samples
        digest = sha256(f"{self.data.fingerprint} {recipe}".encode()).hexdigest()[:16]
        folder = PROJECT / "data" / "checkpoints" / f"samples-{digest}"
        if not folder.exists():
            with replacing(folder) as temporary:
                write_augmented(recipe, self.data, temporary)
        self.folders.add(folder)
        return AugmentedSamples(folder, self.data)

    def record(self, choice: Choice, *, seed: int, times_epochs: int = 1) -> dict[str, Any]:
        """What the training cost and its curve, after it was run if need be."""
        training = self.training(choice, seed=seed, times_epochs=times_epochs)
        self.folders.add(training.folder)
        with hold({training.key}), redirect_stdout(sys.stderr):
            if not training.has_ended:
                training.run(lambda row: None)
        record = training.record
        print(f"{choice.model}, {choice.change}, seed {seed}, x{times_epochs}: {validated(record)}", file=sys.stderr)
        return record

    def records(self, choices: Sequence[Choice], *, seed: int, times_epochs: int = 1) -> list[dict[str, Any]]:
        """As `record`, several at a time with one core each, as `make reproduce` trains."""
        os.environ.update(dict.fromkeys(THREAD_LIMITS, "1"))
        for choice in choices:
            self.samples_of(choice)
        with ProcessPoolExecutor(AT_ONCE, mp_context=get_context("spawn")) as processes:
            trials = [
                processes.submit(_trial, self.dataset, choice, seed, times_epochs, self.epochs) for choice in choices
            ]
            records = [trial.result() for trial in trials]
        self.folders |= {self.training(choice, seed=seed, times_epochs=times_epochs).folder for choice in choices}
        return records

    def training(self, choice: Choice, *, seed: int, times_epochs: int = 1) -> Training:
        """Not yet run."""
        tree = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
        tree["benchmark"] = {"datasets": [self.dataset], "models": [choice.model], "variants": []}
        tree["variants"] = {}
        found = tree["models"][choice.model].get("found", {}).get(self.dataset, {})
        schedule = {**tree["train"], **tree["datasets"][self.dataset]["train"], **found, **choice.train}
        schedule["epochs"] = times_epochs * (self.epochs or schedule["epochs"])
        schedule |= {"seeds": [seed], "search": {"epochs": 1, "candidates": []}}
        tree["datasets"][self.dataset]["train"] = schedule
        tree["models"][choice.model] |= choice.network
        tree["models"][choice.model].pop("train_on", None)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "params.yaml"
            file.write_text(yaml.safe_dump(tree), encoding="utf-8")
            return Training(self.dataset, choice.model, seed, params.load(file), self.data, self.samples_of(choice))

    def remove_checkpoints(self) -> None:
        """Of all trainings so far."""
        for folder in self.folders:
            shutil.rmtree(folder)


@dataclass(frozen=True)
class Tried:
    """A choice and the records of its trainings, one for each seed."""

    choice: Choice
    records: list[dict[str, Any]]

    @property
    def scores(self) -> list[float]:
        """Validation mIoU in per cent, by seed."""
        return [100 * last_score(record) for record in self.records]

    @property
    def is_usual(self) -> bool:
        """Whether it changes nothing."""
        return self.choice == Choice(self.choice.model)


def try_choices(trainer: Trainer, choices: Sequence[Choice], seeds: Sequence[int]) -> list[Tried]:
    """Each network as in params.yaml, then with each of its choices."""
    ordered = [
        choice
        for model in dict.fromkeys(choice.model for choice in choices)
        for choice in (Choice(model), *(one for one in choices if one.model == model and one != Choice(model)))
    ]
    by_seed = [trainer.records(ordered, seed=seed) for seed in seeds]
    return [Tried(choice, list(records)) for choice, *records in zip(ordered, *by_seed, strict=True)]


def rows_of_choices(tried: Sequence[Tried]) -> Iterator[list[str]]:
    """What each choice changes for its network."""
    usual = {each.choice.model: each.scores for each in tried if each.is_usual}
    for each in tried:
        yield [
            each.choice.model,
            each.choice.change,
            f"{each.records[0]['parameters'] / 1e6:.2f}",
            " ".join(f"{score:.1f}" for score in each.scores),
            f"{statistics.fmean(each.scores):.1f}",
            "" if each.is_usual else difference(each.scores, usual[each.choice.model]),
        ]


def rows_of_changes(tried: Sequence[Tried]) -> Iterator[list[str]]:
    """The means over networks of what all of them were trained with, the best first."""
    models = list(dict.fromkeys(each.choice.model for each in tried))
    found: dict[str, list[Tried]] = {}
    for each in tried:
        found.setdefault(each.choice.change, []).append(each)
    common = {change: of for change, of in found.items() if len(of) == len(models) > 1}
    means = {
        change: [statistics.fmean(of_seed) for of_seed in zip(*(each.scores for each in of), strict=True)]
        for change, of in common.items()
    }
    for change in sorted(common, key=lambda name: -statistics.fmean(means[name])):
        of = common[change]
        yield [
            change,
            *(f"{statistics.fmean(each.scores):.1f}" for each in of),
            f"{statistics.fmean(means[change]):.1f}",
            "" if of[0].is_usual else difference(means[change], means[Choice(models[0]).change]),
            f"{sum(record['training_seconds'] for each in of for record in each.records) / 60:.0f}",
        ]


def rows_of_search(trainer: Trainer, models: Sequence[str], *, seed: int) -> Iterator[list[str]]:
    """Each network's score with every candidate of the dataset's search, and its line for params.yaml."""
    candidates = trainer.candidates
    tasks = [(model, place) for model in models for place in range(len(candidates))]
    records = trainer.records([Choice(model, train=candidates[place]) for model, place in tasks], seed=seed)
    scores = dict(zip(tasks, map(last_score, records), strict=True))
    for model in models:
        of_model = [scores[model, place] for place in range(len(candidates))]
        best = candidates[of_model.index(max(of_model))]
        values = ", ".join(f"{name}: {value}" for name, value in best.items())
        yield [model, *(f"{100 * score:.1f}" for score in of_model), f"`{trainer.dataset}: {{{values}}}`"]


def _trial(dataset: str, choice: Choice, seed: int, times_epochs: int, epochs: int | None) -> dict[str, Any]:
    """In a process of its own."""
    return Trainer.open(dataset, epochs=epochs).record(choice, seed=seed, times_epochs=times_epochs)


def difference(scores: Sequence[float], usual: Sequence[float]) -> str:
    """The mean difference of trainings with the same seeds, and its standard error if there are several."""
    differences = [one - other for one, other in zip(scores, usual, strict=True)]
    error = f" ± {statistics.stdev(differences) / math.sqrt(len(differences)):.1f}" if len(differences) > 1 else ""
    mean = round(statistics.fmean(differences), 1) + 0.0  # no -0.0
    return f"{mean:+.1f}{error}"


def rows_of_longer(trainer: Trainer, models: Sequence[str], *, seed: int) -> Iterator[list[str]]:
    """Each network after the epochs of params.yaml and after LONGER times as many, the best of the latter first."""
    choices = [Choice(model) for model in models]
    usual, longer = (
        dict(zip(models, trainer.records(choices, seed=seed, times_epochs=times), strict=True)) for times in (1, LONGER)
    )
    places = {
        model: [1 + sum(last_score(other) > last_score(of[model]) for other in of.values()) for of in (usual, longer)]
        for model in models
    }
    for model in sorted(models, key=lambda name: places[name][1]):
        yield [
            model,
            f"{100 * last_score(usual[model]):.1f}",
            f"{100 * gain_of_last_quarter(usual[model]):+.1f}",
            f"{100 * last_score(longer[model]):.1f}",
            *(str(place) for place in places[model]),
        ]


def last_score(record: Mapping[str, Any]) -> float:
    """Validation mIoU after the last epoch."""
    return max(validated(record).items())[1]


def gain_of_last_quarter(record: Mapping[str, Any]) -> float:
    """Validation mIoU that the last quarter of the epochs has added, as the page tells it."""
    scores = validated(record)
    gain = Curve("", tuple(scores), tuple(scores.values())).late_gain
    assert gain is not None
    return gain


def validated(record: Mapping[str, Any]) -> dict[int, float]:
    """Validation mIoU by epoch."""
    return {row["epoch"]: row["val_mean_iou"] for row in record["epochs"] if row["val_mean_iou"] is not None}


def searched_models() -> list[str]:
    """The selected models that are trained by epochs."""
    parameters = params.load(PROJECT / "params.yaml")
    return [name for name in parameters.benchmark.models if parameters.models[name].has_schedule]


def main() -> None:
    """Print a table; a line per training goes to stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("choices", "longer", "search"), help=f"longer: {LONGER} times the epochs")
    parser.add_argument("--dataset", choices=CHOICES, default="scenes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--epochs", type=int, help="instead of those of params.yaml")
    parser.add_argument("--only", nargs="+", help="changes to try, by how the table begins them: 'batch_size 2'")
    arguments = parser.parse_args()
    trainer = Trainer.open(arguments.dataset, epochs=arguments.epochs)
    seeds, schedule = arguments.seeds, trainer.training(Choice("unet"), seed=0).schedule
    origin = f"{describe_machine()}. Validation mIoU in %; values of params.yaml but for what is named"
    if arguments.what == "choices":
        choices = [
            choice
            for choice in CHOICES[arguments.dataset]
            if not arguments.only or choice.change.startswith(tuple(arguments.only))
        ]
        tried = try_choices(trainer, choices, seeds)
        print(f"# Choices of the protocol, on {arguments.dataset}\n")
        which = f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
        error = ", ± its standard error over seeds" if len(seeds) > 1 else ""
        print(f"{origin}. {schedule.epochs} epochs; {which}, one training each.")
        print(f"Difference: from the network as in params.yaml{error}.\n")
        columns = ["network", "choice", "parameters, M", "of each seed", "mean", "difference"]
        print_table(columns, list(rows_of_choices(tried)))
        if rows := list(rows_of_changes(tried)):
            print("\n## What all of these networks were trained with\n")
            networks = dict.fromkeys(each.choice.model for each in tried)
            print_table(["choice", *networks, "mean", "difference", "core minutes"], rows)
        seconds = [record["training_seconds"] for each in tried for record in each.records]
        print(f"\n{len(seconds)} trainings, {sum(seconds) / 3600:.1f} hours of one core in all.")
    elif arguments.what == "search":
        rows = list(rows_of_search(trainer, searched_models(), seed=seeds[0]))
        print(f"# Search for each network's schedule, on {arguments.dataset}\n")
        print(f"{origin}. Every network has tried the same candidates, for {schedule.epochs} epochs each with", end=" ")
        print(f"seed {seeds[0]}.")
        print("The last column goes below `found` in the network's entry of params.yaml.\n")
        values_tried = [", ".join(f"{name} {value}" for name, value in values.items()) for values in trainer.candidates]
        print_table(["network", *values_tried, "best"], rows)
    else:
        models = searched_models()
        rows = list(rows_of_longer(trainer, models, seed=seeds[0]))
        once, thrice = f"{schedule.epochs} epochs", f"{LONGER * schedule.epochs} epochs"
        print(f"# {LONGER} times the epochs, on {arguments.dataset}\n")
        print(f"{origin}. Seed {seeds[0]}, one training each. Gain: of the last quarter of the epochs.\n")
        print_table(["network", once, "gain", thrice, f"place after {once}", f"after {thrice}"], rows)
    trainer.remove_checkpoints()


def _plain(value: Any) -> str:
    return "as in the paper" if value is None else str(value)


if __name__ == "__main__":
    main()
