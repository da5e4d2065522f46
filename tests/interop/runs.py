"""What a run writes down, read by others: TensorBoard its events, the safetensors library its checkpoints.

    pip install tensorboard safetensors numpy
    microgpt train --steps 200 --val-fraction 0.1 --eval-every 50 --measure-every 20 --out mine
    python3 tests/interop/runs.py runs/mine

Every number that metrics.jsonl has must be in the event file too, at the same step, as near as 32 bits are; and every
tensor must have the shape and the numbers that its file says.
"""

import hashlib
import json
import math
import pathlib
import sys

import numpy
import safetensors
import safetensors.numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def expected(run):
    """{tag: {step: value}} of metrics.jsonl, by the names that docs/metrics.md gives."""
    tags = {}

    def put(tag, step, value):
        tags.setdefault(tag, {})[step] = math.nan if value is None else value

    for line in (run / "metrics.jsonl").read_text().splitlines():
        line = json.loads(line)
        step = line.pop("step")
        for name, matrix in line.pop("matrices", {}).items():
            for field, value in matrix.items():
                put(f"{field}/{name}", step, value)
        for i, layer in enumerate(line.pop("layers", [])):
            put(f"dead/layer{i}", step, layer["dead"])
            for head, value in enumerate(layer["entropy"]):
                put(f"entropy/layer{i}.head{head}", step, value)
        for field, value in line.items():
            whole = "/all" if field in ("grad_norm", "update_ratio") else ""
            put(field + whole, step, value)
    return tags


def check_events(run):
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    wanted, found = expected(run), events.Tags()["scalars"]
    assert sorted(wanted) == sorted(found), sorted(set(wanted) ^ set(found))
    numbers = 0
    for tag, values in wanted.items():
        scalars = events.Scalars(tag)
        assert [s.step for s in scalars] == list(values), tag
        for scalar in scalars:
            value = values[scalar.step]
            same = math.isclose(scalar.value, value, rel_tol=1e-6, abs_tol=1e-30)
            assert same or math.isnan(value), (tag, scalar, value)
            assert scalar.wall_time > 1e9, scalar
            numbers += 1
    print(f"TensorBoard reads {numbers} numbers of {len(wanted)} curves, as metrics.jsonl has them")


def check_checkpoint(folder):
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        wanted, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == wanted, name
    state = json.loads((folder / "state.json").read_text())
    precision = {"f64": numpy.float64, "f32": numpy.float32}[state["precision"]]
    settings = state["settings"]
    weights = safetensors.numpy.load_file(folder / "model.safetensors")
    memory = safetensors.numpy.load_file(folder / "optimizer.safetensors")
    c, block = int(settings["n_embd"]), int(settings["block_size"])
    assert weights["wte"].shape == weights["lm_head"].shape and weights["wte"].shape[1] == c
    assert weights["wpe"].shape == (block, c)
    assert weights["layer0.mlp_fc1"].shape == (4 * c, c)
    for name, tensor in weights.items():
        assert tensor.dtype == precision and numpy.isfinite(tensor).all(), name
        # Adam's means, and those of squares.
        assert memory[f"m.{name}"].shape == memory[f"v.{name}"].shape == tensor.shape, name
        assert (memory[f"v.{name}"] >= 0).all(), name
    with safetensors.safe_open(folder / "model.safetensors", framework="numpy") as file:
        assert set(file.keys()) == set(weights)
    print(f"safetensors reads {len(weights)} tensors of {folder.name}, step {state['step']}, and what Adam remembers")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        run = pathlib.Path(name)
        check_events(run)
        for folder in sorted((run / "checkpoints").iterdir()):
            check_checkpoint(folder)
