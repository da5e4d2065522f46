"""A whole layer of GPT-2's kind by PyTorch, forward and backward, as golden/block.txt. Needs PyTorch: pip install torch

    python3 tests/interop/block.py [rows channels heads hidden]

It is torch.nn.TransformerEncoderLayer with the norm first, a causal mask and GELU by tanh: layernorms, biases, attention, MLP.
With other sizes than the committed 6 x 12, 3 heads, 20, the tests compare those (channels and hidden they read from the file,
and the heads).
"""

import sys

import golden
import torch
from torch.nn import functional as F

torch.manual_seed(2)
torch.set_default_dtype(torch.float64)
rows, cols, heads, hidden = map(int, sys.argv[1:5]) if len(sys.argv) > 4 else (6, 12, 3, 20)
layer = torch.nn.TransformerEncoderLayer(
    cols,
    heads,
    hidden,
    dropout=0.0,
    activation=lambda x: F.gelu(x, approximate="tanh"),
    batch_first=True,
    norm_first=True,
)
for param in layer.parameters():
    # As it begins, gains are 1 and biases 0: nothing that is forgotten would be noticed.
    param.data += 0.3 * torch.randn_like(param)
x = torch.randn(1, rows, cols, requires_grad=True)
dy = torch.randn(rows, cols)
mask = torch.nn.Transformer.generate_square_subsequent_mask(rows, dtype=torch.float64)
y = layer(x, src_mask=mask, is_causal=True)
(y[0] * dy).sum().backward()

# Our names. PyTorch has queries, keys and values in one.
attn = layer.self_attn
parts = {
    "attn_norm_gain": layer.norm1.weight,
    "attn_norm_bias": layer.norm1.bias,
    "attn_wo": attn.out_proj.weight,
    "attn_wo_bias": attn.out_proj.bias,
    "mlp_norm_gain": layer.norm2.weight,
    "mlp_norm_bias": layer.norm2.bias,
    "mlp_fc1": layer.linear1.weight,
    "mlp_fc1_bias": layer.linear1.bias,
    "mlp_fc2": layer.linear2.weight,
    "mlp_fc2_bias": layer.linear2.bias,
}
tables = dict(x=x[0], dy=dy, y=y[0], heads=torch.tensor([heads]), dx=x.grad[0])
for name, param in parts.items():
    tables[name], tables[f"d_{name}"] = param, param.grad
for i, name in enumerate(["attn_wq", "attn_wk", "attn_wv"]):
    for end, param in ("", attn.in_proj_weight), ("_bias", attn.in_proj_bias):
        tables[name + end] = param[i * cols : (i + 1) * cols]
        tables[f"d_{name}{end}"] = param.grad[i * cols : (i + 1) * cols]
golden.write("block", **tables)
