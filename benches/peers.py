#!/usr/bin/env python3
"""microgpt beside its peers, in turns, as ratios.

Each round runs every contender once, one after the other; what counts is the median over rounds of the ratio within a
round, which a busy machine disturbs least. A contender that is not installed is left out.

usage: peers.py [--shape NAME ...] [--threads N] [--rounds N] [--compile] [--data FILE] [--microgpt PROGRAM]
                [--python PROGRAM] [--json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

here = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--shape", nargs="+", default=["shakespeare-char", "bigger"])
parser.add_argument("--threads", type=int, default=1, help="of every contender")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--compile", action="store_true", help="let torch.compile take part too (the best of both counts)")
parser.add_argument("--data", help="a text for PyTorch; microgpt's bench learns characters by chance")
parser.add_argument("--microgpt", default=os.path.join(here, "../target/release/microgpt"))
parser.add_argument("--python", default=sys.executable, help="a Python that has torch")
parser.add_argument("--json", action="store_true")
args = parser.parse_args()


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def microgpt(shape):
    words = ["bench", "--json", "--engine", "fast", "--shape", shape, "--workers", str(args.threads)]
    row = run(args.microgpt, *words)["results"][0]
    if row["workers"] != args.threads:
        print(f"microgpt: {row['workers']} workers, not {args.threads}", file=sys.stderr)
    return row["us_per_step"] / 1e3


def torch(shape, *more):
    words = [shape, "--threads", str(args.threads), *more] + (["--data", args.data] if args.data else [])
    row = run(args.python, os.path.join(here, "torch_gpt.py"), *words)
    if row["p75"] > 1.3 * row["min"]:
        spread = f"{row['min']:.1f} to {row['p75']:.1f} ms"
        print(f"torch: the machine is busy ({spread} a step): do not trust this round", file=sys.stderr)
    return row["ms"]


peers = {"torch": lambda shape: torch(shape)}
if subprocess.run([args.python, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode:
    print(f"{args.python} has no torch (pip install torch): left out", file=sys.stderr)
    peers = {}
elif args.compile:
    peers["torch.compile"] = lambda shape: torch(shape, "--compile")

report = []
for shape in args.shape:
    rounds = []
    for number in range(args.rounds):
        rounds.append({name: measure(shape) for name, measure in {"microgpt": microgpt, **peers}.items()})
        times = ", ".join(f"{name} {ms:.2f}" for name, ms in rounds[-1].items())
        print(f"{shape}, round {number + 1}: {times} ms a step", file=sys.stderr)
    row = {"shape": shape, "threads": args.threads, "rounds": rounds}
    row["ms"] = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    if peers:
        best = [r["microgpt"] / min(r[name] for name in peers) for r in rounds]
        row["ratio"] = statistics.median(best)
    report.append(row)

if args.json:
    print(json.dumps(report))
else:
    for row in report:
        times = "   ".join(f"{name} {ms:.2f} ms" for name, ms in row["ms"].items())
        ratio = f"   microgpt takes {row['ratio']:.2f} of the best peer's time" if "ratio" in row else ""
        print(f"{row['shape']}, {row['threads']} threads: {times}{ratio}")
