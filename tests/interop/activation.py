"""PyTorch's activations, forward and backward, as golden/activation.txt. Needs PyTorch: pip install torch

    python tests/interop/activation.py [rows columns]

With other sizes than the committed 5 x 20, the tests compare those (they read the sizes from the file).
"""

import sys

import golden
import torch
from torch.nn import functional as F

torch.manual_seed(2)
torch.set_default_dtype(torch.float64)
rows, cols = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (5, 20)
x = (torch.randn(rows, cols) * 2.5).requires_grad_()
g = (torch.randn(rows, cols) * 2.5).requires_grad_()
dy = torch.randn(rows, cols)
tables = dict(x=x, g=g, dy=dy)

plain = {
    "squared_relu": lambda x: F.relu(x) ** 2,
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "mish": F.mish,
}
gated = {
    "glu": lambda x, g: F.glu(torch.cat([x, g], 1)),
    "swiglu": lambda x, g: x * F.silu(g),
    "geglu": lambda x, g: x * F.gelu(g),
    "reglu": lambda x, g: x * F.relu(g),
}
for name, f in plain.items():
    y = f(x)
    tables |= {f"{name}_y": y, f"{name}_dx": torch.autograd.grad((y * dy).sum(), x)[0]}
for name, f in gated.items():
    y = f(x, g)
    dx, dg = torch.autograd.grad((y * dy).sum(), [x, g])
    tables |= {f"{name}_y": y, f"{name}_dx": dx, f"{name}_dg": dg}
golden.write("activation", **tables)
