"""The peak memory of each stage by the number of images, which should hardly matter. Run with `make bench`.

Scenes of the size of params.yaml, in a clone of the last commit; one small network, one epoch, a short search for the
CRF's parameters.
"""

import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.markdown import print_table
from benchmarks.pipeline_runs import Clone
from segbench.machine import describe_machine

NUM_IMAGES = (50, 200, 800)
SHARES = {"num_train": 0.6, "num_val": 0.15, "num_test": 0.25}
MODELS = ["color_clusters", "fcn_32s"]
LIMIT_MIB_A_THOUSAND = 200.0


def shorten(parameters: dict[str, Any], *, num_images: int) -> None:
    """Change the tree of params.yaml: so many images, and little work on each."""
    parameters["benchmark"] = {"datasets": ["scenes"], "models": MODELS, "variants": []}
    scenes = parameters["datasets"]["scenes"]
    scenes["source"].update({name: round(share * num_images) for name, share in SHARES.items()})
    scenes["train"] = {"epochs": 1}
    parameters["crf"].update(trials=2, tuning_images=2)


def main() -> None:
    """Print the table."""
    peaks_mib: dict[str, dict[int, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        clone = Clone.make(Path(temporary) / "clone")
        file = clone.folder / "params.yaml"
        parameters = yaml.safe_load(file.read_text(encoding="utf-8"))
        for num_images in NUM_IMAGES:
            before = len(clone.processes())
            shorten(parameters, num_images=num_images)
            file.write_text(yaml.safe_dump(parameters, sort_keys=False), encoding="utf-8")
            clone.run("dvc", "repro", "--quiet")
            for process in clone.processes()[before:]:
                of_stage = peaks_mib.setdefault(process.stage, {})
                of_stage[num_images] = max(of_stage.get(num_images, 0.0), process.peak_mib)
    print("# Memory of the stages\n")
    print(
        f"{describe_machine()}. Peak MiB of a stage's largest process, by the number of images; {', '.join(MODELS)}.\n"
    )
    rows = []
    for stage, of_stage in peaks_mib.items():
        least, *_, most = NUM_IMAGES
        has_both = least in of_stage and most in of_stage
        growth = 1000 * (of_stage[most] - of_stage[least]) / (most - least) if has_both else None
        rows.append([
            stage,
            *(f"{of_stage[num_images]:.0f}" if num_images in of_stage else "-" for num_images in NUM_IMAGES),
            "-" if growth is None else f"{growth:.0f}",
            "TOO MUCH" if growth is not None and growth > LIMIT_MIB_A_THOUSAND else "",
        ])  # fmt: skip
    print_table(["stage", *(f"{num_images} images" for num_images in NUM_IMAGES), "MiB a thousand images", ""], rows)
    print(f"\nLimit: {LIMIT_MIB_A_THOUSAND:.0f} MiB a thousand images.")


if __name__ == "__main__":
    main()
