"""The scores of maps under a short name: ``softcam.metrics.activation_precision(...)``."""

from __future__ import annotations

from softcam.evaluation.consistency.completeness import attribution_error, evidence_error
from softcam.evaluation.consistency.randomisation import (
    cascade,
    label_randomisation,
    map_similarity,
    parameter_randomisation,
)
from softcam.evaluation.consistency.shares import negative_share, positive_share
from softcam.evaluation.consistency.sparsity import gini, share_above
from softcam.evaluation.consistency.stability import (
    Perturbed,
    gaussian_noise,
    jpeg,
    max_sensitivity,
    shift,
    uniform_noise,
)
from softcam.evaluation.consistency.tiles import tile_game, tile_share
from softcam.evaluation.lesions import lesions, recall_by_size
from softcam.evaluation.localisation import (
    activation_precision,
    activation_sensitivity,
    energy_inside,
    pointing_game,
    scaled_patch,
    topk_precision,
)
from softcam.evaluation.overlap import (
    average_precision,
    best_overlap,
    overlap_at,
    topk_intersection,
)
from softcam.evaluation.patch_hits import patch_hits

__all__ = [
    "Perturbed",
    "activation_precision",
    "activation_sensitivity",
    "attribution_error",
    "average_precision",
    "best_overlap",
    "cascade",
    "energy_inside",
    "evidence_error",
    "gaussian_noise",
    "gini",
    "jpeg",
    "label_randomisation",
    "lesions",
    "map_similarity",
    "max_sensitivity",
    "negative_share",
    "overlap_at",
    "parameter_randomisation",
    "patch_hits",
    "pointing_game",
    "positive_share",
    "recall_by_size",
    "scaled_patch",
    "share_above",
    "shift",
    "tile_game",
    "tile_share",
    "topk_intersection",
    "topk_precision",
    "uniform_noise",
]
