"""A search from its command to its page: what it tries, what it keeps when it is killed, and what it never reads."""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from segbench import params, tracking
from segbench.errors import InputError
from segbench.files import write_json
from segbench.search import trials as of_search
from segbench.search.report import best_of, search_markdown, write_report
from segbench.search.trials import Search, TrialTraining, environment_of, run_trials, trials_of
from segbench.training.curves import Epoch
from tests.search.project import project_at, started

LR = "datasets.scenes.train.lr=0.0001:0.1:log"
CHANNELS = "models.sliding_window.channels=4,8"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder. Runs of MLflow wait on the disk."""
    monkeypatch.chdir(project_at(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    return tmp_path


def a_search(*options: str, **changes: Any) -> Search:
    told = {"name": "", "epochs": None, "pruner": "median", "seed": 0, "storage": "", **changes}
    return Search.checked("scenes/sliding_window", list(options or (LR, CHANNELS)), **told)


def trained_as_told(scores: dict[int, Sequence[float]], monkeypatch: pytest.MonkeyPatch) -> list[TrialTraining]:
    """Let trainings have the scores of their trial, one per epoch, instead of training; the trainings, as they come."""
    begun: list[TrialTraining] = []

    def run(training: TrialTraining, on_epoch: Any) -> None:
        begun.append(training)
        rows = [Epoch(epoch, 1.0, 0.1, 1.0, 1.0, 1.0, 1.0, 0.5, score) for epoch, score in enumerate(scores[int(training.folder.name)], 1)]  # noqa: E501  # fmt: skip
        for row in rows:
            on_epoch(row)
        training.folder.mkdir(parents=True, exist_ok=True)
        (training.folder / "weights.pt").touch()
        epochs = [{"epoch": row.epoch, "val_mean_iou": row.val_mean_iou} for row in rows]
        write_json(
            training.folder / "training.json", {"epochs": epochs, "training_seconds": 60.0, "diverged_in_epoch": None}
        )

    monkeypatch.setattr(TrialTraining, "run", run)
    return begun


@pytest.mark.long
def test_a_search_that_is_killed_goes_on_with_the_trial_that_it_was_at(tmp_path: Path) -> None:
    """It reads no test image: there is none. Nothing outside of data/search and data/tracking is touched."""
    project_at(tmp_path, epochs=30)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    killed = started(tmp_path, "--param", LR, "--trials", "2")
    assert killed.stdout is not None
    output = []
    for line in killed.stdout:
        output.append(line)
        if line.startswith("epoch 4/30"):
            break
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    again = started(tmp_path, "--param", LR, "--trials", "2")
    lines = again.communicate()[0].splitlines()
    assert again.returncode == 0, "\n".join(lines)
    told = [line for line in lines if line.startswith("trial")]
    assert [line.split(":")[0] for line in told] == ["trial 0", "trial 1"]
    assert told[0] == output[0].strip(), "with the same values"
    first_epoch = int(lines[lines.index(told[0]) + 1].split()[1].partition("/")[0])
    assert first_epoch in (4, 5), "from its checkpoint"
    assert "datasets:\n  scenes:\n    train:\n      lr: 0." in "\n".join(lines)
    page = (tmp_path / "data/search/scenes-sliding_window.md").read_text()
    assert "2 trials of 30 epochs (2 complete" in page
    assert {path: path.read_bytes() for path in files} == files
    made = {
        path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*") if path.is_file() and path not in files
    }
    assert made == {("data", "search"), ("data", "tracking")}


@pytest.mark.long
def test_several_processes_share_a_study(tmp_path: Path) -> None:
    project_at(tmp_path)
    search = started(tmp_path, "--param", LR, "--trials", "4", "--jobs", "2", "--name", "both")
    output = search.communicate()[0]
    assert search.returncode == 0, output
    numbers = [line.split(":")[0] for line in output.splitlines() if line.startswith("trial ")]
    assert sorted(numbers) == [f"trial {number}" for number in range(4)]


def test_a_trial_that_is_behind_the_others_is_pruned(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = {number: (0.3, 0.4, 0.5 + number / 100) for number in range(5)}
    trained_as_told({**good, 5: (0.2, 0.1, 0.1), 6: (0.4, 0.5, 0.6)}, monkeypatch)
    search = a_search()
    run_trials(search, most=7)
    trials = trials_of(search)
    states = [trial.state.name for trial in trials]
    assert states == ["COMPLETE"] * 5 + ["PRUNED", "COMPLETE"]
    assert trials[5].intermediate_values == {1: 0.2}
    assert [trial.value for trial in trials[:2]] == [0.5, 0.51]
    best = best_of(trials)
    assert best is not None and best.number == 6
    page = search_markdown(search, trials)
    assert "7 trials of 3 epochs (6 complete, 1 pruned, 0 failed)" in page
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    assert rows[-7] == ["6", "60.0", "3", "1.0", "complete"] and rows[-1][:3] == ["5", "20.0", "1"]
    assert rows[-1][4] == "pruned"
    assert max(len(cell) for row in rows for cell in row) < 40
    assert "## Importance" in page and "█" in page
    assert sum(line.startswith("- 6: datasets.scenes.train.lr ") for line in page.splitlines()) == 1


def test_the_current_values_are_tried_first_and_the_rest_is_the_same_each_time(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = trained_as_told(dict.fromkeys(range(4), (0.1, 0.2, 0.3)), monkeypatch)
    run_trials(a_search("datasets.scenes.train.lr=0.0001:0.1:log"), most=2)
    run_trials(a_search("datasets.scenes.train.lr=0.0001:0.1:log"), most=4)  # as after a stop
    run_trials(a_search("datasets.scenes.train.lr=0.0001:0.1:log", name="unbroken"), most=4)
    rates = [training.schedule.lr for training in begun]
    assert rates[0] == params.load().train.lr
    assert rates[:4] == rates[4:] and len({*rates}) == 4
    assert len({training.key for training in begun}) == 4
    assert [training.folder.parent.name for training in begun] == ["scenes-sliding_window"] * 4 + ["unbroken"] * 4
    assert not list(project.glob("data/search/*/*/weights.pt"))


def test_trials_are_runs_below_the_searchs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained_as_told({0: (0.1, 0.2, 0.3)}, monkeypatch)
    search = a_search()
    run_trials(search, most=1)
    write_report(search)
    headers = [
        json.loads(path.read_text().splitlines()[0]) for path in sorted(project.glob("data/tracking/*/entries.jsonl"))
    ]
    found = sorted((header["name"], header["parent"], header["key"]) for header in headers)
    assert found == [
        ("search scenes-sliding_window", "search scenes-sliding_window", "search scenes-sliding_window"),
        ("sliding_window, trial 0", "search scenes-sliding_window", "search scenes-sliding_window 0"),
    ]
    assert tracking.CURVES["val_mean_iou"] in "".join(
        path.read_text() for path in project.glob("data/tracking/*/*.jsonl")
    )


def test_values_that_are_wrong_together_fail_one_trial_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained_as_told(dict.fromkeys(range(3), (0.1, 0.2, 0.3)), monkeypatch)
    search = a_search()
    load = params.load

    def refusing(*arguments: Any, changes: Any = None, **options: Any) -> params.Params:
        if changes and changes["datasets.scenes.train.lr"] != 0.0001:
            raise InputError("params.yaml: not together")
        return load(*arguments, changes=changes, **options)

    monkeypatch.setattr(params, "load", refusing)
    run_trials(search, most=2)
    assert [(trial.state.name, trial.user_attrs["why"]) for trial in trials_of(search)] == [
        ("FAIL", "params.yaml: not together")
    ] * 2
    assert "no trial was completed" in write_report(search)


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("scenes", [LR], "scenes: name DATASET/MODEL, such as scenes/unet"),
        ("scenes/unet", [LR], "models.unet is not there; known models: sliding_window"),
        ("scenes/sliding_window", ["train.learning_rate=0.1:1"], "train has no parameter learning_rate; it has "),
        ("scenes/sliding_window", ["train.lr=-1:1"], "--param train.lr: params.yaml: train.lr is -1; it must "),
        ("scenes/sliding_window", ["train.batch_size=1.5,2"], "train.batch_size is 1.5; it must be a valid integer"),
        ("scenes/sliding_window", ["models.sliding_window.train.lr.x=1:2"], "train.lr is"),
        ("scenes/sliding_window", ["train.batch_size=2:4"], "does not change how sliding_window is trained on scenes"),
    ],
)  # fmt: skip
def test_a_search_that_could_not_work_is_refused_before_any_work(
    target: str, options: list[str], message: str, project: Path
) -> None:
    """The dataset has a batch size of its own, so that the common one does nothing."""
    with pytest.raises(InputError) as raised:
        Search.checked(target, options, name="", epochs=None, pruner="median", seed=0, storage="")
    assert message in str(raised.value) and len(str(raised.value).splitlines()) == 1
    assert not (project / "data/search").exists()


def test_a_trial_may_have_the_value_of_a_variant(project: Path) -> None:
    path = project / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["variants"] = {"sliding_window_wide": {"of": "sliding_window", "channels": 8}}
    tree["benchmark"]["variants"] = ["sliding_window_wide"]
    path.write_text(yaml.safe_dump(tree))
    assert a_search(LR, CHANNELS).space


def test_a_search_continues_only_what_it_began(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained_as_told({0: (0.1, 0.2, 0.3)}, monkeypatch)
    run_trials(a_search(LR), most=1)
    with pytest.raises(InputError, match=r"began with other ranges \(datasets\.scenes\.train\.lr 0\.0001 to 0\.1, log"):
        _ = a_search(LR, CHANNELS).study
    with pytest.raises(InputError, match="began with another params.yaml, code, data or number of epochs"):
        _ = a_search(LR, epochs=2).study
    path = project / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["datasets"]["scenes"]["train"]["lr"] = 0.02
    path.write_text(yaml.safe_dump(tree))
    assert params.load().train_for("scenes", "sliding_window").lr == 0.02
    assert a_search(LR).study, "the searched value itself may be edited"


def test_samples_must_have_been_made(project: Path) -> None:
    (project / "data/augmented/scenes/recipe.json").unlink()
    with pytest.raises(InputError, match="make the samples first: dvc repro augment@scenes"):
        a_search()


def test_a_database_that_cannot_be_opened_is_named_without_its_password(project: Path) -> None:
    with pytest.raises(InputError) as raised:
        _ = a_search(storage="nothing://me:secret@host/db").study
    assert "--storage nothing://host/db: cannot be opened" in str(raised.value) and "secret" not in str(raised.value)


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_search, "num_cores", lambda: 6)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert environment_of(1, jobs=3) == {"OMP_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "1"}
    assert environment_of(2, jobs=3)["CUDA_VISIBLE_DEVICES"] == "0"
