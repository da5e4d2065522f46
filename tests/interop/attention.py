"""PyTorch's attention and positions, forward and backward, as golden/attention.txt. Needs PyTorch: pip install torch

    python tests/interop/attention.py [rows heads kv_heads head_size window]

With other sizes than the committed 6 4 2 4 3, the tests compare those (they read the sizes from the file).
"""

import sys

import golden
import torch
from torch.nn import functional as F

torch.manual_seed(2)
torch.set_default_dtype(torch.float64)
rows, heads, kv_heads, d, window = map(int, sys.argv[1:6]) if len(sys.argv) > 5 else (6, 4, 2, 4, 3)
BASE, CAP = 100.0, 1.5
c, shared = heads * d, kv_heads * d
qkv = (1.5 * torch.randn(rows, 3 * c)).requires_grad_()
few = (1.5 * torch.randn(rows, c + 2 * shared)).requires_grad_()
dy = torch.randn(rows, c)
tables = dict(sizes=torch.tensor([heads, kv_heads, window, BASE, CAP]), qkv=qkv, few=few, dy=dy)

position = torch.arange(rows)
distance = position[:, None] - position[None, :]
causal = distance >= 0


def cut(x):
    """Queries, keys, values, each [heads, rows, d]; keys and values repeated for the heads that share them."""
    n = (x.shape[1] - c) // 2
    parts = [part.view(rows, -1, d).transpose(0, 1) for part in x.split([c, n, n], 1)]
    return [part.repeat_interleave(heads // part.shape[0], 0) for part in parts]


def rotate(x):
    """As LLaMA in the transformers library: x cos + rotate_half(x) sin."""
    angles = torch.outer(position, BASE ** (-torch.arange(0, d, 2) / d)).repeat(1, 2)
    half = torch.cat((-x[..., d // 2 :], x[..., : d // 2]), -1)
    return x * angles.cos() + half * angles.sin()


def slopes(n):
    """The authors' get_slopes."""
    if n & (n - 1) == 0:
        start = 2 ** (-8 / n)
        return [start ** (i + 1) for i in range(n)]
    less = 2 ** (n.bit_length() - 1)
    return slopes(less) + slopes(2 * less)[0::2][: n - less]


def capped(q, k, v, mask):
    """Gemma 2: the capped scores, then the mask."""
    scores = CAP * torch.tanh(q @ k.transpose(1, 2) / d**0.5 / CAP)
    return scores.masked_fill(~mask, -torch.inf).softmax(-1) @ v


def linear(q, k, v):
    q, k = F.elu(q) + 1, F.elu(k) + 1
    state = torch.einsum("hsd,hse->hsde", k, v).cumsum(1)
    return torch.einsum("htd,htde->hte", q, state) / (q * k.cumsum(1)).sum(-1, keepdim=True)


def add(name, x, found):
    """The output, and the gradient of sum(y * dy) for queries, keys and values."""
    y = found.transpose(0, 1).reshape(rows, c)
    tables[f"{name}_y"] = y
    (tables[f"{name}_d"],) = torch.autograd.grad((y * dy).sum(), [x])


sdpa = F.scaled_dot_product_attention
q, k, v = cut(qkv)
add("plain", qkv, sdpa(q, k, v, is_causal=True))
add("window", qkv, sdpa(q, k, v, attn_mask=causal & (distance < window)))
add("rotary", qkv, sdpa(rotate(q), rotate(k), v, is_causal=True))
bias = -torch.tensor(slopes(heads))[:, None, None] * distance
add("alibi", qkv, sdpa(q, k, v, attn_mask=bias.masked_fill(~causal, -torch.inf)))
add("softcap", qkv, capped(q, k, v, causal))
add("linear", qkv, linear(q, k, v))
q, k, v = cut(few)
add("grouped", few, sdpa(q, k, v, is_causal=True))
add("linear_grouped", few, linear(q, k, v))
add("all", few, capped(rotate(q), rotate(k), v, causal & (distance < window)))
angles = torch.outer(position, 10000.0 ** (-torch.arange(0, c, 2) / c))
tables["sinusoids"] = torch.stack((angles.sin(), angles.cos()), -1).reshape(rows, c)
golden.write("attention", **tables)
