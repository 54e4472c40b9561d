"""A Lightning training on a schedule: every update at the right rate, also after a restart from a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lrscope.errors import InvalidInput
from lrscope.schedules.text import parse_schedule

lightning = pytest.importorskip("lightning", reason="Lightning is not installed: its trainer is not tested")

from lrscope.integrations.lightning import configure_optimizer  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*srun.*"),
    pytest.mark.filterwarnings("ignore:.*pkg_resources.*"),
]
TEXT = "warmup(25%) -> cosine"


class Regression(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.rates: list[float] = []
        self.losses: list[float] = []

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        loss = nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self) -> object:
        return configure_optimizer(torch.optim.SGD(self.parameters(), lr=0.2), TEXT, trainer=self.trainer)


def loader() -> DataLoader[tuple[torch.Tensor, ...]]:
    inputs = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(inputs, inputs.sum(1, keepdim=True)), batch_size=4)


def trainer(folder: Path, **options: object) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **options,
    )


def test_trains_and_restarts_at_the_right_rates(tmp_path: Path) -> None:
    lightning.seed_everything(0, verbose=False)
    model = Regression()
    first = trainer(tmp_path, max_epochs=3)
    first.fit(model, loader())
    schedule = parse_schedule(TEXT, total_steps=24)
    assert model.rates == [0.2 * schedule(step) for step in range(24)]
    assert model.losses[-1] < 0.2 * model.losses[0]

    first.save_checkpoint(tmp_path / "kept.ckpt")
    again = Regression()
    trainer(tmp_path, max_epochs=4).fit(again, loader(), ckpt_path=tmp_path / "kept.ckpt", weights_only=False)
    longer = parse_schedule(TEXT, total_steps=32)
    assert again.rates == [0.2 * longer(step) for step in range(24, 32)]


def test_a_run_without_an_end_needs_its_length(tmp_path: Path) -> None:
    endless = trainer(tmp_path, max_epochs=-1)
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)

    class Endless:
        estimated_stepping_batches = float("inf")

    with pytest.raises(InvalidInput, match="give 'total_steps'"):
        configure_optimizer(optimizer, TEXT, trainer=Endless())
    config = configure_optimizer(optimizer, TEXT, trainer=endless, total_steps=8)
    assert config["lr_scheduler"]["interval"] == "step"
    assert config["lr_scheduler"]["scheduler"].get_last_lr() == [0.05]
