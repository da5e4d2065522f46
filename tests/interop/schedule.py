"""PyTorch's learning rates, as golden/schedule.txt. Needs PyTorch: pip install torch

    python tests/interop/schedule.py [steps warmup]         warmup at least 1

PyTorch has no schedule of warm-up, stable, decay: that is its formula, by LambdaLR.
"""

import sys

import golden
import torch
from torch.optim import lr_scheduler as schedules

steps, warmup = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (40, 7)
lr, end, decay = 0.02, 0.1, 0.25
tables = dict(sizes=torch.tensor([steps, warmup]))


def rates(name, make):
    """The learning rate of each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    tables[name] = torch.tensor(found, dtype=torch.float64)


def warmed(make):
    """After `warmup` steps of a straight rise."""
    rise = lambda optimizer: schedules.LinearLR(optimizer, 1 / (warmup + 1), 1, warmup)
    return lambda optimizer: schedules.SequentialLR(optimizer, [rise(optimizer), make(optimizer)], [warmup])


linear = lambda n, end: lambda optimizer: schedules.LinearLR(optimizer, 1, end, n)
cosine = lambda n, end: lambda optimizer: schedules.CosineAnnealingLR(optimizer, n, end * lr)
wsd = lambda n: lambda optimizer: schedules.LambdaLR(
    optimizer, lambda s: end + (1 - end) * min(1, (n - s) / (decay * steps))
)
rates("constant", lambda optimizer: schedules.ConstantLR(optimizer, 1))
rates("linear", linear(steps, 0))
rates("cosine", cosine(steps, 0))
rates("warm_constant", warmed(lambda optimizer: schedules.ConstantLR(optimizer, 1)))
rates("warm_linear", warmed(linear(steps - warmup, end)))
rates("warm_cosine", warmed(cosine(steps - warmup, end)))
rates("warm_wsd", warmed(wsd(steps - warmup)))
rates("one_cycle", lambda optimizer: schedules.OneCycleLR(optimizer, lr, steps))
rates(
    "warm_one_cycle",
    # Its top is at warmup; it ends at lr * end, where final_div_factor counts from lr / 25.
    lambda optimizer: schedules.OneCycleLR(
        optimizer, lr, steps, pct_start=(warmup + 1) / steps, final_div_factor=1 / (25 * end)
    ),
)
golden.write("schedule", **tables)
