"""Kills of a stage at random moments."""

import itertools
import os
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from tests.campaign.ground import Ground, Outcome

SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}
TARGETS = {"dvc and the stage": 0.98, "dvc alone": 0.98, "the stage alone": 0.7}
"""What is killed, and the last moment: after the stage's end, DVC goes on for a while."""
EARLIER = 0.7
"""By what a moment is brought forward when the stage had ended before it."""
MOST_ATTEMPTS = 12


@dataclass(frozen=True)
class Kill:
    """One kill. share: of the stage's usual duration, at which it comes; anew: a stage that has never been run."""

    stage: str
    signal_name: str
    target: str
    share: float
    anew: bool

    def __str__(self) -> str:
        run = "first run" if self.anew else "forced run"
        return f"{self.stage}: {self.signal_name} to {self.target}, {run}, after {self.share:.0%}"


def draw_kills(number: int, *, stages: Sequence[str], seed: int) -> list[Kill]:
    """Kills of all stages in turn, with all signals to all targets in turn, at random moments."""
    rng = random.Random(seed)
    ways = list(itertools.product(SIGNALS, TARGETS))
    kills: list[Kill] = []
    while len(kills) < number:
        of_round = rng.sample(stages, len(stages))
        for stage in of_round:
            if len(kills) % len(ways) == 0:
                rng.shuffle(ways)
            signal_name, target = ways[len(kills) % len(ways)]
            kills.append(Kill(stage, signal_name, target, rng.uniform(0.02, TARGETS[target]), rng.random() < 0.5))
    return kills[:number]


def strike(ground: Ground, kill: Kill) -> Outcome:
    """Kill a stage, then see how `dvc repro` ends. A stage that had ended before is killed earlier next time."""
    for attempt in range(MOST_ATTEMPTS):
        if kill.anew:
            ground.forget(kill.stage)
        force = () if kill.anew else ("--force",)
        process = ground.launch("dvc", "repro", "--single-item", *force, kill.stage)
        has_begun = _has_begun(ground, process)
        moment = time.monotonic() + kill.share * EARLIER**attempt * ground.seconds[kill.stage]
        while process.poll() is None and time.monotonic() < moment:
            time.sleep(0.005)
        if has_begun and _send(kill, ground, process):
            process.wait()
            return ground.outcome()
        ground.said(process)
        if problems := ground.outcome().problems:
            return Outcome((), (f"before any kill: {problems}",))
    raise RuntimeError(f"{kill}: the stage always ends before it is killed")


def _has_begun(ground: Ground, process: subprocess.Popen[bytes]) -> bool:
    """Wait for the stage's process; False if dvc ends without one."""
    while process.poll() is None:
        if ground.stage_process():
            return True
        time.sleep(0.02)
    return False


def _send(kill: Kill, ground: Ground, process: subprocess.Popen[bytes]) -> bool:
    """Send the signal; False if what it is meant for has ended."""
    stage = ground.stage_process()
    if process.poll() is not None:
        return False
    number = SIGNALS[kill.signal_name]
    if kill.target == "dvc and the stage":
        os.killpg(process.pid, number)
    elif kill.target == "dvc alone":
        process.send_signal(number)
    elif stage is None:
        return False
    else:
        try:
            stage.send_signal(number)
        except psutil.NoSuchProcess:
            return False
    return True
