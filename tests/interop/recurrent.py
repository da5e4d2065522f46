"""PyTorch's nn.RNN and nn.GRU, forward and backward, as golden/recurrent.txt. Needs PyTorch: pip install torch

    python tests/interop/recurrent.py [rows inputs states]

With other sizes than the committed 9 x 5 and 6, the tests compare those (they read the sizes from the file).
"""

import sys

import golden
import torch

torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
rows, inputs, states = map(int, sys.argv[1:4]) if len(sys.argv) > 3 else (9, 5, 6)
x = torch.randn(rows, inputs).requires_grad_()
dy = torch.randn(rows, states)
tables = dict(x=x, dy=dy)
for name, make in dict(rnn=torch.nn.RNN, gru=torch.nn.GRU).items():
    cell = make(inputs, states)
    params = dict(w=cell.weight_ih_l0, b=cell.bias_ih_l0, u=cell.weight_hh_l0, c=cell.bias_hh_l0)
    # One document, which begins with a state of zeros.
    y, _ = cell(x)
    tables |= {f"{name}_{param}": value for param, value in params.items()} | {f"{name}_y": y}
    grads = torch.autograd.grad((y * dy).sum(), [x, *params.values()])
    tables |= {f"{name}_d{end}": grad for end, grad in zip(["x", *params], grads)}
golden.write("recurrent", **tables)
