"""Which logged name is which quantity: the spellings in use, in order of preference."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_VALIDATION = {"val", "valid", "validation", "eval", "evaluation", "test", "dev", "heldout", "holdout"}
_TRAINING = {"train", "training", "tr"}
_NOT_A_LOSS = {
    "final", "best", "min", "max", "target", "std", "var", "scale", "scaler", "weight", "delta", "diff", "lower",
    "upper", "runtime", "samples", "count",
}  # fmt: skip
_SECONDARY = {"smooth", "smoothed", "ema", "avg", "aux", "reg", "regularization", "balance", "moe", "policy", "value"}
_STAND_INS = (
    "nll", "cross_entropy", "crossentropy", "xent", "ce", "bce", "logloss", "mse", "rmse", "mae", "huber",
    "bits_per_byte", "bits_per_character", "bpb", "bpc", "cost", "objective", "error", "err", "perplexity", "ppl",
)  # fmt: skip
_OTHER_METRICS = {
    "acc", "accuracy", "f1", "auc", "score", "precision", "recall", "bleu", "reward", "time", "seconds", "memory",
}  # fmt: skip

_LOSS_ORDER = (
    "train_loss_step", "train_loss", "training_loss", "loss_train", "loss_training", "loss", "loss_step", "batch_loss",
    "train_batch_loss", "minibatch_loss", "loss_mean", "train_loss_mean", "mean_loss", "total_loss", "loss_total",
    "train_total_loss", "train_loss_total", "lm_loss", "train_lm_loss", "train_loss_epoch", "loss_epoch", "epoch_loss",
)  # fmt: skip
_STEP_ORDER = (
    "global_step", "trainer_global_step", "train_global_step", "step", "train_step", "steps", "iteration", "iter",
    "iterations", "iters", "it", "n_iter", "update", "updates", "num_updates", "update_step", "training_iteration",
    "optimizer_step", "batch", "batch_idx", "minibatch", "batches", "timesteps_total", "n_steps", "tokens", "samples",
    "epoch", "epochs", "train_epoch", "index", "unnamed_0", "i", "t", "",
)  # fmt: skip


def normalized(name: str) -> str:
    """A logged name in lower case with single underscores, its train/val prefix set apart.

    >>> [normalized(n) for n in ("Loss/train", "valLoss", "trainer/global_step", "_step", "lr-Adam/pg1")]
    ['loss_train', 'val_loss', 'trainer_global_step', 'step', 'lr_adam_pg1']
    """
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    name = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return re.sub(r"^(train|training|val|valid|validation|test|eval)(?=loss)", r"\1_", name)


def _rank(order: tuple[str, ...], name: str) -> int | None:
    return order.index(name) if name in order else None


def step_rank(name: str) -> int | None:
    """How well a name fits the step count: 0 is best, None is not at all."""
    return _rank(_STEP_ORDER, normalized(name))


def loss_rank(name: str) -> int | None:
    """How well a name fits the training loss."""
    name = normalized(name)
    tokens = set(name.split("_"))
    if tokens & (_VALIDATION | _NOT_A_LOSS):
        return None
    exact = _rank(_LOSS_ORDER, name)
    if exact is not None:
        return exact
    penalty = 100 + 10 * len(tokens & _SECONDARY) + len(tokens) - 5 * bool(tokens & _TRAINING)
    if "loss" in tokens or "losses" in tokens:
        return penalty
    stand_in = re.sub(r"^(train|training)_|_(train|training)$", "", name)
    return penalty + 100 + _STAND_INS.index(stand_in) if stand_in in _STAND_INS else None


def is_perplexity(name: str) -> bool:
    """Whether a name is a perplexity, the exponential of a loss."""
    return bool({"perplexity", "ppl"} & set(normalized(name).split("_")))


def val_loss_rank(name: str) -> int | None:
    """How well a name fits the validation loss; a validation set goes before a test set."""
    name = normalized(name)
    tokens = set(name.split("_"))
    if not tokens & _VALIDATION or tokens & _NOT_A_LOSS:
        return None
    rest = "_".join(t for t in name.split("_") if t not in _VALIDATION)
    held_out_test = 50 if "test" in tokens else 0
    if "loss" in tokens:
        return held_out_test + len(tokens) + 10 * len(tokens & _SECONDARY)
    return held_out_test + 100 + len(tokens) if rest in _STAND_INS else None


def lr_rank(name: str) -> int | None:
    """How well a name fits the learning rate; the first parameter group is taken."""
    name = normalized(name)
    tokens = name.split("_")
    if set(tokens) & {"min", "max", "final", "scale", "ratio", "factor", "decay", "end", "init"}:
        return None
    if name in ("lr", "learning_rate", "learningrate", "train_lr", "train_learning_rate"):
        return 0
    if "lr" in tokens or "learning_rate" in name or "learningrate" in tokens:
        return len(tokens) + (100 if tokens[0] in ("config", "params", "hparams", "args") else 0)
    return None


def grad_norm_rank(name: str) -> int | None:
    """How well a name fits the norm of the whole gradient (L2 unless it says otherwise)."""
    name = normalized(name)
    tokens = name.split("_")
    if set(tokens) & {"max", "clip", "clipped", "l1", "min", "layer", "layers", "scaled"}:
        return None
    if name in ("grad_norm", "gradient_norm", "gradnorm", "train_grad_norm", "grad_norm_l2", "grad_2_0_norm_total"):
        return 0
    gradient = {"grad", "grads", "gradient", "gradients"} & set(tokens) and "norm" in tokens
    if (gradient or "gradnorm" in tokens) and (len(tokens) <= 4 or "total" in tokens or "global" in tokens):
        return len(tokens)
    return 50 if name == "total_norm" else None


def _exact(*spellings: str) -> Callable[[str], int | None]:
    return lambda name: next((k for k, spelling in enumerate(spellings) if normalized(name).endswith(spelling)), None)


ROLES: Mapping[str, Callable[[str], int | None]] = {
    "loss": loss_rank,
    "val_loss": val_loss_rank,
    "lr": lr_rank,
    "grad_norm": grad_norm_rank,
    "grad_norm_l1": _exact("grad_norm_l1", "gradient_norm_l1", "l1_grad_norm"),
    "update_ratio": _exact("update_ratio", "update_to_weight_ratio", "update_to_weight"),
    "alpha": lambda name: 0 if normalized(name) in ("alpha", "monitor_alpha") else None,
    "gradient_cosine": _exact("gradient_cosine", "grad_cosine", "cosine_of_gradients"),
    "sharpness": _exact("sharpness", "lambda_max"),
}
"""Role -> how well a name fits it (0 is best, None is not at all)."""


def is_batch_size(name: str) -> bool:
    """Whether a name is the training batch size."""
    name = normalized(name)
    tokens = set(name.split("_"))
    return not tokens & _VALIDATION and (name.endswith(("batch_size", "batchsize", "batch_seqs")) or name == "bs")


def is_optimizer(name: str) -> bool:
    """Whether a name is the optimizer's name."""
    name = normalized(name)
    return name in ("optimizer", "optim", "opt", "optimizer_name", "optim_name", "config_optimizer", "config_optim")


def is_total_steps(name: str) -> bool:
    """Whether a name is the planned number of updates."""
    return normalized(name).removeprefix("config_") in (
        "total_steps", "max_steps", "n_steps", "num_steps", "num_training_steps", "steps_total", "train_steps",
    )  # fmt: skip


def is_run(name: str) -> bool:
    """Whether a column tells runs apart by name."""
    return normalized(name) in (
        "run", "run_id", "run_name", "run_uuid", "trial", "trial_id", "trial_number", "trial_name", "experiment",
        "experiment_name", "experiment_id", "job", "job_id", "label", "name",
    )  # fmt: skip


def is_setting(name: str) -> bool:
    """Whether a numeric column is a setting of the run, by which a table of several runs may be split."""
    name = normalized(name)
    tokens = set(name.split("_"))
    return bool(
        is_batch_size(name)
        or tokens & {"model", "seed", "params", "width", "depth", "layers", "wd", "momentum", "config", "id", "fold"}
        or name
        in ("weight_decay", "d_model", "n_embd", "hidden_size", "replicate", "warmup", "warmup_steps", "dropout")
    )


def is_split_of_data(name: str) -> bool:
    """Whether a column says of each row if it is of training or validation."""
    return normalized(name) in ("split", "phase", "mode", "stage", "subset", "set", "data", "dataset", "partition")


def is_validation_word(text: str) -> bool:
    """Whether a cell of such a column means validation.

    >>> [is_validation_word(t) for t in ("train", "val", "Validation", "eval_set")]
    [False, True, True, True]
    """
    return bool(set(normalized(text).split("_")) & _VALIDATION)


def is_training_word(text: str) -> bool:
    """Whether a cell of such a column means training."""
    return bool(set(normalized(text).split("_")) & _TRAINING)


def is_known(name: str) -> bool:
    """Whether a name is a quantity, a setting or anything else that has a meaning."""
    if _OTHER_METRICS & set(normalized(name).split("_")):
        return True
    ranked = any(rank(name) is not None for rank in ROLES.values())
    return ranked or is_run(name) or is_setting(name) or is_optimizer(name) or is_total_steps(name)
