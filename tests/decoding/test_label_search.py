"""Attention and joint search with whole models: heads, languages, windows, and batches that change nothing."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from asr_dro.data.tokens import build_token_list
from asr_dro.decoding.config import DecodeConfig, read_decode_config
from asr_dro.decoding.label_search import build_greedy
from asr_dro.decoding.model_loading import build_model
from asr_dro.decoding.search import Found, Search, SearchSetup, build_search
from asr_dro.errors import UserError
from tests.decoders import whisper_decoder
from tests.decoders.transformer_decoder import log_probability
from tests.decoding.experiments import SMALL, TOKENS, arguments_of, speech
from tests.encoders.whisper_models import TOKENS as WHISPER_TOKENS
from tests.encoders.whisper_models import WINDOW_FRAMES, write_whisper
from tests.shell_sandbox import ROOT

HYBRID = f"{SMALL} --decoder_conf linear_units=12 --decoder_conf num_blocks=1"
CTC, FREE = ("separable_conv", SMALL, 1.0), ("separable_conv_hybrid", HYBRID, 0.3)


def build(model: str = FREE[0], options: str = HYBRID, ctc_weight: float = 0.3, *, tokens: list[str] = TOKENS) -> Any:
    """Return a model in eval mode with random weights that write texts of many lengths."""
    arguments = arguments_of(model, options, tokens=tokens)
    arguments["model_conf"] |= {"ctc_weight": ctc_weight}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built: Any = build_model(arguments)
        with torch.no_grad():
            for name, parameter in built.named_parameters():
                if name.startswith(("decoder.", "ctc.")):
                    parameter.mul_(1.5).add_(0.4 * torch.randn_like(parameter))
    built.train(False)
    return built


def whisper_model(folder: Path, tokens: list[str] = WHISPER_TOKENS) -> Any:
    """Return Whisper's decoder, whose encoder passes frames on as they are."""
    return SimpleNamespace(
        decoder=whisper_decoder.build(write_whisper(folder), tokens),
        ctc=None,
        blank_id=0,
        token_list=tokens,
        autocast=contextlib.nullcontext,
        encode_frames=lambda frames, lengths: (frames, lengths),
    )


def search_of(model: Any, data_set: Path = Path("none"), **config: Any) -> Search:
    return build_search(SearchSetup(DecodeConfig(**config), model, data_set))


def audio(*seconds: float) -> tuple[Tensor, Tensor]:
    samples = [torch.from_numpy(speech(duration, seed=seed)) for seed, duration in enumerate(seconds)]
    return torch.nn.utils.rnn.pad_sequence(samples, batch_first=True), torch.tensor([len(one) for one in samples])


def write_set(folder: Path, tokens: list[str], labels: dict[str, list[int]]) -> Path:
    """Write what ``language_tokens`` and ``given`` read: one training transcript for each language."""
    for split in ("train", "dev", "test"):
        (folder / split).mkdir(parents=True)
        names = sorted(labels)
        (folder / split / "utt2lang").write_text("".join(f"{name}-1 {name}\n" for name in names))
        rows = (f"{name}-1 {' '.join(map(str, labels[name]))}\n" for name in names)
        (folder / split / "token_ids").write_text("".join(rows))
    (folder / "tokens.txt").write_text("".join(f"{token}\n" for token in tokens))
    return folder


@pytest.mark.parametrize("search", ["attention", "joint"])
def test_a_batch_changes_no_hypothesis(search: str) -> None:
    model = build()
    found = search_of(model, search=search, beam_size=4, nbest=3)
    samples, lengths = audio(0.9, 0.2, 1.4, 0.5)
    together = found(samples, lengths, ["fin"] * 4)
    for row, length in enumerate(lengths.tolist()):
        alone = found(samples[row : row + 1, :length], lengths[row : row + 1], ["fin"])[0]
        assert [one.tokens for one in together[row]] == [one.tokens for one in alone]
        assert [one.score for one in together[row]] == pytest.approx([one.score for one in alone], abs=1e-3)
        assert len(alone) == 3 and all(one.language is None for one in alone)
    assert len({len(hypotheses[0].tokens) for hypotheses in together}) > 1


def test_scores_are_those_of_the_heads() -> None:
    model = build()
    with torch.no_grad():
        model.decoder.output_layer.bias[-1] += 3  # ends before it must
    samples, lengths = audio(0.6)
    frames, sizes = model.encode_frames(samples, lengths)
    log_probs = model.ctc.ctc_lo(frames).log_softmax(dim=-1)[0].double()

    def both(tokens: list[int]) -> tuple[float, float]:
        labels = torch.tensor([tokens])
        counts = torch.tensor([len(tokens)])
        ctc = torch.nn.functional.ctc_loss(log_probs[:, None], labels, sizes, counts, reduction="sum")
        return log_probability(model.decoder, frames, tokens), -ctc.item()

    found = search_of(model, search="attention", beam_size=3, nbest=3, length_penalty=-0.5)(samples, lengths, [""])[0]
    ended = [len(one.tokens) < 2 + sizes.item() for one in found]
    assert any(ended) and max(len(one.tokens) for one in found) > 1
    for one, end in zip(found, ended, strict=True):
        expected = log_probability(model.decoder, frames, one.tokens, ended=end) - 0.5 * (len(one.tokens) + end)
        assert one.score == pytest.approx(expected, abs=1e-3)
    for one in search_of(model, search="joint", beam_size=3, nbest=3, ctc_weight=0.25)(samples, lengths, [""])[0]:
        decoder, ctc = both(list(one.tokens))
        assert one.score == pytest.approx(0.75 * decoder + 0.25 * ctc, abs=1e-3)


def test_a_hypothesis_is_no_longer_than_allowed() -> None:
    model = build()
    with torch.no_grad():
        model.decoder.output_layer.bias[-1] -= 50  # writes for ever
    samples, lengths = audio(1.2)
    frames = int(model.output_lengths(lengths))
    for ratio in (0.1, 0.5, 1.0):
        found = search_of(model, search="attention", beam_size=2, max_length_ratio=ratio)(samples, lengths, ["fin"])
        assert len(found[0][0].tokens) == int(2 + ratio * frames)
    joint = search_of(model, search="joint", beam_size=2)(samples, lengths, ["fin"])
    assert len(joint[0][0].tokens) <= frames


@pytest.mark.parametrize("search", ["attention", "joint"])
def test_a_given_language_is_written(search: str, tmp_path: Path) -> None:
    model = build()
    data_set = write_set(tmp_path, TOKENS, {"fin": [3], "kat": [4]})
    samples, lengths = audio(0.7, 0.7, 0.4)
    found = search_of(model, data_set, search=search, beam_size=3, languages="given")(
        samples, lengths, ["kat", "fin", "kat"]
    )
    assert [hypotheses[0].language for hypotheses in found] == ["kat", "fin", "kat"]
    assert [TOKENS[hypotheses[0].tokens[0]] for hypotheses in found] == ["[kat]", "[fin]", "[kat]"]


@pytest.mark.parametrize("search", ["attention", "joint"])
def test_of_the_likeliest_languages_the_best_total_wins(search: str, tmp_path: Path) -> None:
    model = build()
    data_set = write_set(tmp_path, TOKENS, {"fin": [3], "kat": [4]})
    samples, lengths = audio(0.7, 0.4, 1.0, 0.3)
    options: dict[str, Any] = {"search": search, "beam_size": 3, "nbest": 2}
    under = {
        language: search_of(model, data_set, **options, languages="given")(samples, lengths, [language] * 4)
        for language in ("fin", "kat")
    }
    both = search_of(model, data_set, **options, languages=2)(samples, lengths, [""] * 4)
    many = search_of(model, data_set, **options, languages=9)(samples, lengths, [""] * 4)
    one = search_of(model, data_set, **options, languages=1)(samples, lengths, [""] * 4)
    frames, sizes = model.encode_frames(samples, lengths)
    for row in range(4):
        everything = sorted([*under["fin"][row], *under["kat"][row]], key=lambda found: -found.score)
        assert both[row] == many[row] and [found.tokens for found in both[row]] == [o.tokens for o in everything[:2]]
        assert [found.score for found in both[row]] == pytest.approx([o.score for o in everything[:2]], abs=1e-3)
        own = frames[row : row + 1, : sizes[row]]
        likeliest = max(
            ("fin", "kat"),
            key=lambda name: log_probability(model.decoder, own, [TOKENS.index(f"[{name}]")], ended=False),
        )
        assert [found.language for found in one[row]] == [likeliest] * 2
        assert [found.tokens for found in one[row]] == [found.tokens for found in under[likeliest][row]]


def test_only_tokens_of_the_language_are_written(tmp_path: Path) -> None:
    fin, kat = TOKENS.index("[fin]"), TOKENS.index("[kat]")
    data_set = write_set(tmp_path, TOKENS, {"fin": [fin, 3, 4, 2], "kat": [kat, 5, 6]})
    samples, lengths = audio(0.9, 0.9)
    for search in ("attention", "joint"):
        found = search_of(
            build(), data_set, search=search, beam_size=4, nbest=4, languages="given", language_tokens=True
        )(samples, lengths, ["fin", "kat"])
        for hypotheses, allowed in zip(found, ({fin, 3, 4, 2}, {kat, 5, 6}), strict=True):
            written = {label for one in hypotheses for label in one.tokens}
            assert len(written) > 1 and written <= allowed


def test_what_a_model_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"attention needs a decoder, and this model has CTC and no decoder; use"):
        search_of(build(*CTC), search="attention")
    with pytest.raises(UserError, match=r"joint needs a decoder and CTC, and this model has CTC and no decoder"):
        search_of(build(*CTC), search="joint")
    alone = build(ctc_weight=0.0)
    with pytest.raises(UserError, match=r"joint needs a decoder and CTC, and this model has a decoder and no CTC"):
        search_of(alone, search="joint")
    with pytest.raises(UserError, match=r"beam needs a model with CTC"):
        search_of(alone, search="beam")
    data_set = write_set(tmp_path, TOKENS, {"deu": [3], "fin": [3], "swe": [3]})
    with pytest.raises(UserError, match=r"languages: given, but the model has no tag of deu, swe, with which"):
        search_of(alone, data_set, search="attention", languages="given")
    tagless = build(tokens=build_token_list(" abcdefgh", []))
    with pytest.raises(UserError, match=r"languages: 2 takes the likeliest by the model's language tags"):
        search_of(tagless, data_set, search="attention", languages=2)


def test_without_tags_a_given_language_is_only_carried_along(tmp_path: Path) -> None:
    tokens = build_token_list(" abcdefgh", [])
    model = build(tokens=tokens)
    data_set = write_set(tmp_path, tokens, {"fin": [3, 4], "kat": [5]})
    samples, lengths = audio(0.6)
    free = search_of(model, data_set, search="attention", beam_size=3)(samples, lengths, ["fin"])[0][0]
    given = search_of(model, data_set, search="attention", beam_size=3, languages="given")(samples, lengths, ["fin"])
    assert given == [[free._replace(language="fin")]]


def test_greedy_search_of_a_decoder_takes_languages_too(tmp_path: Path) -> None:
    model = build(ctc_weight=0.0)
    data_set = write_set(tmp_path, TOKENS, {"fin": [3], "kat": [4]})
    samples, lengths = audio(0.7, 0.3, 1.1)
    with torch.no_grad():
        free = model.decoder.greedy(*model.encode_frames(samples, lengths))
    assert model.greedy(samples, lengths) == free
    assert [f[0].tokens for f in search_of(model, search="attention", beam_size=1)(samples, lengths, [""] * 3)] == free
    one = search_of(model, data_set, search="greedy", languages=1)(samples, lengths, [""] * 3)
    assert [hypotheses[0].tokens for hypotheses in one] == free
    given = search_of(model, data_set, search="greedy", languages="given")(samples, lengths, ["fin", "kat", "fin"])
    assert [TOKENS[hypotheses[0].tokens[0]] for hypotheses in given] == ["[fin]", "[kat]", "[fin]"]


def test_whisper_writes_under_languages(tmp_path: Path) -> None:
    model = whisper_model(tmp_path / "whisper")
    data_set = write_set(tmp_path / "set", WHISPER_TOKENS, {"fin": [22, 26, 28, 1, 20], "kat": [24, 26, 28, 2, 3, 20]})
    frames, lengths = whisper_decoder.encoded(50, 20, 31, 8)
    assert [f[0].tokens for f in search_of(model, search="attention", beam_size=1)(frames, lengths, [""] * 4)] == (
        model.decoder.greedy(frames, lengths)
    )
    for search in ("greedy", "attention"):
        found = search_of(model, data_set, search=search, languages="given")(frames, lengths, ["kat", "fin"] * 2)
        prompts = [list(hypotheses[0].tokens[:3]) for hypotheses in found]
        assert prompts == [[24, 26, 28], [22, 26, 28]] * 2
        few = search_of(model, data_set, search=search, languages=2, language_tokens=True)(frames, lengths, [""] * 4)
        for hypotheses in few:
            texts = {"fin": {1}, "kat": {2, 3}}
            assert set(hypotheses[0].tokens[3:]) <= texts[hypotheses[0].language or ""]


def test_windows_of_long_audio_are_put_together(tmp_path: Path) -> None:
    """An utterance of three windows: the first names the language, scores add up, the best combinations win."""
    model = whisper_model(tmp_path / "whisper")
    data_set = write_set(tmp_path / "set", WHISPER_TOKENS, {"fin": [22], "kat": [24]})
    frames, lengths = whisper_decoder.encoded(101, 50)
    assert WINDOW_FRAMES == 50
    search = search_of(model, data_set, search="attention", beam_size=3, nbest=3)
    whole = search(frames, lengths, ["", ""])[0]
    parts = [search(cut, torch.tensor([cut.size(1)]), [""])[0] for cut in torch.split(frames[:1], 34, dim=1)]
    assert len(parts) == 3
    expected = sorted(
        (
            Found([*a.tokens, *b.tokens[3:], *c.tokens[3:]], a.score + b.score + c.score)
            for a in parts[0]
            for b in parts[1]
            for c in parts[2]
        ),
        key=lambda one: -one.score,
    )[:3]
    assert [one.tokens for one in whole] == [one.tokens for one in expected]
    assert [one.score for one in whole] == pytest.approx([one.score for one in expected], abs=1e-3)
    languages = search_of(model, data_set, search="greedy", languages=2)(frames, lengths, ["", ""])
    assert all(math.isfinite(hypotheses[0].score) and hypotheses[0].language for hypotheses in languages)


def test_build_greedy_is_what_greedy_search_takes(tmp_path: Path) -> None:
    model = build(ctc_weight=0.0)
    data_set = write_set(tmp_path, TOKENS, {"fin": [3], "kat": [4]})
    config = DecodeConfig(search="greedy", languages=2)
    samples, lengths = audio(0.5)
    direct = build_greedy(SearchSetup(config, model, data_set))(samples, lengths, [""])
    assert search_of(model, data_set, search="greedy", languages=2)(samples, lengths, [""]) == direct


@pytest.mark.parametrize("name", ["attention", "joint"])
def test_the_configurations_are_read(name: str) -> None:
    assert read_decode_config(ROOT / "conf" / "decode" / f"{name}.yaml").search == name
