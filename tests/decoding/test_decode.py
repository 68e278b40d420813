from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from asr_dro.data.data_dir import read_two_columns, write_two_columns
from asr_dro.decoding.config import read_decode_config
from asr_dro.decoding.decode import decode_sets
from asr_dro.errors import UserError
from asr_dro.training.run import train
from tests.training.runs import write_noise_set, write_run

GREEDY = "search: greedy\nseconds_per_batch: 60\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("search: best\nseconds_per_batch: 60\n", "search is 'best'; allowed: greedy, beam, attention, joint"),
        ("search: greedy\nseconds_per_batch: 0\n", "above 0, not 0"),
        ("search: greedy\nseconds_per_batch: many\n", "above 0, not 'many'"),
        (GREEDY + "beam_size: 3\n", "beam_size is a key of search beam or attention or joint, not of greedy"),
        (GREEDY + "beam_sise: 3\n", "did you mean beam_size?"),
        ("search: beam\nlm_weight: .nan\n", "lm_weight must be a number, not nan"),
        ("search: joint\nctc_weight: 1\n", "ctc_weight must be a number between 0 and 1, not 1"),
        ("search: joint\nctc_weight: '0.5'\n", "ctc_weight must be a number between 0 and 1, not '0.5'"),
        ("search: beam\nnbest: true\n", "nbest must be a whole number from 1 on, not True"),
    ],
)
def test_mistakes_in_the_configuration_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(UserError) as caught:
        read_decode_config(tmp_path / "mine.yaml")
    assert message in str(caught.value)


def test_an_unfinished_training_is_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "greedy.yaml").write_text(GREEDY)
    with pytest.raises(UserError, match="run stage 4 first"):
        decode_sets(tmp_path, tmp_path / "exp", tmp_path / "greedy.yaml", nj=1, ngpu=0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a prepared set and a finished training on it; tests work on copies of the set."""
    folder = tmp_path_factory.mktemp("trained")
    noise_set = write_noise_set(folder)
    experiment = write_run(folder / "exp", more="--max_epoch 1 --average_best 1 --use_tensorboard false")
    train(noise_set, experiment, ngpu=0)
    return noise_set, experiment


def test_the_size_of_batches_and_the_number_of_readers_change_no_hypothesis(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    texts = {}
    for name, seconds, nj in (("alone", 0.1, 1), ("together", 60, 1), ("readers", 60, 3)):
        (tmp_path / f"{name}.yaml").write_text(f"search: greedy\nseconds_per_batch: {seconds}\n")
        paths = decode_sets(*trained, tmp_path / f"{name}.yaml", nj=nj, ngpu=0)
        texts[name] = [path.read_text() for path in paths]
    assert texts["alone"] == texts["together"] == texts["readers"]
    assert len(texts["alone"][0].splitlines()) == 12


def copy_with(noise_set: Path, target: Path, wav: dict[str, str]) -> Path:
    """Copy a set without its audio, some utterances having other files in test."""
    shutil.copytree(noise_set, target)
    scp = target / "test" / "wav.scp"
    write_two_columns(scp, {**read_two_columns(scp), **wav})
    return target


def test_unreadable_audio_gives_an_empty_hypothesis_until_it_is_mended(
    trained: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise_set, experiment = trained
    (tmp_path / "mend.yaml").write_text("search: greedy\nseconds_per_batch: 0.1\n")  # one utterance a batch
    whole = decode_sets(noise_set, experiment, tmp_path / "mend.yaml", nj=1, ngpu=0)[1].read_text().splitlines()
    damaged = tmp_path / "damaged.flac"
    damaged.write_text("no audio")
    utt_ids = [line.split()[0] for line in whole]
    wav = read_two_columns(noise_set / "test" / "wav.scp")
    copy = copy_with(noise_set, tmp_path / "set", {utt_ids[0]: str(tmp_path / "gone.flac"), utt_ids[5]: str(damaged)})
    with caplog.at_level(logging.INFO):
        text = decode_sets(copy, experiment, tmp_path / "mend.yaml", nj=1, ngpu=0)[1]
    lines = text.read_text().splitlines()
    assert [lines[0], lines[5]] == [utt_ids[0], utt_ids[5]]
    assert lines[1:5] + lines[6:] == whole[1:5] + whole[6:]
    assert f"{utt_ids[0]} cannot be read, its hypothesis is empty: {tmp_path}/gone.flac: no such file" in caplog.text
    assert "test: 2 hypotheses are empty" in caplog.text
    time_ns = text.stat().st_mtime_ns
    decode_sets(copy, experiment, tmp_path / "mend.yaml", nj=1, ngpu=0)
    assert text.stat().st_mtime_ns == time_ns, "what is still unreadable is no reason to decode again"
    damaged.write_bytes(Path(wav[utt_ids[5]]).read_bytes())
    decode_sets(copy, experiment, tmp_path / "mend.yaml", nj=1, ngpu=0)
    assert text.read_text().splitlines()[5] == whole[5]


def test_a_split_without_its_audio_is_not_decoded(trained: tuple[Path, Path], tmp_path: Path) -> None:
    noise_set, experiment = trained
    (tmp_path / "gone.yaml").write_text(GREEDY)
    utt_ids = list(read_two_columns(noise_set / "test" / "wav.scp"))
    nothing = copy_with(noise_set, tmp_path / "nothing", dict.fromkeys(utt_ids, "/gone/a.flac"))
    with pytest.raises(UserError, match=r"there is no audio; 12 of 12 files looked for, e\.g\. /gone/a\.flac\. "):
        decode_sets(nothing, experiment, tmp_path / "gone.yaml", nj=1, ngpu=0)
    little = copy_with(noise_set, tmp_path / "little", dict.fromkeys(utt_ids[:7], "/gone/a.flac"))
    with pytest.raises(UserError, match="7 utterances could not be read, and more than 6"):
        decode_sets(little, experiment, tmp_path / "gone.yaml", nj=2, ngpu=0)
    assert not (experiment / "decode_gone" / "test" / "text").exists()


def test_a_split_without_utterances_is_passed_over(
    trained: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise_set, experiment = trained
    (tmp_path / "greedy.yaml").write_text(GREEDY)
    copy = copy_with(noise_set, tmp_path / "set", {})
    for file in (copy / "test").iterdir():
        file.write_text("")
    with caplog.at_level(logging.WARNING):
        (path,) = decode_sets(copy, experiment, tmp_path / "greedy.yaml", nj=1, ngpu=0)
    assert path.parent.name == "dev"
    assert f"{copy / 'test'} holds no utterance" in caplog.text
