from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from asr_dro.decoding.merging import merge
from asr_dro.decoding.parts import FinishedBatch, open_part, read_part
from asr_dro.errors import UserError
from asr_dro.experiment import DECODED, DETAILS, HYPOTHESES

INPUTS = "0123"


def add(path: Path, number: int, utt_ids: list[str], made_from: str = INPUTS) -> None:
    with open_part(path, made_from) as part:
        lines = [{"utt_id": utt_id, "text": f"[fin] {utt_id}ä\N{LINE SEPARATOR}"} for utt_id in utt_ids]
        part.add(number, lines, audio_s=2.0, seconds=0.5, device="cpu")


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "dev.local-0.jsonl"
    for number in range(3):
        add(path, number, [f"{number}-a", f"{number}-b"])
    return path


def test_a_part_file_cut_anywhere_holds_the_batches_before_the_cut_and_goes_on(part: Path) -> None:
    whole = part.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    batch_ends = [ends[3 * number] for number in range(4)]  # the first line, then three for each batch
    for cut in range(len(whole) + 1):
        part.write_bytes(whole[:cut])
        content = read_part(part, INPUTS)
        kept = sum(end <= cut for end in batch_ends[1:])
        assert list(content.batches) == list(range(kept)), cut
        assert content.end == max([end for end in batch_ends if end <= cut], default=0)
    for cut in (0, 5, batch_ends[0], batch_ends[1] + 3, batch_ends[2] + 40, ends[-2], len(whole)):
        part.write_bytes(whole[:cut])
        for number in range(len(read_part(part, INPUTS).batches), 3):
            add(part, number, [f"{number}-a", f"{number}-b"])
        assert part.read_bytes() == whole, cut


@pytest.mark.parametrize(
    "damage", [b"\0" * 300 + b"\n", b"[1, 2]\n", b'{"batch": 7}\n', b"\xff\xfe\n", b"3\n", b"{}\n"]
)
def test_damage_ends_what_counts(part: Path, damage: bytes) -> None:
    whole = part.read_bytes()
    part.write_bytes(whole + damage)
    assert list(read_part(part, INPUTS).batches) == [0, 1, 2]
    add(part, 3, ["3-a"])
    assert part.read_bytes().startswith(whole + b'{"utt_id": "3-a"')
    assert list(read_part(part, INPUTS).batches) == [0, 1, 2, 3]


def test_a_part_of_other_inputs_holds_nothing_and_begins_anew(part: Path) -> None:
    assert read_part(part, "4567").batches == {}
    add(part, 5, ["x"], made_from="4567")
    assert read_part(part, INPUTS).batches == {}
    assert list(read_part(part, "4567").batches) == [5]
    assert "0-a" not in part.read_text(encoding="utf-8")
    assert read_part(part.with_name("missing"), INPUTS).batches == {}


def test_batches_are_taken_back(part: Path) -> None:
    with open_part(part, INPUTS) as opened:
        opened.forget([1, 17])
    assert list(read_part(part, INPUTS).batches) == [0, 2]
    add(part, 1, ["1-a", "1-b"])
    assert sorted(read_part(part, INPUTS).batches) == [0, 1, 2]


def test_one_process_at_a_time_writes_and_one_that_waited_for_a_removed_file_has_a_new_one(part: Path) -> None:
    entered = threading.Event()

    def second() -> None:
        with open_part(part, INPUTS) as other:
            entered.set()
            other.add(9, [{"utt_id": "9", "text": ""}], audio_s=1, seconds=1, device="cpu")

    thread = threading.Thread(target=second)
    with open_part(part, INPUTS):
        thread.start()
        assert not entered.wait(0.3)
        part.unlink()
    thread.join(10)
    assert list(read_part(part, INPUTS).batches) == [9]


def finished(*paths: Path) -> list[FinishedBatch]:
    return [batch for path in paths for batch in read_part(path, INPUTS).batches.values()]


DONE = {"made_from": INPUTS, "config": {"nbest": 1, "times": False}}
IDS = ["0-a", "0-b", "1-a", "1-b", "2-a", "2-b", "3-a"]


def test_the_order_of_parts_does_not_matter(part: Path, tmp_path: Path) -> None:
    other = tmp_path / "dev.1-of-2.jsonl"
    add(other, 3, ["3-a"])
    texts = []
    for number, paths in enumerate([(part, other), (other, part)]):
        batches = finished(*paths)
        merge(tmp_path / str(number), IDS, batches[::-1], DONE)
        texts.append((tmp_path / str(number) / HYPOTHESES).read_bytes())
    assert texts[0] == texts[1]
    assert [line.split()[0] for line in texts[0].decode().split("\n")[:-1]] == IDS
    marker = json.loads((tmp_path / "0" / DECODED).read_text())
    numbers = ("utterances", "audio_s", "seconds", "real_time_factor")
    assert [marker[name] for name in numbers] == [7, 8.0, 2.0, 0.25]
    assert marker["devices"] == ["cpu"]
    assert not (tmp_path / "0" / DETAILS).exists()


def test_missing_surplus_and_double_utterances_are_all_named_and_nothing_is_written(part: Path, tmp_path: Path) -> None:
    other = tmp_path / "dev.1-of-2.jsonl"
    add(other, 3, ["3-a", "strange"])
    add(other, 1, ["1-a", "1-b"])
    with pytest.raises(UserError) as caught:
        merge(tmp_path / "dev", [*IDS, "4-a", *(f"5-{n}" for n in range(6))], finished(part, other), DONE)
    message = str(caught.value)
    assert "7 utterances have no hypothesis: 4-a, 5-0, 5-1, 5-2, 5-3 and 2 more" in message
    assert "1 utterances are not in the prepared set: strange" in message
    assert "2 utterances are there more than once: 1-a, 1-b" in message
    assert str(part) in message
    assert str(other) in message
    assert not (tmp_path / "dev").exists()
