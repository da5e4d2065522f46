"""PyTorch's norms, forward and backward, as golden/norm.txt. Needs PyTorch: pip install torch

    python tests/interop/norm.py [rows columns]

With other sizes than the committed 7 x 12, the tests compare those (they read the sizes from the file).
"""

import sys

import golden
import torch
from torch.nn import functional as F

EPS = 1e-5

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
rows, cols = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (7, 12)
# Not centred, so that taking off the mean matters.
x = (torch.randn(rows, cols) * 1.5 + 0.7).requires_grad_()
gain = (1 + 0.3 * torch.randn(cols)).requires_grad_()
bias = (0.5 * torch.randn(cols)).requires_grad_()
dy = torch.randn(rows, cols)
tables = dict(x=x, gain=gain, bias=bias, dy=dy)


def add(name, y, **inputs):
    """The output, and the gradient of sum(y * dy) for each input."""
    tables[f"{name}_y"] = y
    for input, grad in zip(inputs, torch.autograd.grad((y * dy).sum(), list(inputs.values()))):
        tables[f"{name}_d{input}"] = grad


add("rmsnorm", F.rms_norm(x, (cols,), None, EPS), x=x)
add("rmsnorm_gain", F.rms_norm(x, (cols,), gain, EPS), x=x, gain=gain)
add("layernorm", F.layer_norm(x, (cols,), gain, bias, EPS), x=x, gain=gain, bias=bias)
alpha = torch.tensor([0.5], requires_grad=True)
tables["alpha"] = alpha
add("dynamic_tanh", gain * torch.tanh(alpha * x) + bias, x=x, alpha=alpha, gain=gain, bias=bias)
golden.write("norm", **tables)
