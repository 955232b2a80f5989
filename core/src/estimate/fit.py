"""Fits the weights of `TextCounter`: `fit.py TEXTS.jsonl O200K.tiktoken [--check]` writes `groups.bin` beside this file
and prints the numbers of `weights.rs`; with `--check` it fits on two thirds of the texts and prints how far it is off
on the others, three times.

A line of TEXTS is `{"kind": "answer", "text": "…"}`; O200K is the vocabulary, such as tiktoken-rs brings along. Needs
`pip install numpy tiktoken`. The weights of 2026-11-25 come from 3,078 texts: answers, tool calls, prompts and tool
definitions of recorded calls, this project's documents, READMEs and change logs of crates, licences, manuals, source code
in ten languages, and interface texts of installed programs in a hundred languages.
"""

import base64
import collections
import json
import pathlib
import sys
import zlib

import numpy as np
import tiktoken

UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN = "|".join([
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{SUFFIX}", rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{SUFFIX}",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
# How much a kind of text counts; others count once.
WEIGHTS = {"answer": 80, "prompt": 80, "tools": 20, "code": 5, "readme": 5, "docs": 5, "changelog": 4, "man-en": 4,
           **{f"ui-{language}": 4 for language in "hi th ar bn ta he fa vi el".split()}}
# The share of the whole that the vocabulary's own tokens have.
VOCABULARY = 0.03
SPACES = {9, 11, 12, 32, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, *range(0x2000, 0x200B)}
SLOTS = 1 << 13
# Places of the other weights behind the table: see `weights.rs`.
WORD, MARKS, CAPITALISED, CAPITALS, CAPITAL, LENGTHS = (SLOTS + n for n in (0, 3, 5, 6, 7, 8))
CLASSES = 13
BEGINNING, EACH = SLOTS + 24, SLOTS + 24 + CLASSES
WEIGHT_COUNT = EACH + CLASSES


# The same as `characters.rs` -----------------------------------------------------------------------------------
def is_letter(code):
    if code < 0xC0:
        return 65 <= code <= 90 or 97 <= code <= 122
    if code < 0x2000:
        signs = code in (0xD7, 0xF7, 0x60C, 0x61B, 0x61F, 0x6D4, 0x964, 0x965)
        return not (signs or 0x660 <= code <= 0x66D or 0x6F0 <= code <= 0x6F9)
    if code < 0x3041:
        return 0x2C00 <= code < 0x2E00
    if code < 0xFE00:
        return not (0x3200 <= code < 0x3400 or code == 0x30FB or 0xD800 <= code < 0xF900)
    if code < 0x10000:
        return any(first <= code <= last for first, last in
                   ((0xFE70, 0xFEFC), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A), (0xFF66, 0xFFDC)))
    return code < 0x1D000 or code >= 0x20000


def is_capital(code):
    return any(first <= code <= last for first, last in ((65, 90), (0xC0, 0xDE), (0x391, 0x3A9), (0x400, 0x42F)))


def folded(code):
    if 0x400 <= code <= 0x40F:
        return code + 0x50
    return code + 0x20 if is_capital(code) else code


def class_of(code):
    if code < 0x80 or 0x1E00 <= code < 0x2000:
        return None
    if code < 0x250 or 0x370 <= code < 0x780:
        return None if code >= 0xC0 and is_letter(code) else 11
    for last, number in ((0x8FF, 6), (0x97F, 3), (0xDFF, 12), (0xEFF, 4), (0x10FF, 5), (0x11FF, 2), (0x177F, 6),
                         (0x17FF, 5), (0x1DFF, 6), (0x206F, 7), (0x2BFF, 9), (0x2FFF, 6), (0x3040, 8), (0x30FF, 1),
                         (0x33FF, 6), (0x9FFF, 0), (0xABFF, 6), (0xD7FF, 2), (0xF8FF, 6), (0xFAFF, 0), (0xFDFF, 6),
                         (0xFE0F, 10), (0xFE2F, 6), (0xFE4F, 8), (0xFEFF, 6), (0xFF20, 8), (0x1EFFF, 6), (0x1FFFF, 10),
                         (0x3FFFF, 0)):
        if code <= last:
            return number
    return 10


# The same as `text.rs` ------------------------------------------------------------------------------------------
def features(piece):
    """Weights of a piece and how often each counts; nothing for digits and space, which are a token each."""
    if piece.isspace() or piece.isdecimal():
        return []
    found = []
    letters = any(is_letter(ord(character)) for character in piece[:2])
    if letters:
        before = piece[0] if not is_letter(ord(piece[0])) else ""
        piece = piece[len(before):]
        found.append((WORD + (0 if not before else 1 if before == " " else 2), 1))
        key = symbol(before) if before else 1
        capitals = sum("A" <= character <= "Z" for character in piece)
        if capitals == 1 and "A" <= piece[0] <= "Z":
            found.append((CAPITALISED, 1))
        elif capitals:
            found += [(CAPITALS, 1), (CAPITAL, min(capitals, 255))]
    else:
        led = piece[0] == " "
        piece = piece[led:]
        found.append((MARKS + led, 1))
        key = 0x20 if led else 4
    if class_of(ord(piece[0])) is not None:
        found.append((BEGINNING + class_of(ord(piece[0])), 1))
    length = 0
    for character in piece:
        kind = class_of(folded(ord(character)))
        if kind is not None:
            found.append((EACH + kind, 1))
        told = kind in (None, 3, 12)
        key = key << 8 | (letter_symbol(folded(ord(character))) if told else 5 + kind)
        if told:
            found.append((slot(key), 1))
            length += 1
    found.append((slot(key << 8 | 2), 1))
    return found + ([(LENGTHS + min(length, 15), 1)] if letters else [])


def letter_symbol(code):
    return code if code < 0x80 else 0x80 | code & 0x7F


def symbol(character):
    code = folded(ord(character))
    return letter_symbol(code) if class_of(code) is None else 5 + class_of(code)


def slot(key):
    return ((key & 0xFFFFFF) * 0x9E3779B1 & 0xFFFFFFFF) >> 19


# Fitting --------------------------------------------------------------------------------------------------------
def matrix(pieces):
    """Pieces that have features, and row, column and value of each."""
    kept, rows, columns, values = [], [], [], []
    for piece in pieces:
        found = features(piece)
        rows += [len(kept)] * len(found)
        columns += [column for column, _ in found]
        values += [value for _, value in found]
        kept += [piece] * bool(found)
    return kept, np.array(rows), np.array(columns), np.array(values, float)


def rounded(weights):
    weights = weights.copy()
    weights[:SLOTS] = np.clip(np.round(weights[:SLOTS] * 8), -8, 7) / 8
    weights[SLOTS:] = np.round(weights[SLOTS:] * 64) / 64
    return weights


def fit(frequency, tokens, rounds=800):
    """Least squares by Adam; from the middle on with rounded weights. No piece is less than a token."""
    kept, rows, columns, values = matrix(frequency)
    truth = np.array([tokens(piece) for piece in kept], float)
    share = np.array([frequency[piece] for piece in kept], float)
    share /= share.sum()
    weights, mean, square = np.zeros(WEIGHT_COUNT), np.zeros(WEIGHT_COUNT), np.zeros(WEIGHT_COUNT)
    weights[WORD:MARKS + 2] = 1
    for step in range(1, rounds + 1):
        used = rounded(weights) if step > rounds * 0.6 else weights
        sums = np.bincount(rows, weights=used[columns] * values, minlength=len(kept))
        slope = 2 * share * (np.maximum(1, sums) - truth) * ((sums > 1) | (truth > 1))
        slope = np.bincount(columns, weights=slope[rows] * values, minlength=WEIGHT_COUNT)
        slope[:SLOTS] += 1e-7 * weights[:SLOTS]
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope * slope
        rate = 0.03 * (1 - step / rounds) + 0.001
        weights -= rate * (mean / (1 - 0.9 ** step)) / (np.sqrt(square / (1 - 0.999 ** step)) + 1e-9)
        weights[:SLOTS] = np.clip(weights[:SLOTS], -1.05, 0.92)
    return rounded(weights)


def weight_of(kind):
    parts = [kind[:end] for end in range(len(kind), 0, -1)]
    return next((WEIGHTS[part] for part in parts if part in WEIGHTS), 1)


def main():
    texts = [json.loads(line) for line in open(sys.argv[1])]
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in open(sys.argv[2]))}
    encoding = tiktoken.Encoding("o200k", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    split = __import__("regex").compile(PATTERN).findall
    known = {}

    def tokens(piece):
        if piece not in known:
            known[piece] = len(encoding.encode_ordinary(piece))
        return known[piece]

    documents = [(text["kind"], collections.Counter(split(text["text"])), zlib.crc32(text["text"].encode()) % 3)
                 for text in texts]

    def frequency(of):
        sums = collections.Counter()
        for kind, pieces, _ in of:
            for piece, times in pieces.items():
                sums[piece] += times * weight_of(kind)
        words = {}
        for token, rank in ranks.items():
            word = token.decode(errors="replace")
            if "\ufffd" not in word and len(word) > 1 and split(word) == [word]:
                words[word] = 1 / (rank + 3000)
        scale = VOCABULARY * sum(sums.values()) / sum(words.values())
        for word, share in words.items():
            sums[word] += scale * share
        return sums

    if "--check" in sys.argv:
        errors = collections.defaultdict(list)
        for fold in range(3):
            weights = fit(frequency([one for one in documents if one[2] != fold]), tokens, 500)
            for kind, pieces, _ in (one for one in documents if one[2] == fold):
                truth = sum(tokens(piece) * times for piece, times in pieces.items())
                guess = sum(max(1, sum(weights[column] * value for column, value in features(piece))) * times
                            for piece, times in pieces.items())
                errors[kind].append(abs(guess - truth) / max(truth, 1))
        for kind, of in sorted(errors.items()):
            print(f"{kind}: {len(of)} texts, {100 * np.median(of):.1f} % (median), {100 * np.quantile(of, 0.9):.1f} % (90th)")
        return
    weights = fit(frequency(documents), tokens)
    nibbles = np.round(weights[:SLOTS] * 8).astype(int) + 8
    table = bytes(int(low) | int(high) << 4 for low, high in zip(nibbles[::2], nibbles[1::2]))
    (pathlib.Path(__file__).parent / "groups.bin").write_bytes(table)
    for name, first, count in (("WORD", WORD, 3), ("MARKS", MARKS, 2), ("CAPITALISED, CAPITALS, CAPITAL", CAPITALISED, 3),
                               ("LENGTHS", LENGTHS, 16), ("BEGINNING", BEGINNING, CLASSES), ("EACH", EACH, CLASSES)):
        print(name, [int(round(weight * 64)) for weight in weights[first:first + count]])


main()
