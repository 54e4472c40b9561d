"""Which column of a table is what: the names in use for rates, batch sizes, losses and seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lrscope.errors import InvalidInput

LR = ("peak_lr", "lr", "learning_rate", "max_lr", "base_lr", "lr_peak", "eta", "matrix_lr", "init_lr", "initial_lr",
      "learningrate", "step_size")  # fmt: skip
BATCH = ("batch_size", "global_batch_size", "train_batch_size", "total_batch_size", "bs", "batch", "batchsize",
         "global_batch", "batch_seqs", "batch_examples", "batch_tokens", "per_device_train_batch_size")  # fmt: skip
LOSS = ("loss", "final_loss", "val_loss", "validation_loss", "eval_loss", "final_val_loss", "train_loss",
        "final_train_loss", "test_loss", "final_test_loss", "mse", "rmse", "mae", "nll", "perplexity", "ppl", "val_bpb",
        "bpb", "error", "error_rate", "loss_mean", "regret", "objective", "value")  # fmt: skip
SCORE = ("accuracy", "val_accuracy", "test_accuracy", "acc", "val_acc", "test_acc", "final_test_acc", "top1", "f1",
         "auc", "r2", "bleu", "score", "reward")  # fmt: skip
SUMMARY = ("median", "mean", "q75", "q25", "best")
SEED = ("seed", "random_seed", "run_seed", "replicate", "rep")
INITIAL = ("initial_loss", "init_loss", "initial_val_loss", "initial_train_loss")
STEP = ("step", "global_step", "iteration", "update", "epoch")
TO_TARGET = ("steps_to_target", "steps_to_loss", "updates_to_target")
DIVERGED = ("diverged", "is_diverged")
RUN = ("run", "run_id", "trial", "run_name")
_NO_GROUP = re.compile(
    r"loss|acc|mse|error|bpb|best|median|mean|q\d\d|score|seconds|time|steps|epochs|diverged|^(run_)?stat(e|us)$|(^|_)(n|id|run|index)$"
)
_SCORE_ENDS = ("_accuracy", "_acc", "_score", "_reward", "_return", "_f1", "_auc", "_r2", "_bleu")
_OF_EVALUATION = re.compile(r"(eval|val|test)_batch_size$")  # its batch size is not that of an update


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The column of each role, by its name in the table; None where there is none."""

    lr: str | None
    batch: str | None
    loss: str | None
    maximize: bool
    seed: str | None
    initial: str | None
    step: str | None
    to_target: str | None
    diverged: str | None
    run: str | None

    @property
    def taken(self) -> set[str]:
        """All columns that have a role."""
        names = (self.lr, self.batch, self.loss, self.seed, self.initial, self.step, self.to_target, self.diverged)
        return {name for name in (*names, self.run) if name is not None}


def normalized(name: str) -> str:
    """Lower case, words joined by underscores, without what loggers put before: `config/Learning Rate` → learning_rate.

    >>> normalized("optimizer.lr"), normalized("Learning Rate"), normalized("train-batch-size")
    ('lr', 'learning_rate', 'train_batch_size')
    """
    last = re.split(r"[./]", name.strip())[-1]
    return re.sub(r"[^a-z0-9]+", "_", last.lower()).strip("_")


def find_roles(
    columns: Sequence[str], place: str, *, lr: str | None, batch: str | None, loss: str | None, maximize: bool
) -> Roles:
    """The roles of a table's columns; what is named must be there.

    Raises InvalidInput where a named column is missing, or named twice.
    """
    for option, name in (("--lr-column", lr), ("--batch-column", batch), ("--loss-column", loss)):
        if name is not None and name not in columns:
            raise InvalidInput(f"{place} has no column '{name}' ({option}). Its columns are: {', '.join(columns)}.")
    by_name = {normalized(name): name for name in reversed(list(columns))}

    def first(names: Sequence[str]) -> str | None:
        return next((by_name[name] for name in names if name in by_name), None)

    def ending(*ends: str) -> str | None:
        named = [name for name in columns if normalized(name).endswith(ends)]
        return next((name for name in named if not _OF_EVALUATION.search(normalized(name))), None)

    score = None
    if loss is None:
        loss = first(LOSS) or ending("_loss", "_mse", "_error", "_nll")
        if loss is None:
            score = first(SCORE) or ending(*_SCORE_ENDS)
        if loss is None and score is None:
            loss = first(SUMMARY)
            if loss is not None and re.search(r"acc|score", place.lower()):
                loss, score = None, loss
    elif normalized(loss) in SCORE and not maximize:
        loss, score = None, loss
    lr = lr or first(LR) or ending("_lr", "learning_rate")
    batch = batch or first(BATCH) or ending("batch_size")
    used = [name for name in (lr, batch, loss or score) if name is not None]
    if len(set(used)) < len(used):
        raise InvalidInput(f"Rates, batch sizes and losses of {place} must be columns of their own. Got {used}.")
    return Roles(
        lr=lr,
        batch=batch,
        loss=loss or score,
        maximize=maximize or score is not None,
        seed=first(SEED),
        initial=first(INITIAL),
        step=first(STEP),
        to_target=first(TO_TARGET),
        diverged=first(DIVERGED),
        run=first(RUN),
    )


def may_group(name: str) -> bool:
    """Whether a column of this name can be a setting that groups runs, by its name alone."""
    return _NO_GROUP.search(normalized(name)) is None
