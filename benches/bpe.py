#!/usr/bin/env python3
"""The time and the memory of learning byte-pair encoding, beside the `tokenizers` library, in turns.

    pip install tokenizers
    cargo build --release
    python3 benches/bpe.py [MEGABYTES [VOCAB_SIZE [ROUNDS]]]      100, 32768 and 1 without them
    DATA_MODE=stream python3 benches/bpe.py                       the text as one, not a document per line

The text is made here, the same each time: sentences of 300,000 words that are put together from halves of the names in
data/names.txt, frequent as words are (Zipf), with numbers and signs. Both learn it by the same rule (see
tests/interop/bpe.py), on as many cores as they like; the merges are compared. (The library uses several cores for
several documents only, and much memory for one that is large.)
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def write_text(path, size):
    names = (ROOT / "data/names.txt").read_text().split()
    chance = random.Random(1)
    starts = [name[: (len(name) + 1) // 2] for name in names]
    ends = [name[(len(name) + 1) // 2 :] for name in names]
    words = {}
    while len(words) < 300_000:
        words[chance.choice(starts) + chance.choice(ends) + chance.choice(["", "", "s", "ing", "ed"])] = None
    words = list(words)
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(words))))
    written = 0
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        while written < size:
            drawn = chance.choices(words, cum_weights=weights, k=100_000)
            lines, at = [], 0
            while at < len(drawn):
                length = chance.randint(4, 16)
                sentence = drawn[at : at + length]
                if chance.random() < 0.1:
                    sentence.append(str(chance.randint(0, 9999)))
                lines.append(" ".join(sentence).capitalize() + chance.choice([".", ".", "?", "!", ";"]))
                at += length
            text = "\n".join(lines) + "\n"
            file.write(text)
            written += len(text)


def measured(command):
    """Seconds, and the most MiB resident."""
    start = time.time()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command}: {errors}")
    return time.time() - start, usage.ru_maxrss / 1024


def main():
    megabytes, vocab_size, rounds = ([int(word) for word in sys.argv[1:]] + [100, 32768, 1][len(sys.argv) - 1 :])[:3]
    program = os.environ.get("MICROGPT", str(ROOT / "target/release/microgpt"))
    mode = os.environ.get("DATA_MODE", "lines")
    with tempfile.TemporaryDirectory() as folder:
        text, ours, theirs = (f"{folder}/{name}" for name in ["text.txt", "ours.json", "theirs.json"])
        write_text(text, megabytes * 1_000_000)
        peer = f"""
import sys; sys.path.insert(0, {str(ROOT / "tests/interop")!r})
import bpe, json
documents = bpe.documents_of(bpe.read({text!r}), {mode!r})
json.dump(bpe.merges(bpe.learn(documents, {vocab_size})), open({theirs!r}, "w"))
"""
        settings = ["--data-mode", mode, "--tokenizer", "bpe", "--vocab-size", str(vocab_size)]
        for _ in range(rounds):
            seconds, memory = measured([program, "tokenize", "--data", text, *settings, "--save", ours])
            print(f"microgpt    {seconds:7.2f} s {memory:7.0f} MiB", flush=True)
            their_seconds, their_memory = measured([sys.executable, "-c", peer])
            print(f"tokenizers  {their_seconds:7.2f} s {their_memory:7.0f} MiB", flush=True)
            print(f"ratio       {seconds / their_seconds:7.3f}   {memory / their_memory:7.3f}", flush=True)
        with open(ours, encoding="utf-8") as one, open(theirs, encoding="utf-8") as other:
            found, expected = json.load(one)["model"]["merges"], json.load(other)
        print(f"{len(found)} merges, {'the same' if found == expected else 'NOT THE SAME'}")


if __name__ == "__main__":
    main()
