"""The tasks by name, with the learning rates of their dense grids."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lrscope.tasks import BUNDLED


@dataclass(frozen=True, kw_only=True)
class TruthTask:
    """A task, where it is, and the learning rates of its dense grid."""

    reference: str
    lr: tuple[float, float]
    held_out: bool = False


def _here(kind: str, function: str, low: float, high: float, held_out: bool = False) -> TruthTask:
    reference = f"{Path(__file__).resolve().with_name(kind)}.py:{function}"
    return TruthTask(reference=reference, lr=(low, high), held_out=held_out)


TASKS = {
    "digits": TruthTask(reference=BUNDLED["digits"].reference, lr=(0.0005, 2)),
    "digits-adamw": TruthTask(reference=BUNDLED["digits-adamw"].reference, lr=(6e-5, 2)),
    "pydoc-text": TruthTask(reference=BUNDLED["pydoc-text"].reference, lr=(6e-5, 2)),
    "breast-cancer": _here("tables", "breast_cancer", 1e-3, 16),
    "diabetes": _here("tables", "diabetes", 6e-5, 1),
    "teacher-student": _here("tables", "teacher_student", 5e-4, 2),
    "autoencoder": _here("images", "autoencoder", 3e-5, 0.5),
    "batchnorm-cnn": _here("images", "batchnorm_cnn", 1e-3, 16),
    "transformer-text": _here("text", "transformer_text", 1e-4, 1),
    "photo-patches": _here("photos", "photo_patches", 5e-4, 2),
    "photo-pixels": _here("photos", "photo_pixels", 6e-5, 1),
    "drawn-shapes": _here("images", "drawn_shapes", 0.002, 2),
    "spiral-arms": _here("tables", "spiral_arms", 0.002, 2),
    "character-names": _here("text", "character_names", 0.0001, 0.7),
    "flipped-labels": _here("tables", "flipped_labels", 0.0002, 2),
    "marked-sum": _here("signals", "marked_sum", 0.0005, 2),
    "row-gru": _here("signals", "row_gru", 1e-4, 1, held_out=True),
    "wine": _here("tables", "wine", 1e-3, 4, held_out=True),
    "denoising-cnn": _here("photos", "denoising_cnn", 1e-3, 4, held_out=True),
    "friedman": _here("tables", "friedman", 0.0001, 2, held_out=True),
    "module-lines": _here("text", "module_lines", 0.0002, 2, held_out=True),
    "waves": _here("signals", "waves", 0.002, 8, held_out=True),
    "next-pixel": _here("photos", "next_pixel", 0.0005, 4, held_out=True),
    "digit-pairs": _here("images", "digit_pairs", 1e-4, 1, held_out=True),
    "iris-width": _here("tables", "iris_width", 0.0001, 2, held_out=True),
    "next-token": _here("text", "next_token", 3e-5, 0.5, held_out=True),
}
