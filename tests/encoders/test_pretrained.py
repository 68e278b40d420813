"""Finding pretrained weights: paths, the hub's cache, a hub on this machine, and what is said when there is nothing."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from huggingface_hub import constants

from asr_dro.config import REPOSITORY
from asr_dro.encoders.pretrained import (
    Checkpoint,
    add_architectures,
    find_checkpoint,
    find_checkpoints,
    find_network,
    wanted_files,
    without_checkpoints,
)
from asr_dro.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "README.md": b"words",
    "config.json": b'{"model_type": "wav2vec2"}',
    "preprocessor_config.json": b"{}",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"the same weights",
}


def write_folder(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(FILES[name])
    return folder


def write_cache(cache: Path, *names: str) -> Path:
    """Write the hub's cache as its library lays it out."""
    repository = cache / "models--some--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return write_folder(repository / "snapshots" / COMMIT, *names)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_folders_and_files_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "xlsr", "config.json", "pytorch_model.bin")
    (tmp_path / "xlsr.pt").touch()
    assert find_checkpoint(str(folder)) == Checkpoint(str(folder), folder)
    assert find_checkpoint(str(tmp_path / "xlsr.pt")).path == tmp_path / "xlsr.pt"


def test_a_folder_with_the_form_of_a_hub_name_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "some" / "model", "config.json", "model.safetensors")
    monkeypatch.chdir(tmp_path)
    assert find_checkpoint("some/model").commit is None


@pytest.mark.parametrize(
    ("names", "lacks"),
    [
        ((), ["config.json", "model.safetensors"]),
        (("config.json",), ["model.safetensors"]),
        (("model.safetensors",), ["config.json"]),
    ],
)
def test_a_folder_that_lacks_files_is_refused(tmp_path: Path, names: tuple[str, ...], lacks: list[str]) -> None:
    write_folder(tmp_path / "half", *names)
    with pytest.raises(UserError, match="no complete model") as caught:
        find_checkpoint(str(tmp_path / "half"))
    assert all(name in str(caught.value) for name in lacks)


@pytest.mark.parametrize("name", ["/nowhere/xlsr", "xlsr", "models/deep/xlsr", "downloads/xlsr.pt", "a b/c", ""])
def test_what_is_neither_path_nor_hub_name_never_asks_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked the hub"))
    monkeypatch.chdir("/")
    if name == "":
        with pytest.raises(UserError):
            find_checkpoint(name)
        return
    with pytest.raises(UserError, match="does not exist"):
        find_checkpoint(name)


@pytest.mark.parametrize("name", ["some/model", f"some/model@{COMMIT}", "some/model@main"])
def test_the_cache_needs_no_network(tmp_path: Path, name: str, offline: None) -> None:
    snapshot = write_cache(tmp_path, "config.json", "model.safetensors")
    assert find_checkpoint(name, cache=tmp_path) == Checkpoint(name, snapshot, COMMIT)


def test_offline_it_says_what_to_fetch_and_where_to_put_it(tmp_path: Path, offline: None) -> None:
    write_cache(tmp_path, "config.json")  # an interrupted download is not enough
    for name in (f"some/model@{COMMIT}", "other/model"):
        with pytest.raises(UserError) as caught:
            find_checkpoint(name, "frontend_conf", cache=tmp_path)
        message = str(caught.value)
        repository, _, revision = name.partition("@")
        assert f"https://huggingface.co/{repository}/tree/{revision or 'main'}" in message
        for part in ("config.json", "preprocessor_config.json", "model.safetensors", str(tmp_path), "HF_HUB_OFFLINE"):
            assert part in message
        assert '--train-args "--frontend_conf checkpoint=FOLDER"' in message


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as a download needs."""

    fetched: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        status, body = 404, b"{}"
        if path == f"/api/models/some/model/tree/{COMMIT}":
            entries = [{"type": "file", "path": name, "size": len(body), "oid": name} for name, body in FILES.items()]
            status, body = 200, json.dumps(entries).encode()
        elif path == f"/api/models/some/model/revision/{COMMIT}":
            siblings = [{"rfilename": name} for name in FILES]
            status, body = 200, json.dumps({"id": "some/model", "sha": COMMIT, "siblings": siblings}).encode()
        elif path.startswith(f"/some/model/resolve/{COMMIT}/"):
            name = path.rsplit("/", maxsplit=1)[1]
            status, body = 200, FILES[name]
            self.fetched.append(name)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hash(body) & 0xFFFFFF:x}"')
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None: ...


@pytest.fixture
def hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hub.fetched.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(name: str, endpoint: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Look for a checkpoint in a process whose hub is ``endpoint``."""
    code = (
        "import sys; from asr_dro.errors import run_main; from asr_dro.encoders.pretrained import find_checkpoint\n"
        "run_main(lambda: print(find_checkpoint(sys.argv[1]).path))"
    )
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "*", "no_proxy": "*"}
    environment.pop("HF_HUB_OFFLINE", None)
    return subprocess.run(
        [sys.executable, "-c", code, name], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def test_the_hub_is_asked_once_and_for_one_copy_of_the_weights(hub: str, tmp_path: Path) -> None:
    fetched = []
    for _ in range(2):
        result = ask(f"some/model@{COMMIT}", hub, tmp_path)
        assert result.returncode == 0, result.stderr
        folder = Path(result.stdout.strip())
        assert folder.name == COMMIT
        assert (folder / "model.safetensors").read_bytes() == b"weights"
        fetched.append(len(Hub.fetched))
    assert fetched[0] == fetched[1], "the second time it is in the cache"
    assert set(Hub.fetched) == {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert {path.name for path in folder.iterdir()} == set(Hub.fetched)


def test_a_model_that_the_hub_does_not_have_is_an_error_of_the_user(hub: str, tmp_path: Path) -> None:
    result = ask("some/other", hub, tmp_path)
    assert result.returncode == 2
    assert "cannot be fetched" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (["pytorch_model.bin", "config.json"], ["config.json", "pytorch_model.bin"]),
        (
            ["config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
             "model-00002-of-00002.safetensors", "pytorch_model.bin"],
            ["config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
             "model-00002-of-00002.safetensors"],
        ),
    ],
)  # fmt: skip
def test_weights_are_wanted_once(there: list[str], wanted: list[str]) -> None:
    assert wanted_files(there) == wanted


def test_all_missing_checkpoints_of_a_run_are_named() -> None:
    config = {"frontend_conf": {"checkpoint": "/no/a"}, "encoder_conf": {"checkpoint": "/no/b"}, "decoder_conf": {}}
    with pytest.raises(UserError) as caught:
        find_checkpoints(config)
    assert "frontend_conf: checkpoint '/no/a'" in str(caught.value)
    assert "encoder_conf: checkpoint '/no/b'" in str(caught.value)


def test_a_network_is_what_is_described_or_else_what_the_checkpoint_says(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "xlsr", "config.json", "model.safetensors")

    def architecture_of(checkpoint: Path) -> dict[str, object]:
        return {"of": checkpoint}

    described = {"of": "words"}
    assert find_network(str(folder), None, architecture_of) == (folder, {"of": folder})
    assert find_network(str(folder), described, architecture_of) == (folder, described)
    path, given = find_network(None, described, architecture_of)
    assert (path, given) == (None, described) and given is not described
    with pytest.raises(UserError, match="decoder_conf needs a checkpoint: a folder"):
        find_network(None, None, architecture_of, option="decoder_conf")
    with pytest.raises(UserError, match="frontend_conf: checkpoint '/no' does not exist; give a folder"):
        find_network("/no", described, architecture_of, option="frontend_conf")


def test_descriptions_go_in_and_names_of_weights_out() -> None:
    class Network:
        @staticmethod
        def architecture_of(checkpoint: Path) -> dict[str, object]:
            return {"config": {"hidden_size": 7}, "from": str(checkpoint)}

    config = {
        "frontend": "network",
        "frontend_conf": {"checkpoint": "a/b", "x": 1},
        "preencoder": "linear",
        "preencoder_conf": {"output_size": 3},
        "encoder": "plain",
        "encoder_conf": {"checkpoint": "c/d"},
    }
    found = {"frontend_conf": Checkpoint("a/b", Path("/a")), "encoder_conf": Checkpoint("c/d", Path("/c"))}
    described = add_architectures(config, {"frontend": {"network": Network}, "encoder": {"plain": object}}, found)
    assert described["frontend_conf"]["architecture"] == {"config": {"hidden_size": 7}, "from": "/a"}
    assert described["preencoder_conf"] == {"input_size": 7, "output_size": 3}
    assert "architecture" not in config["frontend_conf"], "the run's own configuration stays as it is"
    bare = without_checkpoints(described)
    assert "checkpoint" not in bare["frontend_conf"]
    assert bare["frontend_conf"]["x"] == 1
    assert bare["encoder_conf"] == {"checkpoint": "c/d"}, "without a description the weights are still needed"
