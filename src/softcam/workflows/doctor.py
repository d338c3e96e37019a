"""What is installed, and what this machine can do."""

from __future__ import annotations

import platform
from importlib import metadata
from importlib.util import find_spec

import torch
from PIL import features

from softcam.training.config import TrainConfig
from softcam.training.precision import choose_device, choose_precision

_CORE = (
    "softcam",
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "torchmetrics",
    "captum",
    "numpy",
    "scipy",
    "pillow",
    "safetensors",
    "matplotlib",
)
_INSTALL = {
    "dicom": 'pip install "softcam[dicom]"',
    "nifti": 'pip install "softcam[nifti]"',
    "export": 'pip install "softcam[export]"',
    "benchmark": 'pip install "softcam[benchmark]"',
    "scores": 'pip install "softcam[scores]"',
    "ray": 'pip install "softcam[ray]"',
    "web": 'pip install "softcam[web]"',
    "mlflow": 'pip install "softcam[mlflow]"',
    "bench": "make bench",
    "dev": "make test",
}
_EXTRAS = {
    "dicom": ("pydicom", "openjpeg", "jpeg_ls", "gdcm", "highdicom"),
    "nifti": ("nibabel",),
    "export": ("onnx", "onnxscript", "onnxruntime", "openvino", "nncf"),
    "benchmark": ("pytorch_grad_cam",),
    "scores": ("pyarrow", "zarr"),
    "ray": ("ray", "pyarrow", "zarr", "pandas"),
    "web": ("fastapi", "uvicorn", "python_multipart", "prometheus_client"),
    "mlflow": ("mlflow",),
    "bench": ("torchcam",),
    "dev": ("pytest", "ruff", "mypy"),
}


def examine() -> list[tuple[str, str, str]]:
    """Examine the installation.

    Returns:
        Rows of section, name and state.
    """
    rows = [("machine", "Python", f"{platform.python_version()} on {platform.machine()}")]
    rows += [("machine", "threads", str(torch.get_num_threads())), ("machine", "GPU", _gpu())]
    settings = TrainConfig.model_validate({"table": "t", "out": "o"})
    device = choose_device(settings)
    rows.append(("machine", "training", f"{choose_precision(settings, device)} on {device}"))
    rows += [("library", name, _version(name)) for name in _CORE]
    for codec, name in (("jpg", "JPEG"), ("zlib", "PNG")):
        rows.append(("decoder", name, "yes" if features.check(codec) else "missing"))
    for extra, modules in _EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        state = f"missing; {_INSTALL[extra]}" if missing else "installed"
        rows.append(("extra", extra, state))
    return rows


def _gpu() -> str:
    if not torch.cuda.is_available():
        return "none"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
