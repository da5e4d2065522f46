#!/usr/bin/env python3
"""Byte-pair encodings learnt by the `tokenizers` library, for crates/microgpt/tests/bpe.rs to be held against.

Needs `pip install tokenizers` (made with 0.23.3). Run without arguments it writes golden/bpe.json;
`bpe.py FILE VOCAB_SIZE [lines]` writes what the library makes of another file, and how long it took, to standard output.
`bpe.py --load tokenizer.json TEXT` reads a file that microgpt wrote and prints the tokens of the text.

The rule: ByteLevel without a prefix space, with its regular expression (GPT-2's), from an alphabet of all bytes. A
merge is written as the bytes of its two tokens in hexadecimal. Tokens are microgpt's: the bytes in GPT-2's order, then
the merges in the order in which they were learnt.
"""

import json
import sys
import time
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

ROOT = Path(__file__).resolve().parents[2]
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())


def byte_of_letter():
    seen = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    unseen = [b for b in range(256) if b not in seen]
    return {chr(b): b for b in seen} | {chr(256 + i): b for i, b in enumerate(unseen)}


BYTES = byte_of_letter()
assert sorted(BYTES) == LETTERS


def learn(documents, vocab_size):
    """vocab_size counts BOS, as microgpt's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1, initial_alphabet=LETTERS, show_progress=False, special_tokens=[]
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def merges(tokenizer):
    return json.loads(tokenizer.to_str())["model"]["merges"]


def as_hex(token):
    return bytes(BYTES[letter] for letter in token).hex()


def documents_of(text, mode):
    if mode == "stream":
        return [text]
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line.strip() for line in lines if line.strip()]


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def encode(tokenizer, text):
    """The bytes of each token: independent of how tokens are numbered."""
    return [as_hex(token) for token in tokenizer.encode(text).tokens]


ODD = (
    "don't we'll I'VE 've  two  spaces \n\n\n lines\t\ttabs \r\n x\u3000y\u00a0z "
    "caf\u00e9 na\u00efve \u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1 \u6771\u4eac\u90fd 123 \u00bd \u2167 "
    "\U0001f642\U0001f469\u200d\U0001f680 e\u0301 \u0939\u093f\u0928\u094d\u0926\u0940 aaaaaaa aaaa aa "
    "abababab \u0000\u001f fin  "
)


def golden():
    cases = []
    for file, mode, vocab_size in [
        ("data/names.txt", "lines", 700),
        ("data/names.txt", "stream", 400),
        ("microgpt.rs", "stream", 1500),
        ("tests/golden/utf8.txt", "lines", 100000),
        (None, "stream", 100000),
    ]:
        text = ODD * 3 if file is None else read(ROOT / file)
        tokenizer = learn(documents_of(text, mode), vocab_size)
        cases.append({
            "file": file,
            "text": None if file else text,
            "data_mode": mode,
            "vocab_size": vocab_size,
            "merges": [[as_hex(a), as_hex(b)] for a, b in merges(tokenizer)],
            "odd": encode(tokenizer, ODD),
        })
    path = Path(__file__).parent / "golden" / "bpe.json"
    compact = {"odd": ODD, "cases": cases}
    path.write_text(json.dumps(compact, separators=(",", ":")).replace('{"file"', '\n{"file"') + "\n")
    print(path, [len(case["merges"]) for case in cases])


if __name__ == "__main__":
    if len(sys.argv) == 1:
        golden()
    elif sys.argv[1] == "--load":
        found = Tokenizer.from_file(sys.argv[2]).encode(sys.argv[3])
        print(json.dumps({"ids": found.ids, "tokens": found.tokens}))
    else:
        text = read(sys.argv[1])
        documents = documents_of(text, "lines" if "lines" in sys.argv else "stream")
        start = time.time()
        tokenizer = learn(documents, int(sys.argv[2]))
        print(f"{time.time() - start:.2f} s", file=sys.stderr)
        json.dump([[as_hex(a), as_hex(b)] for a, b in merges(tokenizer)], sys.stdout)
