"""The `softcam` command: one file per command, each thin.

Commands import what they need when they run, so that `softcam --help` answers at once.
"""

from __future__ import annotations

import logging
import sys
import warnings

import typer

from softcam.cli.benchmark import benchmark
from softcam.cli.check import check
from softcam.cli.compare import compare
from softcam.cli.demo import demo
from softcam.cli.doctor import doctor
from softcam.cli.errors import run_safely
from softcam.cli.evaluate import evaluate
from softcam.cli.explain import explain
from softcam.cli.export import export
from softcam.cli.import_data import import_data
from softcam.cli.predict import predict
from softcam.cli.reproduce import SeveralWords, reproduce
from softcam.cli.serve import serve
from softcam.cli.sweep import SeveralValues, sweep
from softcam.cli.train import train

app = typer.Typer(
    name="softcam",
    help="Image classifiers that show their evidence: the class evidence map is the decision.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    *(demo, check, train, predict, explain, evaluate, compare, benchmark),
    *(export, serve, doctor),
):
    app.command()(command)
app.command("import")(import_data)
app.command(cls=SeveralValues)(sweep)
app.command(cls=SeveralWords)(reproduce)


def main() -> None:
    """Run the command line and exit."""
    logging.basicConfig(level=logging.WARNING, format="softcam: %(message)s", stream=sys.stderr)
    logging.getLogger("softcam").setLevel(logging.INFO)
    # Of a DICOM file, users hear in one sentence whether it can be used, not its small faults.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
    warnings.filterwarnings("ignore", module="highdicom")  # it quotes patients' names
    sys.exit(run_safely(lambda: app(standalone_mode=False)))
