"""Writers of metrics: a progress bar with ETA, metrics.jsonl, and TensorBoard."""

from __future__ import annotations

import json
import time
from typing import Any

from etils import epath
from tqdm import tqdm

from demo_jax.paths import on_object_storage


class NoWriter:
    """The interface of MetricWriter without effect, for processes that write nothing."""

    def __init__(self, workdir: epath.PathLike, start: int, steps: int, shown: tuple[str, ...]) -> None:
        """See MetricWriter."""

    def step(self, step: int) -> None:
        """Nothing."""

    def scalars(self, step: int, values: dict[str, float], prefix: str = "train") -> None:
        """Nothing."""

    def log(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class _ObjectStorageLines:
    """Lines of a file on object storage, where files cannot be appended to.

    Each start of the run has a file of its own, which is rewritten with all its lines each minute and at the end.
    """

    every = 60.0  # seconds

    def __init__(self, folder: epath.Path, start: int) -> None:
        self._file, self._text, self._written = folder / f"metrics-{start:07d}.jsonl", "", time.monotonic()

    def write(self, line: str) -> None:
        self._text += line

    def flush(self) -> None:
        if time.monotonic() - self._written > self.every:
            self.close()

    def close(self) -> None:
        self._file.write_text(self._text)
        self._written = time.monotonic()


class MetricWriter(NoWriter):
    """Writes the scalars of one run. With several processes only the lead has one."""

    def __init__(self, workdir: epath.PathLike, start: int, steps: int, shown: tuple[str, ...]) -> None:
        """Opens the files in `workdir` and a bar from `start` to `steps` that shows the scalars in `shown`."""
        from tensorboardX import SummaryWriter

        folder = epath.Path(workdir)
        folder.mkdir(parents=True, exist_ok=True)
        self._lines = (
            _ObjectStorageLines(folder, start) if on_object_storage(folder) else (folder / "metrics.jsonl").open("a")
        )
        self._board = SummaryWriter(str(folder / "tensorboard"), flush_secs=10)
        self._bar = tqdm(total=steps, initial=start, unit="step", dynamic_ncols=True, mininterval=1.0)
        self._shown = shown
        self._begun = time.monotonic()

    def step(self, step: int) -> None:
        """Moves the bar to `step`."""
        self._bar.update(step - self._bar.n)

    def scalars(self, step: int, values: dict[str, float], prefix: str = "train") -> None:
        """Writes one line of JSON and one point of each TensorBoard curve."""
        line: dict[str, Any] = {"step": step, "seconds": round(time.monotonic() - self._begun, 2), "split": prefix}
        self._lines.write(json.dumps(line | {k: round(float(v), 6) for k, v in values.items()}) + "\n")
        self._lines.flush()
        for name, value in values.items():
            self._board.add_scalar(f"{prefix}/{name}", float(value), step)
        text = {name: f"{values[name]:.3f}" for name in self._shown if name in values}
        if prefix == "train":
            self._bar.set_postfix(text)
        else:
            self._bar.write(f"step {step} {prefix}: " + ", ".join(f"{k} {float(v):.4g}" for k, v in values.items()))

    def log(self, text: str) -> None:
        """Prints text above the bar."""
        self._bar.write(text)

    def close(self) -> None:
        self._bar.close()
        self._board.close()
        self._lines.close()
