"""One rank of a small data-parallel training, with the noise instrument in its loop; run by test_gradients.py.

python data_parallel_worker.py RANK RANKS RENDEZVOUS_FILE OUT_FILE
"""

import json
import sys
from pathlib import Path


def run(rank: int, ranks: int, rendezvous: str, out: str) -> None:
    import torch
    import torch.distributed as dist
    from torch import nn

    from lrscope.integrations.torch.gradients import DataParallelNoise

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=ranks)
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    noise = DataParallelNoise(model, batch_size=4, decay=1.0)
    generator = torch.Generator().manual_seed(1)
    small, big = [], []
    for _ in range(30):
        inputs = torch.randn(4 * ranks, 6, generator=generator)  # every rank draws all, and takes its share
        targets = inputs.sum(1, keepdim=True) + torch.randn(4 * ranks, 1, generator=generator)
        mine = slice(4 * rank, 4 * rank + 4)
        optimizer.zero_grad()
        nn.functional.mse_loss(model(inputs[mine]), targets[mine]).backward()
        noise.update()
        big.append(sum(float(p.grad.double().square().sum()) for p in model.parameters()))
        total = 0.0
        for start in range(0, 4 * ranks, 4):  # the readable twin: each share's gradient, one after the other
            part = slice(start, start + 4)
            loss = nn.functional.mse_loss(model.module(inputs[part]), targets[part])
            gradients = torch.autograd.grad(loss, list(model.module.parameters()))
            total += sum(float(g.double().square().sum()) for g in gradients) / ranks
        small.append(total)
        optimizer.step()
    result = noise.result()
    Path(out).write_text(
        json.dumps({"trace": result.trace, "square": result.square, "small": small, "big": big}), encoding="utf-8"
    )
    dist.destroy_process_group()


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
