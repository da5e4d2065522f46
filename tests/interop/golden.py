"""Writes tables of numbers as text: a line `name rows cols`, then a line for each row.

crates/microgpt/tests/interop/golden.rs reads them.
"""

import pathlib

FOLDER = pathlib.Path(__file__).parent / "golden"


def write(topic, **tables):
    """Writes golden/TOPIC.txt. A table is a tensor of at most two dimensions, a vector a single row."""
    lines = []
    for name, table in tables.items():
        rows = table.detach().reshape(-1, table.shape[-1] if table.dim() else 1).tolist()
        lines.append(f"{name} {len(rows)} {len(rows[0])}")
        lines += [" ".join(repr(x) for x in row) for row in rows]
    path = FOLDER / f"{topic}.txt"
    path.write_text("\n".join(lines) + "\n")
    print(f"{path}: {', '.join(tables)}")
