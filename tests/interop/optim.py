"""PyTorch's optimisers, clipping and averages, as golden/optim.txt. Needs PyTorch 2.9: pip install torch

    python tests/interop/optim.py [n_embd steps]

The parameters are those of a model of one layer over three tokens, in the order of the layout. Lion, which PyTorch has not, is
the formula of its paper. All in f64: Muon's own rounding to bfloat16 is turned off.
"""

import sys
from unittest import mock

import golden
import torch

torch.manual_seed(2)
torch.set_default_dtype(torch.float64)
c, steps = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (4, 4)
vocab, block = 3, 2
shapes = [(vocab, c), (block, c), (vocab, c)] + [(c, c)] * 4 + [(4 * c, c), (c, 4 * c)]
first_of_layer = 3
begin = [torch.randn(shape) * 0.3 for shape in shapes]
grads = [[torch.randn(shape) * 0.2 for shape in shapes] for _ in range(steps)]
flat = lambda tensors: torch.cat([t.reshape(-1) for t in tensors])
tables = dict(
    sizes=torch.tensor([c, steps, vocab, block]), begin=flat(begin), grads=torch.stack([flat(g) for g in grads])
)


def run(name, make, after_backward=lambda params: None, after_step=lambda params: None):
    """Steps with the optimisers that `make` makes of the parameters; their end is a table."""
    params = [torch.nn.Parameter(t.clone()) for t in begin]
    optimizers = make(params)
    for grad in grads:
        for p, g in zip(params, grad):
            p.grad = g.clone()
        after_backward(params)
        for optimizer in optimizers:
            optimizer.step()
        after_step(params)
    tables[name] = flat(params)


class Lion(torch.optim.Optimizer):
    """Chen et al., "Symbolic Discovery of Optimization Algorithms" (2023), algorithm 2."""

    def __init__(self, params, lr, betas, weight_decay):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                update = (b1 * m + (1 - b1) * p.grad).sign()
                p -= group["lr"] * (update + group["weight_decay"] * p)
                m.copy_(b2 * m + (1 - b2) * p.grad)


adam = dict(lr=0.01, betas=(0.9, 0.95), eps=1e-8)
run("sgd", lambda p: [torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01)])
run("sgd_plain", lambda p: [torch.optim.SGD(p, lr=0.1)])
run("sgd_nesterov", lambda p: [torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)])
run("adam", lambda p: [torch.optim.Adam(p, **adam)])
run("adam_decay", lambda p: [torch.optim.Adam(p, **adam, weight_decay=0.1)])
run("adamw", lambda p: [torch.optim.AdamW(p, **adam, weight_decay=0.1)])
run("lion", lambda p: [Lion(p, lr=0.01, betas=(0.9, 0.99), weight_decay=0.1)])


def muon(p):
    matrices, rest = p[first_of_layer:], p[:first_of_layer]
    how = dict(lr=0.01, momentum=0.95, nesterov=True, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    return [torch.optim.Muon(matrices, **how), torch.optim.AdamW(rest, **adam, weight_decay=0.1)]


with mock.patch.object(torch, "bfloat16", torch.float64), mock.patch.object(torch.Tensor, "bfloat16", torch.clone):
    run("muon", muon)

clip = lambda params: torch.nn.utils.clip_grad_norm_(params, 0.7)
run("clipped", lambda p: [torch.optim.SGD(p, lr=0.1)], after_backward=clip)

average = []
mix = torch.optim.swa_utils.get_ema_avg_fn(0.8)


def take_in(params):
    now = flat(params).detach()
    average[:] = [mix(average[0], now, 1) if average else now]


run("averaged", lambda p: [torch.optim.SGD(p, lr=0.1)], after_step=take_in)
tables["average"] = average[0]
golden.write("optim", **tables)
