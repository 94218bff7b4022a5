"""Labels a video's frames, and writes it anew under the classes' colours."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from segbench.cli.images import Row, overlay
from segbench.errors import InputError, raise_listed
from segbench.files import replacing
from segbench.labels import class_shares
from segbench.packages.model import PackagedModel
from segbench.prediction.predictor import timed

VIDEOS = "videos"
SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
CODEC, SUFFIX = "VP80", ".webm"
"""VP8 in WebM: browsers play it, and OpenCV's wheels can write it, which lack H.264."""


def is_video(path: Path) -> bool:
    """By its suffix."""
    return path.suffix.lower() in SUFFIXES


def video_targets(videos: Sequence[Path], *, out: Path) -> dict[Path, Path]:
    """The file in `out` that each video becomes. InputError for two videos of one name."""
    source_of: dict[Path, Path] = {}
    mistakes = []
    for path in videos:
        first = source_of.setdefault(out / VIDEOS / f"{path.stem}{SUFFIX}", path)
        if first != path:
            mistakes.append(f"{path}: it would get the name of {first}; label them in two runs")
    raise_listed(mistakes)
    return {path: target for target, path in source_of.items()}


def _opened(path: Path) -> cv2.VideoCapture:
    return cv2.VideoCapture(str(path.absolute()))  # in `a:b.mp4`, FFmpeg would take `a` for a protocol


def count_frames(path: Path) -> int:
    """As the video says; 0 if it does not, or cannot be read."""
    video = _opened(path)
    try:
        return max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
    finally:
        video.release()


def label_video(model: PackagedModel, path: Path, target: Path, *, crf: bool) -> Row:
    """Write the video under its label maps' colours to a .webm file. The row has means over the frames.

    Raises InputError if the video cannot be read or has no frames.
    """
    video = _opened(path)
    try:
        if not video.isOpened():
            raise InputError(f"{path}: not a readable video; convert it to MP4 or WebM")
        return _label_frames(model, video, path, target, crf=crf)
    finally:
        video.release()


def _label_frames(model: PackagedModel, video: cv2.VideoCapture, path: Path, target: Path, *, crf: bool) -> Row:
    classes = model.card.classes
    frames_per_second = video.get(cv2.CAP_PROP_FPS) or 25.0
    num_frames = max(0, int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
    latencies_ms: list[float] = []
    sums = dict.fromkeys(classes.names, 0.0)
    writer, size = None, (0, 0)
    with replacing(target) as temporary:
        named = temporary.with_name(f"{temporary.name}{SUFFIX}")  # OpenCV goes by the suffix
        try:
            progress = tqdm(total=num_frames or None, desc=path.name, unit="frame", disable=None)
            while True:
                is_there, frame = video.read()
                if not is_there:
                    break
                image = np.ascontiguousarray(frame[..., ::-1], np.uint8)
                label_map, latency_ms = timed(lambda image=image: model.label_map(image, crf=crf))
                latencies_ms.append(latency_ms)
                for name, share in class_shares(label_map, classes).items():
                    sums[name] += share
                blended = np.asarray(overlay(image, label_map, classes))
                if writer is None:
                    size = (image.shape[1], image.shape[0])
                    fourcc = cv2.VideoWriter.fourcc(*CODEC)
                    writer = cv2.VideoWriter(str(named), fourcc, frames_per_second, size)
                    if not writer.isOpened():
                        raise InputError(f"{target}: this build of OpenCV cannot write {CODEC} video")
                writer.write(np.ascontiguousarray(blended[..., ::-1]))
                progress.update()
            progress.close()
        finally:
            if writer is not None:
                writer.release()
            if named.exists():
                named.replace(temporary)  # which goes if this fails
        if not latencies_ms:
            raise InputError(f"{path}: no frame can be read from it; convert it to MP4 or WebM")
    means = {name: total / len(latencies_ms) for name, total in sums.items()}
    return Row(str(path), *size, round(float(np.median(latencies_ms)), 2), means)
