"""PyTorch (extra `torch`): `ScheduledLR`, a real learning rate scheduler, and `Monitor`, which judges a rate live."""

from lrscope.integrations.torch.monitor import Diverged as Diverged
from lrscope.integrations.torch.monitor import Monitor as Monitor
from lrscope.integrations.torch.schedule import ScheduledLR as ScheduledLR
