"""`softcam train`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from softcam.cli.errors import InterruptedRunError
from softcam.cli.printing import console

_Flag = bool | None


def train(
    table: Annotated[
        Path | None, typer.Argument(help="table.csv, its folder, or class folders.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder to write.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of these settings; flags win.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the unfinished run in --out.")
    ] = False,
    images: Annotated[Path | None, typer.Option(help="Image folder.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="dataset.yaml.")] = None,
    model: Annotated[
        str | None, typer.Option(help="timm name, or torchvision/NAME. Default resnet18.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="exact, fresh, or sliding (VGG).")] = None,
    stages: Annotated[
        list[int] | None, typer.Option(help="Evidence from stage 1-4; repeat to add several.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="dense, or focused: settings for maps that point.")
    ] = None,
    neck: Annotated[
        str | None, typer.Option(help="hypercolumn joins the features of --stages.")
    ] = None,
    neck_width: Annotated[
        int | None, typer.Option(help="Channels of the neck. Default 64.")
    ] = None,
    concentration: Annotated[
        float | None, typer.Option(help="Sharpness of concentrated evidence; 0 for the plain mean.")
    ] = None,
    concentration_warmup: Annotated[
        float | None, typer.Option(help="Share of steps over which it rises from zero.")
    ] = None,
    plain_loss: Annotated[
        float | None, typer.Option(help="Weight of the loss on plain means beside it.")
    ] = None,
    align: Annotated[
        bool | None,
        typer.Option(
            help="Lay the neck's map where mirrored images agree that it looks, after training."
        ),
    ] = None,
    sharpen: Annotated[
        float | None,
        typer.Option(help="Validation AUC that a sharper map may cost, after training."),
    ] = None,
    output_stride: Annotated[int | None, typer.Option(help="8, 16 or 32.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Local safetensors file of pretrained weights.")
    ] = None,
    pretrained: Annotated[_Flag, typer.Option(help="Fetch weights from the library's hub.")] = None,
    drop_rate: Annotated[float | None, typer.Option(help="Dropout before the evidence.")] = None,
    one_logit: Annotated[_Flag, typer.Option(help="One logit and map for a binary task.")] = None,
    size: Annotated[str | None, typer.Option(help="Input size: 224, or HxW. Default 224.")] = None,
    resize: Annotated[str | None, typer.Option(help="pad, stretch or crop. Default pad.")] = None,
    trim: Annotated[
        str | None, typer.Option(help="none, or circle for fundus photographs. Default none.")
    ] = None,
    pixel_aspect: Annotated[
        str | None, typer.Option(help="apply or ignore non-square pixels. Default apply.")
    ] = None,
    channels: Annotated[str | None, typer.Option(help="rgb or grey. Default rgb.")] = None,
    augment: Annotated[
        str | None, typer.Option(help="none, light, fundus, oct or chest. Default light.")
    ] = None,
    l1: Annotated[float | None, typer.Option(help="ElasticNet: weight of mean |A|.")] = None,
    l2: Annotated[float | None, typer.Option(help="ElasticNet: weight of mean A^2.")] = None,
    penalty_form: Annotated[
        str | None, typer.Option(help="mean over elements, or the paper's sum or norm.")
    ] = None,
    penalty_on: Annotated[str | None, typer.Option(help="own or contrast maps.")] = None,
    penalty_classes: Annotated[
        list[str] | None,
        typer.Option(help="all, target, not_target, or a class name; repeat for several."),
    ] = None,
    penalty_warmup: Annotated[
        float | None, typer.Option(help="Share of steps over which the penalty rises.")
    ] = None,
    total_variation: Annotated[
        float | None, typer.Option(help="Weight of steps between neighbouring cells.")
    ] = None,
    consistency: Annotated[
        float | None, typer.Option(help="Weight of maps of mirrored images being mirrored maps.")
    ] = None,
    consistency_share: Annotated[
        float | None, typer.Option(help="Share of batches for that. Default 0.25.")
    ] = None,
    mosaic: Annotated[
        list[int] | None,
        typer.Option(help="Train on mosaics of N x N reduced images; repeat to mix scales."),
    ] = None,
    mosaic_share: Annotated[
        float | None, typer.Option(help="Share of batches that become mosaics. Default 0.5.")
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="cross-entropy, focal or ordinal. Default cross-entropy.")
    ] = None,
    focal_gamma: Annotated[float | None, typer.Option(help="Focal exponent. Default 2.")] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Share of the target spread over all classes.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Default 10.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Default 16.")] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Batches whose gradients make one step. Default 1.")
    ] = None,
    clip: Annotated[
        float | None, typer.Option(help="Largest norm of a step's gradient; 0: any.")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw, or sgd as in the paper.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    head_lr: Annotated[float | None, typer.Option(help="Factor on the head's rate.")] = None,
    layer_decay: Annotated[
        float | None, typer.Option(help="Factor on the rate from stage to earlier stage.")
    ] = None,
    freeze: Annotated[
        str | None, typer.Option(help="First stages that are not trained, or backbone.")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay.")] = None,
    lr_floor: Annotated[float | None, typer.Option(help="Floor of the cosine.")] = None,
    warmup: Annotated[float | None, typer.Option(help="Share of steps to warm up.")] = None,
    ema: Annotated[
        float | None, typer.Option(help="Validate and save a moving average with this decay.")
    ] = None,
    class_weights: Annotated[str | None, typer.Option(help="none or balanced.")] = None,
    sampling: Annotated[
        str | None, typer.Option(help="natural, balanced or progressive. Default natural.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without a better validation AUC; 0 never stops.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto, 32, bf16, or fp16 on CUDA.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that prepare images; 0: none.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps prepared images from run to run.")
    ] = None,
    cache_gb: Annotated[float | None, typer.Option(help="Memory for prepared images.")] = None,
    checkpoint_steps: Annotated[
        int | None, typer.Option(help="Steps between checkpoints within an epoch; 0: none.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    split_seed: Annotated[
        int | None, typer.Option(help="Seed of the splits of a table without; --seed if left out.")
    ] = None,
    shuffle_labels: Annotated[
        _Flag, typer.Option(help="Learn labels in random order, for softcam benchmark --shuffled.")
    ] = None,
    mlflow: Annotated[_Flag, typer.Option(help="Log to MLflow too.")] = None,
    mlflow_uri: Annotated[
        str | None, typer.Option(help="Its server or store; OUT/mlruns if left out.")
    ] = None,
    with_twin: Annotated[_Flag, typer.Option(help="Also train the stock black box.")] = None,
    black_box: Annotated[_Flag, typer.Option(help="Train the stock black box itself.")] = None,
    fast_dev_run: Annotated[
        bool, typer.Option("--fast-dev-run", help="Go the whole way on one batch; keep nothing.")
    ] = False,
    overfit_batch: Annotated[
        int | None,
        typer.Option(metavar="N", help="Learn one batch of N images by heart, or exit with 1."),
    ] = None,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Try learning rates; write OUT-lr.csv and OUT-lr.png.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="First check the table, as softcam check does.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Check, and refuse leaks and label conflicts.")
    ] = False,
) -> None:
    """Train a self-explaining classifier from a table of images.

    Example: softcam train data/fundus/table.csv --out runs/fundus --stages 3 --with-twin
    """
    given = locals()
    from softcam.training.config import TrainConfig
    from softcam.training.processes import Processes
    from softcam.workflows.settings import settings_for
    from softcam.workflows.train import train as run_training
    from softcam.workflows.trials import find_trial

    flags: dict[str, Any] = {
        name: given[name]
        for name in TrainConfig.model_fields
        if given.get(name) is not None and given[name] != []
    }
    first = Processes.of_environment().first
    if not first:  # what one process says need not be said by all
        logging.getLogger("softcam").setLevel(logging.ERROR)
    trial = find_trial(
        fast_dev_run=fast_dev_run, overfit_batch=overfit_batch, find_lr=find_lr, resume=resume
    )
    if trial is not None:
        if trial.keeps_nothing and config is None:
            flags.setdefault("out", Path("run"))  # never written
        settings = settings_for(flags, config=config)
        console().print(trial.work(settings), markup=False)
        return
    settings = settings_for(flags, config=config, resume=resume)
    try:
        run = run_training(settings, resume=resume, check=check, strict=strict)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            f"Go on with: softcam train --resume --out {settings.out}"
        ) from error
    if first:
        console().print(f"Run: {run.path}\nReport: {run.path / 'report.html'}", markup=False)
