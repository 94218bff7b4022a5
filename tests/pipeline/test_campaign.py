"""A few kills of the campaign (`make reliability`), and that the campaign sees what should not be."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.campaign.faults import Fault, Impossible
from tests.campaign.ground import Ground, Outcome, Said, without_measured
from tests.campaign.kills import SIGNALS, TARGETS, Kill, draw_kills, strike
from tests.campaign.report import Entry, report
from tests.pipeline.project import CHECK, let_programs_be_interrupted

TRAIN, PREDICT = "train@scenes-color_clusters", "predict@scenes-color_clusters"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """A copy of the project with the results of an undisturbed run, up to predictions of the model without epochs."""
    let_programs_be_interrupted()
    root = tmp_path_factory.mktemp("campaign") / "copy"
    root.mkdir()
    ground = Ground(root, goals=[PREDICT])
    ground.make_reference()
    return ground


@pytest.mark.parametrize(
    "kill",
    [
        Kill(TRAIN, "SIGKILL", "dvc and the stage", 0.6, anew=True),
        Kill("augment@scenes", "SIGTERM", "the stage alone", 0.4, anew=False),
        Kill(PREDICT, "Ctrl-C", "dvc and the stage", 0.5, anew=True),
    ],
    ids=lambda kill: kill.signal_name,
)
def test_after_a_kill_the_results_are_as_without(ground: Ground, kill: Kill) -> None:
    outcome = strike(ground, kill)
    assert outcome.problems == ()
    assert outcome.stops == ()


def test_what_a_killed_stage_left_goes_though_it_does_not_run_again(ground: Ground) -> None:
    """DVC takes its results out of the cache then."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    places = (
        "data",
        "data/records/scenes/fcn_8s",
        "data/weights/scenes",
        "reports/scenes",
        "reports/scenes/models/unet",
    )
    left = [ground.root / place / f".a.png.{ended.pid}.partial" for place in places]
    users = ground.root / f"data/raw/mine/.a.png.{ended.pid}.partial"
    shared = ground.root.parent / "shared" / f".last.ckpt.{ended.pid}.partial"  # of a process of another machine
    linked = ground.root / "data/linked"
    for path in (*left, users, shared):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    linked.symlink_to(shared.parent)
    assert ground.dvc("repro", CHECK).code == 0
    assert [path for path in left if path.exists()] == []
    assert users.exists() and shared.exists()
    users.unlink()
    linked.unlink()


def test_the_campaign_sees_what_should_not_be(ground: Ground) -> None:
    weights = ground.root / "data/weights/scenes/color_clusters/seed_0.pt"
    before = weights.read_bytes()
    left = ground.root / "reports/scenes/.audit.md.1.partial"
    os.truncate(weights, 100)
    left.touch()
    (ground.root / "dvc.yaml").rename(ground.root / "dvc")
    assert ground.differences() == [
        "data/weights/scenes/color_clusters/seed_0.pt: differs",
        "dvc: left over",
        "dvc.yaml: missing",
        "reports/scenes/.audit.md.1.partial: left over",
    ]
    (ground.root / "dvc").rename(ground.root / "dvc.yaml")
    weights.write_bytes(before)
    left.unlink()
    assert ground.differences() == []


def test_the_campaign_sees_a_run_that_seems_to_go_on(ground: Ground) -> None:
    with closing(sqlite3.connect(ground.root / "mlflow.db")) as store:
        ((run, name), *_) = store.execute("SELECT run_uuid, name FROM runs").fetchall()
        for status, told in (("RUNNING", [f"the MLflow run {name} is left as running"]), ("FINISHED", [])):
            store.execute("UPDATE runs SET status = ? WHERE run_uuid = ?", (status, run))
            store.commit()
            assert ground.running() == told


def test_the_campaign_sees_a_process(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.campaign.ground.PATIENCE_S", 0.1)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], cwd=ground.root)
    left = ground.settle()
    process.wait(timeout=20)
    assert len(left) == 1 and "time.sleep(600)" in left[0]
    assert ground.processes() == []


@pytest.mark.parametrize(
    ("output", "problems"),
    [
        ("error: params.yaml: train.lr is -1\nERROR: failed to reproduce 'src/dvc.yaml:check'", []),
        ("ERROR: failed to reproduce 'src/dvc.yaml:check'", []),
        (
            "Traceback (most recent call last):\n  File\nOSError: [Errno 28] No space left on device\nERROR: failed",
            ["a traceback: OSError: [Errno 28] No space left on device"],
        ),
        ("'./dvc.lock' is invalid.\n\nWhile scanning a simple key, in line 1091, column 7", []),
        ("'./src/dvc.lock' validation failed.\n\nexpected a dictionary, in stages", []),
        ("Killed", ["exit code 1 without a line `error: ...`: Killed"]),
    ],
)
def test_a_stop_must_be_one_clear_line(output: str, problems: list[str]) -> None:
    assert Said(output, 1).problems == problems
    assert Said(output, 0).problems == []


def test_what_was_measured_is_not_compared(tmp_path: Path) -> None:
    table, record = tmp_path / "benchmark.csv", tmp_path / "training.json"

    def contents(latency: float, score: float) -> list[bytes]:
        table.write_text(f"model,mIoU,latency_ms\nunet,{score},{latency}\n")
        record.write_text(f'{{"training_seconds": {latency}, "trainings": [{{"training_seconds": 1, "x": {score}}}]}}')
        return [without_measured(table), without_measured(record)]

    first = contents(1.5, 0.5)
    assert contents(2.5, 0.5) == first
    for other, same in zip(contents(1.5, 0.6), first, strict=True):
        assert other != same
    record.write_text('{"training_seconds": 1')
    assert without_measured(record) == b'{"training_seconds": 1', "half a file is compared as it is"


def test_kills_are_of_all_stages_by_all_ways_and_follow_from_the_seed() -> None:
    stages = ["check", "train", "crf", "compare"]
    kills = draw_kills(36, stages=stages, seed=3)
    assert kills == draw_kills(36, stages=stages, seed=3)
    assert kills != draw_kills(36, stages=stages, seed=4)
    assert [sum(kill.stage == stage for kill in kills) for stage in stages] == [9] * 4
    ways = {(kill.signal_name, kill.target) for kill in kills}
    assert len(ways) == len(SIGNALS) * len(TARGETS)
    assert {kill.anew for kill in kills} == {True, False}


def test_the_report_counts_and_tells_all_that_was_lost() -> None:
    equal = Outcome((), ())
    fault = Fault("cut to half", "weights", lambda ground: equal)
    entries = [
        Entry(Kill(TRAIN, "SIGKILL", "dvc alone", 0.5, anew=True), equal),
        Entry(Kill(TRAIN, "SIGTERM", "dvc alone", 0.25, anew=False), Outcome((), ("a | process was left",))),
        Entry(Kill(PREDICT, "SIGKILL", "dvc alone", 0.5, anew=True), Outcome(("error: again",), ())),
        Entry(fault, Outcome(("error: a|b is damaged",), ())),
        Entry(fault, Impossible("not permitted")),
    ]
    lines = [" ".join(line.split()) for line in report(entries, seed=3, machine="a machine", commit="abc")]
    assert "Tried: 4 (3 kills, 1 faults). Survived: 3. Lost: 1." in lines
    assert f"| {TRAIN} | 2 | 1 | 0 | 1 |" in lines
    assert "| SIGKILL to dvc alone | 2 | 1 | 1 | 0 |" in lines
    assert r"| cut to half | weights | stopped clearly, then equal: `error: a\|b is damaged` |" in lines
    assert "| cut to half | weights | not tried: not permitted |" in lines
    assert f"- {TRAIN}: SIGTERM to dvc alone, forced run, after 25%: a | process was left" in lines
