#!/usr/bin/env python3
"""Milliseconds per training step of a GPT in PyTorch, on the CPU, in f32.

The model and the loop are those of nanoGPT in shape, written anew: LayerNorm without bias, fused attention, GELU, tied
embeddings, AdamW with decay for matrices only, gradients clipped to length 1, a loss read back every step.

usage: torch_gpt.py SHAPE [--threads N] [--compile] [--steps N] [--data FILE]
prints one JSON object: median, minimum and quartiles in milliseconds
"""

import argparse
import json
import os
import time

SHAPES = {  # n_layer, n_head, n_embd, block_size, batch_size, steps to warm up, steps to measure
    "shakespeare-char": (4, 4, 128, 64, 12, 30, 150),
    "bigger": (6, 6, 384, 256, 16, 2, 7),
}

args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
args.add_argument("shape", choices=SHAPES)
args.add_argument("--threads", type=int, default=1)
args.add_argument("--compile", action="store_true", help="torch.compile the model")
args.add_argument("--steps", type=int, help="steps to measure")
args.add_argument("--data", help="a text; else characters by chance, which cost the same")
args = args.parse_args()
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(args.threads)

import torch  # noqa: E402 (it reads the number of threads when it is loaded)
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

torch.set_num_threads(args.threads)
torch.manual_seed(1)
n_layer, n_head, n_embd, block_size, batch_size, warm_up, steps = SHAPES[args.shape]
steps = args.steps or steps

if args.data:
    text = open(args.data, encoding="utf-8").read()
    place = {c: i for i, c in enumerate(sorted(set(text)))}
    tokens = torch.tensor([place[c] for c in text])
    vocab_size = len(place)
else:
    vocab_size = 65
    tokens = torch.randint(vocab_size, (100_000,))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(n_embd, bias=False) for _ in range(2))
        self.qkv, self.out = nn.Linear(n_embd, 3 * n_embd, bias=False), nn.Linear(n_embd, n_embd, bias=False)
        self.up, self.down = (nn.Linear(a * n_embd, b * n_embd, bias=False) for a, b in ((1, 4), (4, 1)))

    def forward(self, x):
        B, T, C = x.shape
        heads = (t.view(B, T, n_head, C // n_head).transpose(1, 2) for t in self.qkv(self.norm1(x)).split(C, dim=2))
        found = F.scaled_dot_product_attention(*heads, is_causal=True)
        x = x + self.out(found.transpose(1, 2).reshape(B, T, C))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab_size, n_embd), nn.Embedding(block_size, n_embd)
        self.layers = nn.ModuleList(Layer() for _ in range(n_layer))
        self.norm = nn.LayerNorm(n_embd, bias=False)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, x, y):
        h = self.wte(x) + self.wpe.weight[: x.shape[1]]
        for layer in self.layers:
            h = layer(h)
        logits = self.norm(h) @ self.wte.weight.T
        return F.cross_entropy(logits.view(-1, vocab_size), y.reshape(-1))


model = Gpt()
matrices = [p for p in model.parameters() if p.dim() > 1]
others = [p for p in model.parameters() if p.dim() < 2]
groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99))
run = torch.compile(model) if args.compile else model
offsets = torch.arange(block_size + 1)
times = []
for step in range(warm_up + steps):
    start = time.perf_counter()
    starts = torch.randint(len(tokens) - block_size, (batch_size, 1))
    window = tokens[starts + offsets]
    loss = run(window[:, :-1], window[:, 1:])
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    loss = loss.item()
    if step >= warm_up:
        times.append(1e3 * (time.perf_counter() - start))
times.sort()
at = lambda part: times[min(int(part * len(times)), len(times) - 1)]
print(json.dumps({
    "torch": torch.__version__, "shape": args.shape, "threads": args.threads, "compile": args.compile, "steps": steps,
    "ms": at(0.5), "min": times[0], "p25": at(0.25), "p75": at(0.75), "loss": loss,
}))
