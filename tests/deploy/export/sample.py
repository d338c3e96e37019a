"""A graph that can be computed by hand: 2 x 2 means of the channels, weighted, as evidence."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from softcam.deploy.export.description import Description, Sizes
from softcam.deploy.export.graph import Graph
from softcam.evidence.info import ModelInfo, Task

WEIGHTS = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], dtype=np.float32)
BIAS = np.array([0.5, -0.25], dtype=np.float32)


def info() -> ModelInfo:
    return ModelInfo(
        task=Task.BINARY,
        classes=("healthy", "diseased"),
        positive="diseased",
        thresholds={"diseased": 0.4},
        preprocessing={"size": [8, 8], "mean": [0, 0, 0], "std": [1, 1, 1], "channels": "rgb"},
        training={"seed": 3},
    )


def description(**more) -> Description:
    given = {
        "info": info(),
        "in_chans": 3,
        "outputs": 2,
        "sizes": Sizes(trained=(8, 8), fixed=False, smallest=4, multiple=2),
    }
    return Description(**(given | more))


def graph(*, channels=3, outputs=("logits", "evidence"), images="images") -> onnx.ModelProto:
    """Features: 2 x 2 means; evidence: 1 x 1 convolution; logits: its mean."""
    mean = np.zeros((channels, channels, 2, 2), dtype=np.float32)
    for channel in range(channels):
        mean[channel, channel] = 0.25
    nodes = [
        helper.make_node("Conv", [images, "mean"], ["features"], name="pool", strides=[2, 2]),
        helper.make_node("Conv", ["features", "weight", "bias"], [outputs[1]], name="head"),
        helper.make_node("ReduceMean", [outputs[1], "axes"], [outputs[0]], name="mean", keepdims=0),
    ]
    weights = {
        "mean": mean,
        "weight": np.resize(WEIGHTS, (2, channels))[:, :, None, None],
        "bias": BIAS,
        "axes": np.array([2, 3], dtype=np.int64),
    }
    shape = ["batch", channels, "height", "width"]
    built = helper.make_graph(
        nodes,
        "sample",
        [helper.make_tensor_value_info(images, TensorProto.FLOAT, shape)],
        [
            helper.make_tensor_value_info(outputs[0], TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info(outputs[1], TensorProto.FLOAT, ["batch", 2, "h", "w"]),
        ],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(built, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def sample() -> Graph:
    return Graph(graph(), frozenset({"pool"}), any_size=True)


def batch(count=2, height=8, width=8, channels=3, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, channels, height, width)).astype(np.float32)


def by_hand(images):
    """The sample's logits and evidence, in float64."""
    b, c, h, w = images.shape
    pooled = images.astype(np.float64).reshape(b, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))
    evidence = np.einsum("kc,bchw->bkhw", WEIGHTS, pooled) + BIAS[:, None, None]
    return evidence.mean(axis=(2, 3)), evidence
