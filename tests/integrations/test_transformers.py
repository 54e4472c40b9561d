"""Transformers' Trainer and Accelerate on lrscope's schedules, in real small trainings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lrscope.errors import InvalidInput
from lrscope.integrations.torch.schedule import ScheduledLR
from lrscope.schedules.text import parse_schedule

transformers = pytest.importorskip("transformers", reason="Transformers is not installed: its Trainer is not tested")
accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed: its `prepare` is not tested")

from lrscope.integrations.transformers import get_scheduler  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
]
TEXT = "warmup(25%) -> linear"
STEPS = 16


class Regression(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = self.layer(inputs)
        return {"loss": nn.functional.mse_loss(outputs, labels), "logits": outputs}


def examples() -> list[dict[str, torch.Tensor]]:
    inputs = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    return [{"inputs": row, "labels": row.sum(0, keepdim=True)} for row in inputs]


def train(folder: Path, *, resume: str | None = None) -> list[float]:
    """The logged rates of one training with Transformers' Trainer."""
    model = Regression()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    scheduler = get_scheduler(TEXT, optimizer, num_training_steps=STEPS)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=4,
        logging_steps=1,
        save_steps=8,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = transformers.Trainer(
        model=model, args=arguments, train_dataset=examples(), optimizers=(optimizer, scheduler)
    )
    trainer.train(resume_from_checkpoint=resume)
    return [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]


def test_trainer_trains_and_resumes_at_the_right_rates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schedule = parse_schedule(TEXT, total_steps=STEPS)
    expected = [0.2 * schedule(step) for step in range(STEPS)]
    assert train(tmp_path) == expected
    assert train(tmp_path, resume=str(tmp_path / "checkpoint-8")) == expected


def test_accelerate_trains_with_accumulation_at_the_right_rates() -> None:
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = Regression()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.2)
    scheduler = get_scheduler("cosine", optimizer, num_warmup_steps=3, num_training_steps=12)
    schedule = parse_schedule("warmup(3) -> cosine", total_steps=12)
    data = TensorDataset(*(torch.stack([row[key] for row in examples()]) for key in ("inputs", "labels")))
    model, optimizer, batches, prepared = accelerator.prepare(
        model, optimizer, DataLoader(data, batch_size=4), scheduler
    )
    updates, losses = 0, []
    for _ in range(3):
        for inputs, labels in batches:
            with accelerator.accumulate(model):
                assert prepared.get_last_lr() == [0.2 * schedule(updates)]
                loss = model(inputs, labels)["loss"]
                accelerator.backward(loss)
                optimizer.step()
                prepared.step()
                optimizer.zero_grad()
                updates += accelerator.sync_gradients
                losses.append(loss.item())
    assert updates == 12
    assert scheduler.state_dict() == {"step": 12}
    assert losses[-1] < losses[0]


def test_get_scheduler_puts_a_warm_up_before_text_only() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    scheduler = get_scheduler("linear", optimizer, 2, 10)
    assert isinstance(scheduler, ScheduledLR)
    assert scheduler.schedules[0] == parse_schedule("warmup(2) -> linear", total_steps=10)
    with pytest.raises(InvalidInput, match="put the warm-up into the schedule"):
        get_scheduler(scheduler.schedules[0], optimizer, 2, 10)
