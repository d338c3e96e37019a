"""The main way end to end on embedded data: phantoms in, a report out, in minutes."""

from __future__ import annotations

import shutil
from pathlib import Path

from softcam.data.phantom import write
from softcam.errors import InputError
from softcam.files import write_atomically
from softcam.training.config import make_config
from softcam.workflows.evaluate import Assessment
from softcam.workflows.train import train_and_assess

_MARKER = ".softcam-demo"
_IMAGES, _SIZE, _DIFFICULTY, _LESIONS = 800, 128, 0.5, (1, 10)


def run_demo(
    out: Path | str = Path("runs/demo"), *, seed: int = 0, show_progress: bool = True
) -> tuple[Assessment, Path]:
    """Train twin and SoftCAM on fundus phantoms, evaluate both, write the report.

    Args:
        out: The demo's own folder; a former demo's is replaced, nothing else is touched.
        seed: Seed of phantoms and training.
        show_progress: Whether to show progress bars.

    Returns:
        What was measured on the test split, and the report.

    Raises:
        InputError: If the folder holds something that is no demo, or cannot be written.
    """
    target = Path(out)
    _make_room(target)
    data = target / "data"
    write(data, "fundus", _IMAGES, size=_SIZE, difficulty=_DIFFICULTY, lesions=_LESIONS, seed=seed)
    settings = make_config(
        {
            "table": data / "table.csv",
            "out": target / "run",
            # Small enough to learn from scratch in a minute or two on two cores; stage 2 has cells
            # of 8 px, about the size of the lesions.
            "model": "resnet10t",
            "stages": 2,
            "size": _SIZE,
            "augment": "light",
            "epochs": 12,
            "lr": 2e-3,
            "seed": seed,
            "with_twin": True,
        }
    )
    run, assessment = train_and_assess(
        settings, title="softcam demo: fundus phantoms", show_progress=show_progress
    )
    report = target / "report.html"
    write_atomically(report, (run.path / "report.html").read_bytes())
    return assessment, report


def _make_room(target: Path) -> None:
    if target.is_dir() and any(target.iterdir()) and not (target / _MARKER).is_file():
        raise InputError(f"{target}: is not empty and no demo; choose another --out.")
    try:
        if target.is_dir():
            shutil.rmtree(target)
        target.mkdir(parents=True, exist_ok=True)
        (target / _MARKER).touch()
    except OSError as error:
        raise InputError(
            f"{target}: cannot write here ({error.strerror}); choose another --out."
        ) from error
