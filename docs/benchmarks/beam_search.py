"""What our beam search costs beside the library called bare on the same log-probabilities, in turn.

    python3 -O docs/benchmarks/beam_search.py --rounds 9

Posteriors are made up: 250 frames on average (10 s of 40 ms), a token every six frames with a competitor beside it,
blank nearly certain elsewhere; what is spoken are words of the list. The bare library is the same decoder alone, with
nothing but the best result's list of tokens taken from it; ours is everything from a batch's tensor to hypotheses with
frames and confidences. CPU seconds, paired batch by batch in an order that changes; medians of the ratios, quartiles.
"""

from __future__ import annotations

import argparse
import logging
import math
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from asr_dro.data.tokens import SPACE, build_token_list
from asr_dro.decoding.beam_search import BeamSearch
from asr_dro.decoding.config import DecodeConfig
from asr_dro.decoding.search import SearchSetup
from asr_dro.decoding.word_lists import is_text_token
from asr_dro.errors import run_main
from asr_dro.fileio import write_json

logger = logging.getLogger("asr_dro.benchmarks.beam_search")

LANGUAGES = [f"l{number:02d}" for number in range(6)]
FRAMES_PER_TOKEN = 6
WORDS = 20_000
Call = Callable[[], object]


def vocabulary(size: int, *, pieces: bool) -> list[str]:
    """Return so many tokens: characters, or pieces of one to three characters of which a third begin words."""
    rest = size - 3 - len(LANGUAGES)
    characters = [chr(0x4E00 + number) for number in range(rest)]
    if not pieces:
        return build_token_list(characters[:-1], LANGUAGES)
    units = [("▁" if number % 3 == 0 else "") + character for number, character in enumerate(characters)]
    return build_token_list([], LANGUAGES, pieces=units)


def peaky(tokens: Sequence[int], size: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return log-probabilities (T, size) as a trained network puts them out for some tokens."""
    frames = FRAMES_PER_TOKEN * len(tokens) + 2
    logits = generator.standard_normal((frames, size))
    spoken = np.zeros(frames, dtype=int)
    places = 2 + FRAMES_PER_TOKEN * np.arange(len(tokens))
    spoken[places] = tokens
    logits[np.arange(frames), spoken] += 12 + math.log(size / 500)
    rivals = generator.integers(2, size - 1, len(places))
    logits[places, rivals] += generator.uniform(6, 13, len(places)) + math.log(size / 500)
    normalised: NDArray[np.float32] = (logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).astype(np.float32)
    return normalised


def write_arpa(path: Path, units: Sequence[str], bigrams: int, draw: random.Random) -> Path:
    """Write a bigram model with random numbers."""
    pairs = {(draw.choice(units), draw.choice(units)) for _ in range(bigrams)}
    lines = ["\\data\\", f"ngram 1={len(units) + 3}", f"ngram 2={len(pairs)}", "", "\\1-grams:"]
    lines += ["-99\t<s>\t-0.3", "-2.0\t</s>", "-5.0\t<unk>"]
    lines += [f"{-draw.uniform(1, 5):.4f}\t{unit}\t{-draw.uniform(0, 1):.4f}" for unit in units]
    lines += ["", "\\2-grams:", *(f"{-draw.uniform(0.1, 3):.4f}\t{a} {b}" for a, b in sorted(pairs)), "", "\\end\\", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def spoken(tokens: Sequence[str], words: Sequence[str], count: int, draw: random.Random) -> list[int]:
    """Return about so many tokens of random words; a piece is a character here, at a word's beginning its own."""
    index = {token: label for label, token in enumerate(tokens)}
    has_pieces = SPACE not in index
    labels: list[int] = []
    while len(labels) < count:
        word = draw.choice(words)
        begin = [index["▁" + word[0]]] if has_pieces else [index[SPACE], index[word[0]]][not labels :]
        labels += [*begin, *(index[unit] for unit in word[1:])]
    return labels


def words_of(tokens: Sequence[str], draw: random.Random) -> list[str]:
    """Return words of one to six units that occur in the vocabulary."""
    units = [token for token in tokens[2:-1] if is_text_token(token) and not token.startswith("▁")]
    starts = [token[1:] for token in tokens if token.startswith("▁")] or units
    words = {"".join([draw.choice(starts), *draw.choices(units, k=draw.randrange(6))]) for _ in range(WORDS)}
    return sorted({*words, *starts})


def search_of(tokens: list[str], config: dict[str, Any]) -> BeamSearch:
    """Return a search in the output of a network that is not there."""
    model = SimpleNamespace(token_list=tokens, blank_id=0, ctc=True)
    whole = DecodeConfig.from_mapping({"search": "beam", **config}, "benchmark")
    return BeamSearch(SearchSetup(whole, model, Path()))


class Case:
    """One kind of search.

    Args:
        tokens: The vocabulary.
        words: What is spoken.
        config: Keys of the decoding configuration.
        bare: The library's decoder with the same settings.
    """

    def __init__(
        self, tokens: list[str], words: Sequence[str], config: dict[str, Any], *, against: dict[str, Any] | None = None
    ) -> None:
        self.tokens, self.words = tokens, words
        self.ours = search_of(tokens, config)
        other = self.ours if against is None else search_of(tokens, against)
        self.bare = other.files.search_of(None).decoder

    def calls(self, utterances: Sequence[NDArray[np.float32]]) -> tuple[Call, Call]:
        """Return the bare search and ours, in a batch."""
        batch = pad_sequence([torch.from_numpy(one) for one in utterances], batch_first=True)
        lengths = torch.tensor([len(one) for one in utterances])
        languages = [LANGUAGES[0]] * len(utterances)

        def bare() -> object:
            return [self.bare.decode(one.ctypes.data, *one.shape)[0].tokens for one in utterances]

        return bare, lambda: self.ours.search(batch, lengths, languages)


def cases(size: int, folder: Path) -> dict[str, Case]:
    """Return what is measured at a size of vocabulary."""
    draw = random.Random(size)
    characters, pieces = vocabulary(size, pieces=False), vocabulary(size, pieces=True)
    units = [token for token in characters[2:-1] if not token.startswith("[")]
    tokens_lm = str(write_arpa(folder / "tokens.arpa", units, 80_000, draw))
    words, words_of_pieces = words_of(characters, draw), words_of(pieces, draw)
    (folder / "words").write_text("\n".join(words), encoding="utf-8")
    (folder / "words_of_pieces").write_text("\n".join(words_of_pieces), encoding="utf-8")
    listed = {"word_list": str(folder / "words")}
    with_lm = {**listed, "lm": str(write_arpa(folder / "words.arpa", words, 80_000, draw))}
    listed_pieces = {"word_list": str(folder / "words_of_pieces")}
    return {
        "no language model": Case(characters, words, {}),
        "n-best of 10": Case(characters, words, {"nbest": 10}),
        "bigram over tokens": Case(characters, words, {"lm": tokens_lm}),
        "20,000 words of characters": Case(characters, words, listed),
        "20,000 words of characters, bigram": Case(characters, words, with_lm),
        "20,000 words of pieces (against no words)": Case(pieces, words_of_pieces, listed_pieces, against={}),
        "language given": Case(characters, words, {"languages": "given"}),
        "two likeliest languages (against one search)": Case(characters, words, {"languages": 2}),
    }


def cpu_ms(call: Call) -> float:
    """Return the CPU milliseconds of a call."""
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


def measure(case: Case, utterances: Sequence[NDArray[np.float32]], rounds: int) -> dict[str, Any]:
    """Return milliseconds an utterance, and ratios of pairs."""
    times: dict[str, list[float]] = {"bare": [], "ours": []}
    for number in range(rounds + 1):
        bare, ours = case.calls(utterances)  # ours writes over its batch
        found = {}
        for name, call in (("bare", bare), ("ours", ours))[:: 1 if number % 2 else -1]:
            found[name] = cpu_ms(call) / len(utterances)
        if number:  # the first round warms up
            for name, value in found.items():
                times[name].append(value)
    ratios = [ours / bare for ours, bare in zip(times["ours"], times["bare"], strict=True)]
    quartiles = statistics.quantiles(ratios, n=4)
    return {
        "bare, ms": round(statistics.median(times["bare"]), 2),
        "ours, ms": round(statistics.median(times["ours"]), 2),
        "ratio": round(quartiles[1], 3),
        "quartiles": [round(quartiles[0], 3), round(quartiles[2], 3)],
        "pairs": len(ratios),
    }


def main() -> None:
    """Run the benchmark and write the figures beside this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=9, help="after one that does not count (%(default)s)")
    parser.add_argument("--utterances", type=int, default=8, help="in a batch (%(default)s)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 6000], help="of the vocabulary (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="(%(default)s)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for size in arguments.sizes:
        generator = np.random.default_rng(size)
        draw = random.Random(size)
        with tempfile.TemporaryDirectory() as folder:
            for name, case in cases(size, Path(folder)).items():
                counts = [draw.randrange(33, 51) for _ in range(arguments.utterances)]
                texts = [spoken(case.tokens, case.words, count, draw) for count in counts]
                utterances = [peaky(text, len(case.tokens), generator) for text in texts]
                figures[f"{size} tokens, {name}"] = found = measure(case, utterances, arguments.rounds)
                logger.info("%d tokens, %s: %s", size, name, found)
    figures["machine"] = {"cpu": platform.machine(), "flashlight-text": "0.0.7", "threads": 1}
    write_json(arguments.out, figures)


if __name__ == "__main__":
    run_main(main)
