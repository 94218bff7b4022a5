"""The trials of a search: short trainings whose values Optuna draws, in a study that outlives any process.

Several processes may work on one study, also on several machines where it lies in a database that all reach. A trial
whose process was killed is continued by the next process that starts on the same machine.
"""

import os
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from segbench import params, tracking
from segbench.checkpoints import BEST, LAST, WEIGHTS
from segbench.datasets.prepared import Prepared
from segbench.datasets.source import SPLITS
from segbench.errors import InputError
from segbench.files import project_root
from segbench.parallel import THREAD_LIMITS, num_cores
from segbench.search.space import Space, check_paths, drawn, each_alone, first_values, parsed, shown, stored
from segbench.tracking.location import shown as without_password
from segbench.training.curves import Epoch
from segbench.training.samples import AugmentedSamples
from segbench.training.training import Training, has_diverged, validation_mean_iou

DATA, FOLDER = Path("data"), Path("data/search")
PLACE, SECONDS, WHY, BASE, SPACE = "place", "seconds", "why", "base", "space"
"""Attributes of trials, and the last two of the study."""
NO_VARIANTS: dict[str, Any] = {"benchmark.variants": [], "variants": {}}
"""A search trains none, and a variant must differ from its model, whose values a trial changes."""
MAXIMUM_WAIT_S = 60
"""For another process that writes to the database."""

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@dataclass(frozen=True)
class TrialTraining(Training):
    """A training whose files lie in the search's folder, away from those of the benchmark."""

    place: Path = field(kw_only=True)

    @property
    def folder(self) -> Path:
        """Where its checkpoints and its record are."""
        return self.place


@dataclass(frozen=True)
class Search:
    """What is searched for, and where. epochs: of each trial; storage: a database's address, or empty for a file."""

    dataset: str
    model: str
    space: Space
    name: str
    epochs: int
    pruner: str
    seed: int
    storage: str

    @classmethod
    def checked(
        cls, target: str, options: list[str], *, name: str, epochs: int | None, pruner: str, seed: int, storage: str
    ) -> "Search":
        """What a user asks for. Raises InputError, before any work, for what cannot be searched.

        target: DATASET/MODEL; options: such as train.lr=0.001:0.1:log; epochs: None for those of params.yaml.
        """
        dataset, slash, model = target.partition("/")
        if not slash or "/" in model:
            raise InputError(f"{target}: name DATASET/MODEL, such as scenes/unet")
        parameters, space = params.load(), parsed(options)
        schedule = parameters.train_for(dataset, model)
        if not parameters.model(model).has_schedule:
            raise InputError(f"{target}: {model} is not trained by epochs, so that there is nothing to search for")
        check_paths(space, dataset=dataset, model=model)
        name = name or f"{dataset}-{model}"
        if not name.replace("-", "").replace("_", "").isalnum():
            raise InputError(f"--name {name}: it must have only letters, digits, - and _")
        found = cls(dataset, model, space, name, epochs or schedule.epochs, pruner, seed, storage)
        found._check_effects()
        return found

    @property
    def folder(self) -> Path:
        """Where the trials' files are."""
        return project_root() / FOLDER / self.name

    @property
    def seed_of_training(self) -> int:
        """The same for all trials: the first that params.yaml names."""
        return params.load().train_for(self.dataset, self.model).seeds[0]

    def training(self, values: dict[str, Any], *, place: Path) -> TrialTraining:
        """A trial's training. InputError if params.yaml would be wrong with the values."""
        parameters = params.load(changes={**values, **NO_VARIANTS})
        found = {"epochs": self.epochs, "devices": 1, "nodes": 1}
        return TrialTraining(
            self.dataset, self.model, self.seed_of_training, parameters, *self._data, found=found, place=place
        )

    @cached_property
    def _data(self) -> tuple[Prepared, AugmentedSamples]:
        try:
            data = Prepared.open(DATA / "prepared" / self.dataset)
            return data, AugmentedSamples(DATA / "augmented" / self.dataset, data)
        except InputError as error:
            raise InputError(f"{error}; make the samples first: dvc repro augment@{self.dataset}") from None

    def _check_effects(self) -> None:
        """Every value is valid, and every path changes what is trained, instead of being overridden by another."""
        for path, changes in each_alone(self.space):
            try:
                told = [str(self.training(values, place=self.folder).settings) for values in changes]
            except InputError as error:
                raise InputError(f"--param {path}: {error}") from None
            if len(set(told)) == 1:
                raise InputError(
                    f"--param {path}: it does not change how {self.model} is trained on {self.dataset}, since another "
                    f"value takes its place; look under datasets.{self.dataset}.train and models.{self.model}.train"
                )

    def _current(self) -> dict[str, Any]:
        """The values with which params.yaml trains the model now, by path."""
        schedule = params.load().train_for(self.dataset, self.model).model_dump()
        found = {}
        for path in self.space:
            *parents, name = path.split(".")
            found[path] = schedule.get(name) if {"train", "train_on"} & {*parents} else params.value_at(path)
        return found

    @cached_property
    def study(self) -> optuna.Study:
        """The study, made if it is new. InputError if it is one of other values, of other code or of other data."""
        base = self.training(first_values(self.space), place=self.folder).key
        told = {BASE: base, SPACE: shown(self.space)}
        with self._one_at_a_time():
            study = self._opened(seed=self.seed)
            if not study.user_attrs:
                if (values := stored(self.space, self._current())) is not None:
                    study.enqueue_trial(values)  # what is found is no worse than what is there
                for name, value in told.items():
                    study.set_user_attr(name, value)
        if study.user_attrs.get(SPACE) != told[SPACE]:
            former = "; ".join(f"{path} {values}" for path, values in study.user_attrs.get(SPACE, {}).items())
            raise InputError(f"the search {self.name} began with other ranges ({former}); give this one another --name")
        if study.user_attrs.get(BASE) != base:
            raise InputError(
                f"the search {self.name} began with another params.yaml, code, data or number of epochs, so that its "
                "trials cannot be compared with new ones; give this one another --name"
            )
        return study

    def _opened(self, *, seed: int) -> optuna.Study:
        """The study with a sampler of its own. seed: of what it draws."""
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        return optuna.create_study(
            study_name=self.name, storage=self._database, sampler=sampler, pruner=self._pruner(), direction="maximize",
            load_if_exists=True,
        )  # fmt: skip

    @cached_property
    def _database(self) -> optuna.storages.RDBStorage:
        url = self.storage or f"sqlite:///{self.folder}.db"
        is_file = url.startswith("sqlite")
        try:
            return optuna.storages.RDBStorage(
                url, engine_kwargs={"connect_args": {"timeout": MAXIMUM_WAIT_S}} if is_file else None
            )
        except Exception as error:  # whatever the database's driver raises
            reason = str(error).splitlines()[0].replace(url, without_password(url))
            raise InputError(f"--storage {without_password(url)}: cannot be opened: {reason}") from None

    def _pruner(self) -> optuna.pruners.BasePruner:
        match self.pruner:
            case "median":
                return optuna.pruners.MedianPruner()
            case "hyperband":
                return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=self.epochs)
        return optuna.pruners.NopPruner()

    def _one_at_a_time(self) -> FileLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / ".lock")

    @contextmanager
    def next_trial(self, *, most: int) -> Iterator[optuna.Trial | None]:
        """The next trial, which no other process has; None if the study has as many as it is to have.

        One whose process was killed comes first. Several machines may make a few more than `most`.
        """
        study = self.study
        with self._one_at_a_time():
            trial, lock = self._killed() or self._new(study, most=most) or (None, None)
        try:
            yield trial
        finally:
            if lock is not None:
                lock.release()

    def _killed(self) -> tuple[optuna.Trial, FileLock] | None:
        study = self._opened(seed=self.seed)
        for frozen in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if frozen.user_attrs.get(PLACE) == self._place():
                lock = self._lock(frozen.number)
                with suppress(Timeout):
                    lock.acquire(timeout=0)
                    return optuna.Trial(study, frozen._trial_id), lock
        return None

    def _new(self, study: optuna.Study, *, most: int) -> tuple[optuna.Trial, FileLock] | None:
        begun = sum(trial.state != TrialState.WAITING for trial in study.get_trials(deepcopy=False))
        if begun >= most:
            return None
        # What is drawn depends on the trials before, not on how often the search was stopped.
        trial = self._opened(seed=self.seed + begun).ask()
        lock = self._lock(trial.number)
        lock.acquire()
        trial.set_user_attr(PLACE, self._place())
        return trial, lock

    def _place(self) -> str:
        return f"{socket.gethostname()}:{self.folder}"

    def _lock(self, number: int) -> FileLock:
        return FileLock(self.place_of(number).with_suffix(".lock"))

    def place_of(self, number: int) -> Path:
        """The folder of a trial."""
        return self.folder / f"{number:03}"


def run_trials(search: Search, *, most: int) -> None:
    """Run trials until the study has as many as it is to have."""
    while True:
        with search.next_trial(most=most) as trial:
            if trial is None:
                return
            _run(search, trial)


def _run(search: Search, trial: optuna.Trial) -> None:
    values = drawn(search.space, trial)
    print(f"trial {trial.number}: {', '.join(f'{path} {value}' for path, value in values.items())}", flush=True)
    study, place = trial.study, search.place_of(trial.number)
    try:
        training = search.training(values, place=place)
    except InputError as error:  # values that are valid one by one, but not together
        trial.set_user_attr(WHY, str(error).splitlines()[0])
        study.tell(trial, state=TrialState.FAIL)
        return
    state, why = _train(search, trial, training)
    if training.has_ended:
        trial.set_user_attr(SECONDS, training.record["training_seconds"])
    if why:
        trial.set_user_attr(WHY, why)
    if state is TrialState.COMPLETE:
        score = validation_mean_iou([training.record], checkpoint=training.schedule.checkpoint)
        study.tell(trial, score, skip_if_finished=True)
    else:
        study.tell(trial, state=state, skip_if_finished=True)
    for name in (f"{LAST}.ckpt", f"{BEST}.ckpt", WEIGHTS):
        (place / name).unlink(missing_ok=True)


def _train(search: Search, trial: optuna.Trial, training: TrialTraining) -> tuple[TrialState, str]:
    """Train, and log as any training is logged, below the search's run: how it ended, and why if it ended early."""
    state, why = TrialState.COMPLETE, ""
    with tracking.training_run(
        dataset=search.dataset, name=f"{search.model}, trial {trial.number}", key=f"{key_of(search)} {trial.number}",
        checkpoints=training.folder, above=key_of(search),
    ) as tracked:  # fmt: skip
        tracked.log_parameters(training.settings)
        data = training.data
        num_images = {split: len(data.split(split)) for split in SPLITS}
        tracked.log_dataset(name=search.dataset, digest=data.fingerprint, folder=data.root, num_images=num_images)

        def on_epoch(row: Epoch) -> None:
            tracked.log_epoch(row.metrics(), step=row.epoch)
            _report(search, trial, row)

        try:
            if not training.has_ended:
                training.run(on_epoch)
            if has_diverged(training.record):
                state, why = TrialState.PRUNED, f"diverged in epoch {training.record['diverged_in_epoch']}"
        except optuna.TrialPruned:
            state, why = TrialState.PRUNED, "pruned"
        tracked.set_tags({"search": search.name, "trial": str(trial.number), "state": state.name.lower()})
    return state, why


def _report(search: Search, trial: optuna.Trial, row: Epoch) -> None:
    """Tell the study a validation score. Raises TrialPruned for a trial that is behind the others."""
    if row.val_mean_iou is None:
        return
    if row.epoch not in trial.storage.get_trial(trial._trial_id).intermediate_values:  # a killed one repeats its last
        trial.report(row.val_mean_iou, row.epoch)
    if row.epoch < search.epochs and trial.should_prune():
        raise optuna.TrialPruned


def key_of(search: Search) -> str:
    """Of the search's run in MLflow."""
    return f"search {search.name}"


def run_side_by_side(search: Search, *, most: int, jobs: int) -> None:
    """Run trials in several processes, each with a share of the cores, or with a GPU if there are several.

    Raises InputError if one of them fails.
    """
    if jobs == 1:
        run_trials(search, most=most)
        return
    context = get_context("spawn")
    processes = []
    for place in range(jobs):
        with _environment(environment_of(place, jobs=jobs)):
            process = context.Process(target=_work, args=(replace(search), most), daemon=True)
            process.start()
            processes.append(process)
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise InputError("a process of the search has failed, as said above; the same command continues the search")


def environment_of(place: int, *, jobs: int) -> dict[str, str]:
    """What tells one of `jobs` processes its share of the machine."""
    import torch

    shares = {name: str(max(1, num_cores() // jobs)) for name in THREAD_LIMITS}
    num_gpus = torch.cuda.device_count()
    if num_gpus > 1 and "CUDA_VISIBLE_DEVICES" not in os.environ:
        shares["CUDA_VISIBLE_DEVICES"] = str(place % num_gpus)
    return shares


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """For processes that start within."""
    former = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(search: Search, most: int) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        run_trials(search, most=most)
    except InputError as error:
        raise SystemExit(f"error: {error}") from None


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def trials_of(search: Search) -> list[FrozenTrial]:
    """The trials that have ended, in their order."""
    return [trial for trial in search.study.get_trials() if trial.state.is_finished()]
