"""PyTorch: `ScheduledLR`, a real learning rate scheduler, and what goes with it (extra `torch`)."""

from lrscope.integrations.torch.schedule import ScheduledLR as ScheduledLR
