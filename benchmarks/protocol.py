"""What choices of the protocol are worth: trainings that differ in one of them. Run with `make protocol`.

On augmented samples that `dvc repro` has made. Every training takes the values of params.yaml, without search, and the
changes that its row names. What was killed continues: finished trainings lie in data/checkpoints until the end.
Two are trained at a time. `search` tries the candidates of the dataset's search with every network, and ends with lines
for params.yaml, so that a first run need not try them again.
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
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from benchmarks.markdown import print_table
from segbench import params
from segbench.checkpoints import hold
from segbench.datasets.prepared import Prepared
from segbench.machine import describe_machine
from segbench.parallel import THREAD_LIMITS
from segbench.report.table.content import Curve
from segbench.training.samples import AugmentedSamples
from segbench.training.training import Training

PROJECT = Path(__file__).parent.parent
AT_ONCE = 2
"""Trainings side by side."""
LONGER = 3
"""Times the epochs, to see whether networks are finished and in their final order."""


@dataclass(frozen=True)
class Choice:
    """A network's values that differ from params.yaml: of its entry in `models`, and of `train`."""

    model: str
    network: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        changes = {**self.network, **self.train}
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

    def record(self, choice: Choice, *, seed: int, times_epochs: int = 1) -> dict[str, Any]:
        """What the training cost and its curve, after it was run if need be."""
        training = self.training(choice, seed=seed, times_epochs=times_epochs)
        self.folders.add(training.folder)
        with hold({training.key}), redirect_stdout(sys.stderr):
            if not training.has_ended:
                training.run(lambda row: None)
        record = training.record
        print(f"{choice.model}, {choice}, seed {seed}, x{times_epochs}: {validated(record)}", file=sys.stderr)
        return record

    def records(self, choices: Sequence[Choice], *, seed: int, times_epochs: int = 1) -> list[dict[str, Any]]:
        """As `record`, several at a time with one core each, as `make reproduce` trains."""
        os.environ.update(dict.fromkeys(THREAD_LIMITS, "1"))
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
            return Training(self.dataset, choice.model, seed, params.load(file), self.data, self.samples)

    def remove_checkpoints(self) -> None:
        """Of all trainings so far."""
        for folder in self.folders:
            shutil.rmtree(folder)


def rows_of_choices(trainer: Trainer, choices: Sequence[Choice], seeds: Sequence[int]) -> Iterator[list[str]]:
    """Each network as in params.yaml, then with each of its choices, and what that changes."""
    ordered = [
        choice
        for model in dict.fromkeys(choice.model for choice in choices)
        for choice in (Choice(model), *(one for one in choices if one.model == model and one != Choice(model)))
    ]
    by_seed = [trainer.records(ordered, seed=seed) for seed in seeds]
    usual: list[float] = []
    for choice, *records in zip(ordered, *by_seed, strict=True):
        scores = [100 * last_score(record) for record in records]
        if choice == Choice(choice.model):
            usual = scores
        yield [
            choice.model,
            str(choice),
            f"{records[0]['parameters'] / 1e6:.2f}",
            " ".join(f"{score:.1f}" for score in scores),
            f"{statistics.fmean(scores):.1f}",
            "" if scores is usual else difference(scores, usual),
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
    arguments = parser.parse_args()
    trainer = Trainer.open(arguments.dataset, epochs=arguments.epochs)
    seeds, schedule = arguments.seeds, trainer.training(Choice("unet"), seed=0).schedule
    origin = f"{describe_machine()}. Validation mIoU in %; values of params.yaml but for what is named"
    if arguments.what == "choices":
        rows = list(rows_of_choices(trainer, CHOICES[arguments.dataset], seeds))
        print(f"# Choices of the protocol, on {arguments.dataset}\n")
        which = f"seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}"
        error = ", ± its standard error over seeds" if len(seeds) > 1 else ""
        print(f"{origin}. {schedule.epochs} epochs; {which}, one training each.")
        print(f"Difference: from the network as in params.yaml{error}.\n")
        print_table(["network", "choice", "parameters, M", "of each seed", "mean", "difference"], rows)
    elif arguments.what == "search":
        rows = list(rows_of_search(trainer, searched_models(), seed=seeds[0]))
        print(f"# Search for each network's schedule, on {arguments.dataset}\n")
        print(f"{origin}. Every network has tried the same candidates, for {schedule.epochs} epochs each with", end=" ")
        print(f"seed {seeds[0]}.")
        print("The last column goes below `found` in the network's entry of params.yaml.\n")
        tried = [", ".join(f"{name} {value}" for name, value in values.items()) for values in trainer.candidates]
        print_table(["network", *tried, "best"], rows)
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
