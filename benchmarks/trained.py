"""Do trained black boxes keep their predictions on real images?

Weights files are read from a folder (names as `NAME.LIBRARY*.safetensors`, for example
`mobilenet_v2.torchvision.safetensors`), images from another. Each file goes into its black box
(what it does not hold, such as a missing classifier, stays random with a fixed seed), the black
box goes through `softcam.convert`, and both see the same images, in float32 and in float64.

    python benchmarks/trained.py --weights DIR --images DIR
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import timm
import torch
import torchvision
from rich.console import Console
from rich.progress import track
from torch import nn

import softcam
from softcam.conversion.weights import load_weights
from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_image

PATTERNS = ("*.png", "*.jpg", "*.jpeg")


def build(name: str, library: str) -> nn.Module:
    """Build a black box with a classifier of 1000 classes; its random parts are always the same."""
    torch.manual_seed(0)
    if library == "timm":
        model: nn.Module = timm.create_model(name)
    else:
        model = torchvision.models.get_model(name, weights=None)
    return model.eval()


def compare(
    model: nn.Module, converted: nn.Module, batches: list[torch.Tensor]
) -> dict[str, float]:
    """Compare logits and predictions over all images."""
    error = largest = complete = 0.0
    changed = total = 0
    with torch.no_grad():
        for batch in track(batches, console=Console(stderr=True), description="images"):
            expected, output = model(batch), converted(batch)
            error = max(error, float((output.logits - expected).abs().max()))
            largest = max(largest, float(expected.abs().max()))
            mean = output.evidence.double().mean(dim=(2, 3))
            complete = max(complete, float((output.logits - mean).abs().max()))
            changed += int((output.logits.argmax(1) != expected.argmax(1)).sum())
            total += len(batch)
    return {
        "images": total,
        "changed predictions": changed,
        "largest logit difference": error / largest,
        "largest incompleteness": complete / largest,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--count", type=int, default=64, help="images, evenly over the folder")
    arguments = parser.parse_args()
    paths = sorted(path for kind in PATTERNS for path in arguments.images.rglob(kind))
    paths = paths[:: max(1, len(paths) // arguments.count)][: arguments.count]
    files = sorted(arguments.weights.glob("*.safetensors"))
    if not paths or not files:
        print("no images or no weights files there", file=sys.stderr)
        return 2
    prepare = Preprocessing(size=(224, 224))
    images = torch.stack([torch.from_numpy(prepare(read_image(path)).pixels) for path in paths])
    worst = 0
    for file in files:
        name, library = file.name.split(".")[:2]
        library = library.partition("-")[0]
        model = build(name, library)
        report = load_weights(model, file)
        for dtype in (torch.float32, torch.float64):
            model = model.to(dtype)
            converted = softcam.convert(model)
            found = compare(model, converted, list(images.to(dtype).split(16)))
            worst += int(found["changed predictions"])
            text = ", ".join(f"{key} {value:.3g}" for key, value in found.items())
            kind = converted.evidence_kind
            print(
                f"{name} ({library}, {kind}, {len(report.missing)} tensors random), {dtype}: {text}"
            )
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
