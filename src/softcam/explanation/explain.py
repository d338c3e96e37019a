"""From an image to an Explanation: read, prepare, run, lay the evidence back on the image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import ImageSource, Pixels, read_image
from softcam.errors import InputError
from softcam.explanation.explanation import Explanation
from softcam.explanation.predictor import Predictor, TorchPredictor

if TYPE_CHECKING:
    from softcam.evidence.model import SoftCAM


def explain(
    model: SoftCAM | Predictor,
    image: ImageSource,
    *,
    preprocessing: Preprocessing | Mapping[str, Any] | None = None,
    threshold: float | None = None,
    name: str | None = None,
) -> Explanation:
    """Classify an image and show the evidence for it.

    Args:
        model: A SoftCAM model, or anything that predicts logits and evidence.
        image: A file's path, a PIL image, or an array of shape (H, W) or (H, W, 3).
        preprocessing: How the model wants its input; the model's own if None.
        threshold: Evidence, in logit units, from which a cell belongs to an evidence region;
            None for half of the strongest cell of each map.
        name: What to call the image; a file's name, else "image", if None.

    Returns:
        The explanation, with maps and regions in pixels of the image as displayed.

    Raises:
        InputError: If the image cannot be read, the model does not say how it wants its input,
            or its logits are not the mean of its maps.

    Example:
        >>> explanation = explain(model, "scan.png")              # doctest: +SKIP
        >>> explanation.predicted, explanation.probabilities      # doctest: +SKIP
        (('DME',), array([0.02, 0.03, 0.95]))
        >>> explanation.regions("DME")[0].box                     # doctest: +SKIP
        (211.2, 96.0, 63.4, 42.2)
        >>> explanation.save("explanations")                      # doctest: +SKIP
    """
    names = None if name is None else [name]
    return next(
        explain_many(model, [image], preprocessing=preprocessing, threshold=threshold, names=names)
    )


def explain_many(
    model: SoftCAM | Predictor,
    images: Iterable[ImageSource],
    *,
    batch_size: int = 8,
    preprocessing: Preprocessing | Mapping[str, Any] | None = None,
    threshold: float | None = None,
    names: Iterable[str] | None = None,
) -> Iterator[Explanation]:
    """Explain images one batch at a time, in their order.

    Args:
        model: A SoftCAM model, or anything that predicts logits and evidence.
        images: As for `explain`; read when their batch's turn comes.
        batch_size: How many to run at once.
        preprocessing: As for `explain`.
        threshold: As for `explain`.
        names: What to call the images; as for `explain` if None.

    Yields:
        An explanation for each image.

    Raises:
        InputError: As for `explain`, for a batch size below 1, or fewer names than images.
    """
    if batch_size < 1:
        raise InputError(f"The batch size is {batch_size}; pass 1 or more.")
    predictor = as_predictor(model)
    prepare = preprocessing_of(predictor, preprocessing)
    given = None if names is None else iter(names)
    remaining = iter(images)
    while batch := list(islice(remaining, batch_size)):
        if given is None:
            titles = [_name_of(image) for image in batch]
        else:
            titles = list(islice(given, len(batch)))
            if len(titles) < len(batch):
                raise InputError("There are fewer names than images; pass a name for each.")
        yield from _explain_batch(
            predictor, [read_image(i) for i in batch], titles, prepare, threshold
        )


def as_predictor(model: SoftCAM | Predictor) -> Predictor:
    """Wrap a SoftCAM model; leave what already predicts as it is.

    Raises:
        InputError: For anything else, such as a black-box model.
    """
    # An nn.Module is told from a predictor by its methods, so that torch need not be imported.
    if isinstance(model, Predictor):
        return model
    if callable(model) and hasattr(model, "info") and hasattr(model, "evidence_kind"):
        return TorchPredictor(model)
    raise InputError(
        f"A {type(model).__name__} shows no evidence; pass a SoftCAM model (softcam.convert makes "
        "one from a black box) or a predictor."
    )


def preprocessing_of(
    predictor: Predictor, given: Preprocessing | Mapping[str, Any] | None = None
) -> Preprocessing:
    """Give the preprocessing that a predictor asks for.

    Args:
        predictor: The predictor.
        given: What to take instead of the predictor's own.

    Raises:
        InputError: If there is neither.
    """
    if isinstance(given, Preprocessing):
        return given
    stored = predictor.info.preprocessing if given is None else given
    if stored is None:
        raise InputError(
            "The model does not say how it wants its input; pass preprocessing=, a "
            "softcam.data.preprocessing.Preprocessing with its size, mean and standard deviation."
        )
    return Preprocessing.from_dict(dict(stored))


def _explain_batch(
    predictor: Predictor,
    batch: Sequence[Pixels],
    names: Sequence[str],
    prepare: Preprocessing,
    threshold: float | None,
) -> Iterator[Explanation]:
    samples = [prepare(pixels) for pixels in batch]
    logits, evidence = predictor.predict(np.stack([sample.pixels for sample in samples]))
    for i, (pixels, sample) in enumerate(zip(batch, samples, strict=True)):
        yield Explanation(
            name=names[i],
            image=pixels.array,
            logits=np.asarray(logits[i], dtype=np.float32),
            evidence=np.asarray(evidence[i], dtype=np.float32),
            geometry=sample.geometry,
            info=predictor.info,
            threshold=threshold,
            plane=pixels.plane,
        )


def _name_of(image: ImageSource) -> str:
    return Path(image).name if isinstance(image, str | Path) else "image"
