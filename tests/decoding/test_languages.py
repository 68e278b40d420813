"""Which language an utterance is in, and search under it."""

from __future__ import annotations

import itertools
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr_dro.data.tokens import build_token_list, decode, write_token_list
from asr_dro.decoding import beam_search, greedy_languages, greedy_search
from asr_dro.decoding.languages import LanguageChoice, LanguageTags, TagFolding, read_language_tokens
from asr_dro.decoding.search import Found, SearchSetup
from asr_dro.errors import UserError
from tests.decoding.ctc_reference import Labels, collapse, labelling_scores, path_scores, random_log_probs, setup_of

TOKENS = ("<blank>", "<unk>", "<space>", "a", "b", "[fin]", "[kat]", "<sos/eos>")
FIN, KAT = 5, 6
SMALL = ("<blank>", "[fin]", "a", "[kat]")  # as many as all paths of a few frames can be listed for
SEARCHES = {"greedy": greedy_languages.GreedyByLanguage, "beam": beam_search.BeamSearch}


def write_set(folder: Path, transcripts: dict[str, list[str]], tokens: tuple[str, ...] = TOKENS) -> Path:
    """Write the files that say which tokens a language has, and which languages dev and test have."""
    index = {token: label for label, token in enumerate(tokens)}
    rows = sorted(
        (f"{language}-{number}", language, text)
        for language, texts in transcripts.items()
        for number, text in enumerate(texts)
    )
    for split in ("train", "dev", "test"):
        (folder / split).mkdir(parents=True)
        lines = "".join(f"{utt_id} {language}\n" for utt_id, language, _ in rows)
        (folder / split / "utt2lang").write_text(lines, encoding="utf-8")
    ids = (f"{utt_id} {' '.join(str(index[token]) for token in text.split())}\n" for utt_id, _, text in rows)
    (folder / "train" / "token_ids").write_text("".join(ids), encoding="utf-8")
    write_token_list(folder / "tokens.txt", tokens)
    return folder


def logits_of(frames: list[dict[int, float]], size: int = len(TOKENS)) -> torch.Tensor:
    """Return the log-probabilities (1, T, V) of frames given by the shares of some tokens; others share the rest."""
    rows = []
    for shares in frames:
        rest = (1 - sum(shares.values())) / (size - len(shares))
        rows.append([math.log(shares.get(label, rest)) for label in range(size)])
    return torch.tensor([rows])


def run(search: str, setup: SearchSetup, frames: int, spoken: str) -> list[Found]:
    return SEARCHES[search](setup)(torch.zeros(1, 1), torch.tensor([frames]), [spoken])[0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_a_tags_posterior_is_the_share_of_paths_whose_first_tag_it_is(seed: int, frames: int) -> None:
    log_probs = random_log_probs(frames, 4, seed=seed)
    expected = {"fin": 0.0, "kat": 0.0, None: 0.0}
    for path, score in path_scores(log_probs).items():
        tags = [{1: "fin", 3: "kat"}[label] for label in collapse(path) if label in (1, 3)]
        expected[tags[0] if tags else None] += math.exp(score)
    padding = np.zeros((2, 4), dtype=np.float32)  # as if every token were certain
    padded = torch.from_numpy(np.concatenate([log_probs, padding]))[None]
    found = LanguageTags(SMALL).log_posteriors(padded, torch.tensor([frames]))
    assert found.exp()[0].tolist() == pytest.approx(list(expected.values()), abs=1e-5)
    assert found.exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_a_certain_tag_leaves_nothing_to_others_and_nan_to_none() -> None:
    log_probs = torch.full((1, 2, 4), -math.inf)
    log_probs[0, :, 3] = 0.0
    found = LanguageTags(SMALL).log_posteriors(log_probs, torch.tensor([2])).exp()[0].tolist()
    assert found == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([None, "fin", "kat"]))
def test_the_text_under_a_language_sums_over_all_places_of_its_tag(seed: int, language: str | None) -> None:
    log_probs = random_log_probs(4, 4, seed=seed)
    choice = LanguageChoice(LanguageTags(SMALL), "given")
    folding = TagFolding(choice, torch.from_numpy(log_probs)[None].clone())
    folding.under(["kat" if language == "fin" else "fin"])  # what came before leaves no trace
    found = folding.under([language])[0].numpy()
    expected: dict[Labels, list[float]] = {}
    own = {None: 0, "fin": 1, "kat": 3}[language]
    for path, score in path_scores(log_probs).items():
        if {1, 3} & set(path) <= {own}:
            text = collapse([0 if label == own else label for label in path])
            expected.setdefault(text, []).append(score)
    for labels, score in labelling_scores(found).items():
        if labels in expected:
            assert score == pytest.approx(float(np.logaddexp.reduce(expected[labels])), abs=1e-4)
        else:
            assert score == -math.inf


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_given_writes_no_other_tag_and_carries_the_language(tmp_path: Path, search: str) -> None:
    logits = logits_of([{FIN: 0.6, KAT: 0.3}, {3: 0.9}, {0: 0.9}])
    for spoken in ("fin", "kat"):
        (found,) = run(search, setup_of(TOKENS, {"search": search, "languages": "given"}, tmp_path, logits), 3, spoken)
        assert found.language == spoken
        assert decode(found.tokens, TOKENS) == (spoken, "a")
        assert found.frames == [(0, 1), (1, 2)]
        assert found.confidences == pytest.approx([{"fin": 0.6, "kat": 0.3}[spoken], 0.9])


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_given_holds_without_a_tag_in_the_model_or_in_the_utterance(tmp_path: Path, search: str) -> None:
    logits = logits_of([{FIN: 0.9}, {3: 0.9}])
    (found,) = run(search, setup_of(TOKENS, {"search": search, "languages": "given"}, tmp_path, logits), 2, "swe")
    assert (found.language, *decode(found.tokens, TOKENS)) == ("swe", None, "a")  # a language that was never trained
    untagged = (*TOKENS[:5], "c", "d", "<sos/eos>")  # task: asr; the text alone is asked for
    (found,) = run(search, setup_of(untagged, {"search": search, "languages": "given"}, tmp_path, logits), 2, "swe")
    assert (found.language, *decode(found.tokens, untagged)) == (None, None, "ca")


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_of_the_likeliest_languages_the_best_hypothesis_wins(tmp_path: Path, search: str) -> None:
    data_set = write_set(tmp_path, {"fin": ["[fin] a"], "kat": ["[kat] b"]})
    logits = logits_of([{FIN: 0.5, KAT: 0.45}, {4: 0.95, 3: 0.04}, {0: 0.9}])  # the tag says fin, the text says kat

    def best(languages: int, language_tokens: bool) -> tuple[str | None, str | None, str]:
        config = {"search": search, "languages": languages, "language_tokens": language_tokens}
        (found,) = run(search, setup_of(TOKENS, config, data_set, logits), 3, "none: it may not look at this")
        return (found.language, *decode(found.tokens, TOKENS))

    assert best(1, language_tokens=True) == ("fin", "fin", "a")
    assert best(2, language_tokens=True) == ("kat", "kat", "b")
    assert best(9, language_tokens=True) == ("kat", "kat", "b")  # there are only two
    assert best(2, language_tokens=False) == ("fin", "fin", "b")


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_greedy_score_is_that_of_the_likeliest_path_under_the_language(seed: int) -> None:
    log_probs = random_log_probs(4, 4, seed=seed)
    setup = setup_of(SMALL, {"search": "greedy", "languages": 2}, Path())
    searched = greedy_languages.GreedyByLanguage(setup)
    (found,) = searched.search(torch.from_numpy(log_probs)[None], torch.tensor([4]), ["?"])[0]
    scores = path_scores(log_probs)
    paths = {own: [path for path in scores if {1, 3} & set(path) <= {own}] for own in (1, 3)}
    best = max((path for one in paths.values() for path in one), key=scores.__getitem__)
    assert found.score == pytest.approx(scores[best], abs=1e-4)
    assert tuple(found.tokens) == collapse(best)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 2))
def test_the_n_best_of_several_languages_are_the_best_of_all(seed: int, tried: int) -> None:
    tokens = ("<blank>", "<unk>", "a", "[fin]", "[kat]")
    log_probs = random_log_probs(4, 5, seed=seed)
    widths = {"beam_size": 2000, "tokens_per_frame": 9, "beam_threshold": 1e4, "nbest": 7}
    setup = setup_of(tokens, {"search": "beam", "languages": tried, **widths}, Path())
    searched = beam_search.BeamSearch(setup)
    found = searched.search(torch.from_numpy(log_probs)[None].clone(), torch.tensor([4]), ["?"])[0]
    sums: dict[tuple[int, Labels], list[float]] = {}
    for path, score in path_scores(log_probs).items():
        for own in (3, 4):
            if {3, 4} & set(path) <= {own}:
                sums.setdefault((own, collapse([0 if label == own else label for label in path])), []).append(score)
    totals = {key: float(np.logaddexp.reduce(values)) for key, values in sums.items()}
    posteriors = LanguageTags(tokens).log_posteriors(torch.from_numpy(log_probs)[None], torch.tensor([4]))[0]
    likeliest = 3 + int(posteriors[:2].argmax())
    if tried == 1:
        totals = {key: value for key, value in totals.items() if key[0] == likeliest}
    expected = sorted(totals.values(), reverse=True)[:7]
    assert [one.score for one in found] == pytest.approx(expected, abs=1e-3)
    for one in found:
        own = {"fin": 3, "kat": 4}[one.language or ""]
        assert one.tokens[0] == own
        assert one.score == pytest.approx(totals[own, tuple(one.tokens[1:])], abs=1e-3)
        start, stop = (one.frames or [])[0]
        assert stop == start + 1 and start == log_probs[:, own].argmax()


def test_of_equal_paths_the_language_with_the_likelier_tag_wins(tmp_path: Path) -> None:
    for tags, language in (({FIN: 0.3, KAT: 0.2}, "fin"), ({FIN: 0.2, KAT: 0.3}, "kat")):
        logits = logits_of([{0: 0.4, **tags}, {3: 0.9}])  # the blank is best, whatever the tag
        (found,) = run("greedy", setup_of(TOKENS, {"search": "greedy", "languages": 2}, tmp_path, logits), 2, "?")
        assert (found.language, decode(found.tokens, TOKENS)) == (language, (None, "a"))


def test_tokens_of_languages_are_those_of_their_training_transcripts(tmp_path: Path) -> None:
    data_set = write_set(tmp_path, {"fin": ["[fin] a", "[fin] a <space> a"], "kat": ["[kat] b"]})
    assert read_language_tokens(data_set, TOKENS) == {"fin": [2, 3, FIN], "kat": [4, KAT]}


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_language_tokens_limit_the_text(tmp_path: Path, search: str) -> None:
    data_set = write_set(tmp_path, {"fin": ["[fin] a <space> a"], "kat": ["[kat] b a"]})
    logits = logits_of([{FIN: 0.9}, {4: 0.9, 3: 0.05}])
    config = {"search": search, "languages": "given", "language_tokens": True}
    (found,) = run(search, setup_of(TOKENS, config, data_set, logits), 2, "fin")
    assert decode(found.tokens, TOKENS) == ("fin", "a")
    (found,) = run(search, setup_of(TOKENS, config, data_set, logits), 2, "kat")
    assert (found.language, decode(found.tokens, TOKENS)[1]) == ("kat", "b")


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_mistakes_with_languages(tmp_path: Path, search: str) -> None:
    def build(tokens: Any, config: dict[str, Any], data_set: Path) -> None:
        SEARCHES[search](setup_of(tokens, {"search": search, **config}, data_set))

    untagged = tuple(build_token_list("ab", []))
    with pytest.raises(UserError, match=r"this model has none \(task: asr\)"):
        build(untagged, {"languages": 3}, tmp_path)
    data_set = write_set(tmp_path / "set", {"fin": ["[fin] a"], "kat": ["[kat] b"]})
    limited = {"languages": "given", "language_tokens": True}
    with pytest.raises(UserError, match="is not the model's vocabulary"):
        build(untagged, limited, data_set)
    (data_set / "test" / "utt2lang").write_text("u1 fin\nu2 swe\nu3 est\n", encoding="utf-8")
    with pytest.raises(UserError, match="no transcript in est, swe"):
        build(TOKENS, limited, data_set)
    (data_set / "train" / "utt2lang").write_text("u1 fin\n", encoding="utf-8")
    with pytest.raises(UserError, match="differ in their utterances"):
        build(TOKENS, limited, data_set)


def test_a_decoder_without_ctc_is_refused_by_beam_search(tmp_path: Path) -> None:
    setup = setup_of(TOKENS, {"search": "beam"}, tmp_path)
    setup.model.ctc = None
    with pytest.raises(UserError, match="needs a model with CTC"):
        beam_search.build(setup)


def test_greedy_search_goes_by_language_where_it_is_told_to(tmp_path: Path) -> None:
    logits = logits_of([{FIN: 0.9}, {3: 0.9}])
    searched = greedy_search.build(setup_of(TOKENS, {"search": "greedy", "languages": "given"}, tmp_path, logits))
    assert searched(torch.zeros(1, 1), torch.tensor([2]), ["kat"])[0][0].language == "kat"


@pytest.mark.parametrize(
    ("search", "config"),
    [
        *(("greedy", {"languages": languages}) for languages in ("given", 2)),
        *(("beam", config) for config in ({}, {"languages": "given"}, {"languages": 2}, {"nbest": 3})),
    ],
)
def test_an_utterance_alone_is_as_in_its_batch(tmp_path: Path, search: str, config: dict[str, Any]) -> None:
    logits = torch.randn(4, 12, len(TOKENS), generator=torch.Generator().manual_seed(3))
    frames = torch.tensor([12, 5, 1, 0])
    spoken = ["fin", "kat", "fin", "swe"]
    together = SEARCHES[search](setup_of(TOKENS, {"search": search, **config}, tmp_path, logits))(
        torch.zeros(4, 1), frames, spoken
    )
    for row, count in enumerate(frames.tolist()):
        setup = setup_of(TOKENS, {"search": search, **config}, tmp_path, logits[row : row + 1, :count])
        alone = SEARCHES[search](setup)(torch.zeros(1, 1), frames[row : row + 1], spoken[row : row + 1])[0]
        assert [one.tokens for one in alone] == [one.tokens for one in together[row]]
        assert [one.score for one in alone] == pytest.approx([one.score for one in together[row]], abs=1e-5)
        assert [one.frames for one in alone] == [one.frames for one in together[row]]


def test_frames_that_are_no_numbers_count_as_blank(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logits = logits_of([{FIN: 0.9}, {3: 0.9}, {4: 0.9}, {4: 0.9}])
    logits[0, 1] = math.nan
    logits[0, 2, 4] = math.inf
    setup = setup_of(TOKENS, {"search": "beam"}, tmp_path, logits)
    with caplog.at_level(logging.WARNING):
        (found,) = run("beam", setup, 4, "?")
    assert not beam_search.BeamSearch(setup).log_probs(logits).isnan().any()  # the library would compare them
    assert decode(found.tokens, TOKENS) == ("fin", "b")
    assert found.frames == [(0, 1), (3, 4)]
    assert "not finite in 2 frames" in caplog.text


def test_different_texts_come_once_and_the_mark_of_the_end_never(tmp_path: Path) -> None:
    logits = logits_of([{3: 0.5, 7: 0.4}, {2: 0.5}, {0: 0.3, 2: 0.3}, {2: 0.3, 4: 0.3}])
    config = {"search": "beam", "nbest": 20, "beam_size": 200}
    found = run("beam", setup_of(TOKENS, config, tmp_path, logits), 4, "?")
    texts = [decode(one.tokens, TOKENS) for one in found]
    assert len(set(texts)) == len(texts) == 20
    assert not any(7 in one.tokens for one in found)
    assert all(earlier.score >= later.score for earlier, later in itertools.pairwise(found))
