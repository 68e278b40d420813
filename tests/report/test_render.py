from __future__ import annotations

import itertools
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from asr_dro.data.out_of_vocabulary import OutOfVocabulary
from asr_dro.errors import UserError
from asr_dro.report.render import make_report, read_fingerprint
from asr_dro.scoring.stage import score_all
from tests.report.experiment import HOSTILE_TEXT, MINI, Experiment, many_languages, write_experiment

VOID = {"meta", "link", "input", "wbr", "br", "img"}
SECTIONS = ["languages", "training", "weights", "confusion", "utterances", "run"]
MAX_BYTES = 2_000_000


class Page(HTMLParser):
    """Parse a page, checking that every element is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else at {self.getpos()}"

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def report(made: Experiment) -> str:
    score_all(made.data, made.exp / "decode_greedy")
    path, is_new = make_report(made.data, made.exp, "greedy")
    assert is_new
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the report of an experiment with HTML in its texts."""
    return report(write_experiment(tmp_path_factory.mktemp("hostile"), ("ara", "fin", "hin"), hostile=True))


def test_structure_is_sound(hostile: str) -> None:
    page = Page(hostile)
    assert [element["id"] for element in page.of("section")] == SECTIONS
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attribute in ("aria-labelledby", "data-filter", "href"):
        targets = [value for _, attributes in page.elements if (value := attributes.get(attribute))]
        inside = {target.removeprefix("#") for target in targets if attribute != "href" or target.startswith("#")}
        assert inside
        assert inside <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.of("svg"))


def test_nothing_is_loaded_from_elsewhere(hostile: str) -> None:
    page = Page(hostile)
    links = [attributes[name] for _, attributes in page.elements for name in ("src", "href") if name in attributes]
    assert all(not re.match(r"[a-z+.-]+:|//", link or "") or link == "data:," for link in links)
    assert "@import" not in hostile
    assert "url(" not in hostile
    policy = next(meta["content"] for meta in page.of("meta") if "http-equiv" in meta)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_texts_are_escaped(hostile: str) -> None:
    page = Page(hostile)
    assert len(page.of("script")) == 1
    assert page.of("img") == []
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert HOSTILE_TEXT not in hostile
    assert "{{" in hostile  # a template in a transcript is text
    assert "&lt;/pre&gt;&lt;script&gt;" in hostile  # the configuration, verbatim


def test_audio_is_linked_from_the_report(hostile: str) -> None:
    links = [link for link in Page(hostile).of("a") if link.get("class") == "listen"]
    assert links
    assert all((link["href"] or "").startswith("../../data/audio%20dir/") for link in links)
    assert all((link["aria-label"] or "").startswith("Audio of ") for link in links)


def test_texts_choose_their_own_direction(hostile: str) -> None:
    texts = [element for element in Page(hostile).of("dd") if "dir" in element]
    assert {element["dir"] for element in texts} == {"auto"}


def test_a_hundred_and_forty_three_languages(tmp_path: Path) -> None:
    html = report(write_experiment(tmp_path, many_languages(143), n_utterances=4))
    assert len(html.encode()) < MAX_BYTES
    assert html.count("<tr data-item") >= 143
    Page(html)


@pytest.mark.parametrize(
    "absent",
    [
        ["exp/train.jsonl", "exp/groups.jsonl"],
        ["exp/train.yaml", "exp/environment.json", "data/quarantine.tsv"],
        ["data/train/utt2dur"],
        ["exp/decode_greedy/dev/scores.json"],
    ],
)
def test_what_is_optional_may_be_absent(tmp_path: Path, absent: list[str]) -> None:
    made = write_experiment(tmp_path, MINI[:2], n_utterances=3)
    score_all(made.data, made.exp / "decode_greedy")
    for name in absent:
        root, _, rest = name.partition("/")
        ({"exp": made.exp, "data": made.data}[root] / rest).unlink()
    path, _ = make_report(made.data, made.exp, "greedy")
    html = path.read_text(encoding="utf-8")
    Page(html)
    for name in ("train.jsonl", "groups.jsonl", "train.yaml", "quarantine.tsv"):
        is_said = f"No <code>{name}</code>" in html
        assert is_said == any(item.endswith(name) for item in absent)


def test_only_dev_decoded_is_enough(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, MINI[:2], n_utterances=3)
    (made.exp / "decode_greedy" / "test" / "text").unlink()
    assert "CER on dev, %" in report(made)


@pytest.mark.parametrize("task", ["asr", "lid"])
def test_tasks(tmp_path: Path, task: str) -> None:
    made = write_experiment(tmp_path, MINI[:3], n_utterances=4)
    (made.data / "data.yaml").write_text(f"task: {task}\n", encoding="utf-8")
    html = report(made)
    Page(html)
    assert ("have no language tag" in html) == (task == "asr")
    assert ("Language identified" in html) == (task == "lid")
    assert ("there are no texts to compare" in html) == (task == "lid")
    assert ("Mean LID error" in html, "Mean CER" in html) == (task == "lid", task == "asr")
    assert "taken for no language" not in html


def test_characters_out_of_the_vocabulary_are_listed_and_escaped(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, MINI[:2], n_utterances=3)
    counts = OutOfVocabulary("abc")
    counts.add("fin", "dev", "a<b>\u202e<")
    counts.write(made.data / "oov.tsv")
    html = report(made)
    Page(html)
    assert "<bdi>U+003C &lt; 2, U+003E &gt; 1, U+202E 1</bdi>" in html
    assert "\u202e" not in html
    counts.add("fin", "dev", "y")
    counts.write(made.data / "oov.tsv")
    assert "U+0079 y 1" in report(made)


def test_perfect_hypotheses_leave_nothing_to_complain_about(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, MINI[:2], n_utterances=3)
    for split in ("dev", "test"):
        lines = (made.data / split / "text").read_text(encoding="utf-8").splitlines()
        tagged = [f"{line.partition(' ')[0]} [{line[:3]}] {line.partition(' ')[2]}\n" for line in lines]
        (made.exp / "decode_greedy" / split / "text").write_text("".join(tagged), encoding="utf-8")
    html = report(made)
    assert "No utterance of test has an error" in html
    assert "Every utterance of test was given its own language" in html


def test_nothing_recognised_at_all(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, MINI[:2], n_utterances=3)
    for split in ("dev", "test"):
        lines = (made.data / split / "text").read_text(encoding="utf-8").splitlines()
        empty = "".join(f"{line.partition(' ')[0]} \n" for line in lines)
        (made.exp / "decode_greedy" / split / "text").write_text(empty, encoding="utf-8")
    html = report(made)
    assert "<em>nothing</em>" in html
    Page(html)


def test_a_report_is_made_again_only_if_something_changed(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, MINI[:2], n_utterances=3)
    html = report(made)
    path = made.exp / "report.html"
    before = path.stat().st_mtime_ns
    assert make_report(made.data, made.exp, "greedy") == (path, False)
    assert path.stat().st_mtime_ns == before
    with open(made.exp / "train.yaml", "a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert make_report(made.data, made.exp, "greedy") == (path, True)
    assert path.read_text(encoding="utf-8") != html


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (report(write_experiment(tmp_path / name, MINI[:2], n_utterances=3)) for name in ("one", "two"))
    assert read_fingerprint(tmp_path / "none.html") is None
    strip = re.compile(r'content="\w{32}"|/[^<" ]*/(one|two)/')  # audio lies elsewhere, and so the fingerprint differs
    assert strip.sub("", first) == strip.sub("", second)


def test_damaged_inputs_are_named(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, MINI[:2], n_utterances=3)
    with pytest.raises(UserError, match="run stage 6"):
        make_report(made.data, made.exp, "greedy")
    with pytest.raises(UserError, match="run stage 5"):
        make_report(made.data, made.exp, "beam")
    score_all(made.data, made.exp / "decode_greedy")
    for name, content in (("environment.json", "{"), ("train.jsonl", "{\n"), ("train.yaml", "a: [")):
        path = made.exp / name
        good = path.read_text(encoding="utf-8")
        path.write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=name):
            make_report(made.data, made.exp, "greedy")
        path.write_text(good, encoding="utf-8")


def test_a_log_line_cut_off_by_a_kill_does_no_harm(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, MINI[:2], n_utterances=3)
    with open(made.exp / "groups.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"update": 301, "q": {}})[:-5])
    assert "300 updates" in report(made)


def test_a_report_of_many_languages_is_quick(tmp_path: Path) -> None:
    made = write_experiment(tmp_path, many_languages(143), n_utterances=4)
    score_all(made.data, made.exp / "decode_greedy")
    start = time.process_time()
    make_report(made.data, made.exp, "greedy")
    assert time.process_time() - start < 3.0
