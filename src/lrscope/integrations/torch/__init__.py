"""PyTorch: `ScheduledLR`, a real learning rate scheduler (extra `torch`)."""
