"""Write the golden files of this folder with the real fairseq: tiny checkpoints and what fairseq computes with them.

fairseq cannot share an environment with this repository, so the script runs in one of its own::

    uv venv --python 3.11 /tmp/fairseq
    uv pip install --python /tmp/fairseq/bin/python fairseq-fixed==0.12.3.1 torch==2.8.0 torchaudio==2.8.0 \
        soundfile editdistance
    /tmp/fairseq/bin/python tests/data/fairseq/make_golden.py tests/data/fairseq

With files that asr_dro.bin.convert_wav2vec2 converted to folders and back, fairseq must compute the same::

    /tmp/fairseq/bin/python tests/data/fairseq/make_golden.py tests/data/fairseq --check <folder of .pt files>

``base`` and ``large`` are written by fairseq's own trainer (two updates of pretraining, two of CTC fine-tuning), so
that every object of a real file is in them. Afterwards all weights are moved by noise: a fresh bias is zero, and two
zeros that changed places would go unnoticed. The other files hold the same weights in other layouts. fairseq's trainer
does not draw the same numbers twice, so a ``.pt`` and its ``.npz`` belong together and all files are made anew at once.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from fairseq import checkpoint_utils, tasks  # type: ignore[import-not-found]
from omegaconf import OmegaConf

LENGTHS = (2480, 1710)  # samples: 31 and 20 frames, so that fairseq pads the one to an even number and not the other
COMMON = (
    "common.cpu=true distributed_training.distributed_world_size=1 optimizer=adam optimization.lr=[0.001] "
    "optimization.max_update=2 dataset.max_tokens=40000 dataset.num_workers=0 dataset.required_batch_size_multiple=1"
)
PRETRAINING = (
    "model=wav2vec2 ++model.encoder_layers=3 ++model.encoder_embed_dim=16 ++model.encoder_ffn_embed_dim=24 "
    "++model.encoder_attention_heads=2 ++model.quantize_targets=true ++model.final_dim=8 ++model.latent_vars=4 "
    "++model.latent_dim=6 ++model.conv_pos=6 ++model.conv_pos_groups=4 ++model.num_negatives=3 ++model.mask_length=2 "
    "++model.encoder_layerdrop=0.05 task=audio_pretraining task.max_sample_size=8000 task.min_sample_size=1000 "
    "criterion=wav2vec ++criterion.infonce=true lr_scheduler=fixed dataset.disable_validation=true"
)
ARCHITECTURES = {  # the two families of published models
    "base": "\"++model.conv_feature_layers='[(12, 10, 5)] + [(12, 4, 4)] * 2'\" ++task.normalize=false",
    "large": "\"++model.conv_feature_layers='[(12, 10, 5)] + [(10, 4, 4)] * 2'\" ++task.normalize=true "
    "++model.layer_norm_first=true ++model.extractor_mode=layer_norm ++model.conv_bias=true",
}
FINE_TUNING = (
    "model=wav2vec_ctc ++model.apply_mask=true ++model.mask_prob=0.5 ++model.mask_length=2 ++model.layerdrop=0.1 "
    "++model.mask_channel_prob=0.2 ++model.mask_channel_length=2 ++model.final_dropout=0.1 ++model.dropout=0.2 "
    "task=audio_finetuning ++task.labels=ltr criterion=ctc ++criterion.zero_infinity=true lr_scheduler=fixed "
    "checkpoint.best_checkpoint_metric=wer"
)


def write_corpus(folder: Path) -> None:
    """Write four clips of noise with letters as transcripts, as fairseq's manifests describe them."""
    generator = np.random.default_rng(0)
    rows = []
    for index in range(4):
        samples = generator.normal(0, 0.1, 8000 + 400 * index).astype(np.float32)
        soundfile.write(folder / f"{index}.wav", samples, 16_000)
        rows.append(f"{index}.wav\t{len(samples)}")
    for split in ("train", "valid"):
        (folder / f"{split}.tsv").write_text("\n".join([str(folder), *rows]) + "\n")
        (folder / f"{split}.ltr").write_text("a b |\n" * 4)
    (folder / "dict.ltr.txt").write_text("| 10\na 5\nb 4\nc 1\n")


def train(folder: Path, name: str, options: str) -> dict[str, Any]:
    """Run fairseq's trainer and return the checkpoint that it wrote."""
    command = Path(sys.executable).with_name("fairseq-hydra-train")
    save_dir = folder / name
    arguments = [f"task.data={folder}", f"checkpoint.save_dir={save_dir}", *shlex.split(f"{COMMON} {options}")]
    subprocess.run([str(command), *arguments], cwd=folder, check=True)
    checkpoint: dict[str, Any] = torch.load(save_dir / "checkpoint_last.pt", weights_only=False)
    return checkpoint


def move_by_noise(state: dict[str, torch.Tensor], seed: int) -> None:
    """Move every tensor in place, so that no bias is zero and no scale is one."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in state.values():
        tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.2)


def as_namespace(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the checkpoint as fairseq 0.10 wrote it: one flat argparse.Namespace, the pretraining's nested in it."""
    configuration = checkpoint["cfg"]
    arch = configuration["model"]["_name"]
    flat = {**configuration["task"], **configuration["model"], "arch": arch, "task": "audio_pretraining"}
    flat |= {"criterion": "ctc" if arch == "wav2vec_ctc" else "wav2vec", "lr": [0.001], "optimizer": "adam"}
    if arch == "wav2vec_ctc":
        inner = flat["w2v_args"]
        flat["task"] = "audio_finetuning"  # today's fairseq cannot build a CTC model on the task of 0.10
        nested = {**inner["task"], **inner["model"], "arch": "wav2vec2", "task": "audio_pretraining"}
        flat["w2v_args"] = argparse.Namespace(**{key: nested[key] for key in nested if key != "_name"})
    old = {key: value for key, value in checkpoint.items() if key not in {"cfg", "last_optimizer_state"}}
    return {
        **old,
        "args": argparse.Namespace(**{key: flat[key] for key in flat if key not in {"_name", "eval_wer_config"}}),
    }


def with_adapters(checkpoint: dict[str, Any], corpus: Path) -> dict[str, Any]:
    """Return a checkpoint like those of MMS: an adapter in every layer, weights of two languages beside the model."""
    made = {key: value for key, value in checkpoint.items() if key != "last_optimizer_state"}
    made["cfg"] = copy.deepcopy(made["cfg"])
    outer = made["cfg"]["model"]
    outer["w2v_args"]["model"] |= {"conv_feature_layers": "[(16, 10, 5)] + [(16, 4, 4)] * 2"}  # no projection
    for model in (outer, outer["w2v_args"]["model"]):
        model |= {"layer_type": "trf_adp", "adp_num": 1, "adp_dim": 4, "adp_act_fn": "relu", "adp_trf_idx": "all"}
    made["cfg"]["task"]["data"] = outer["data"] = str(corpus)
    configuration = OmegaConf.create(made["cfg"])
    torch.manual_seed(5)
    task = tasks.setup_task(configuration.task, from_checkpoint=True)
    made["model"] = task.build_model(configuration.model, from_checkpoint=True).state_dict()
    move_by_noise(made["model"], 6)
    made["adapter"] = {}
    for seed, language in enumerate(("eng", "fra")):
        own = {
            k: v.clone() for k, v in made["model"].items() if "adapter_layer" in k or k.startswith("w2v_encoder.proj")
        }
        move_by_noise(own, 7 + seed)
        made["adapter"][language] = {"model": own, "task_state": made["task_state"]}
    return made


def run(model: Any, audio: torch.Tensor, padding: torch.Tensor | None, corpus_key: list[int] | None) -> dict[str, Any]:
    """Return what fairseq computes on every layer, batch first."""
    fine_tuned = hasattr(model, "w2v_encoder")
    wav2vec2 = model.w2v_encoder.w2v_model if fine_tuned else model
    with torch.no_grad():
        result = wav2vec2.extract_features(audio, padding, mask=False, corpus_key=corpus_key)
        arrays = {
            "cnn": wav2vec2.feature_extractor(audio).transpose(1, 2),
            "features": result["features"],
            "final": result["x"],
        }
        for index, (hidden, _, _) in enumerate(result["layer_results"]):
            arrays[f"layer{index}"] = hidden.transpose(0, 1)
        if fine_tuned:
            output = model.w2v_encoder(
                source=audio, padding_mask=padding, **({"corpus_key": corpus_key} if corpus_key else {})
            )
            arrays["logits"] = output["encoder_out"].transpose(0, 1)
    return {key: value.numpy() for key, value in arrays.items()}


def outputs(path: Path, corpus: Path, language: str = "fra") -> dict[str, Any]:
    """Return what fairseq, having loaded ``path``, computes for a padded batch and for its second utterance alone."""
    models, _, _ = checkpoint_utils.load_model_ensemble_and_task([str(path)], arg_overrides={"data": str(corpus)})
    model = models[0].eval()
    corpus_key = [0, 0] if any("adapter_layer" in name for name, _ in model.named_parameters()) else None
    adapters = torch.load(path, weights_only=False).get("adapter")
    if adapters:  # as fairseq's examples/speech_recognition/new/infer.py does
        model.load_state_dict(adapters[language]["model"], strict=False)
    audio = 0.3 * torch.randn(2, LENGTHS[0], generator=torch.Generator().manual_seed(3))
    audio[1, LENGTHS[1] :] = 0
    padding = torch.arange(LENGTHS[0]) >= torch.tensor(LENGTHS)[:, None]
    arrays = {f"batch.{key}": value for key, value in run(model, audio, padding, corpus_key).items()}
    alone = run(model, audio[1:, : LENGTHS[1]], None, corpus_key and corpus_key[:1])
    arrays |= {f"alone.{key}": value for key, value in alone.items()}
    return {"audio": audio.numpy(), "lengths": np.array(LENGTHS), **arrays}


def write(checkpoint: dict[str, Any], path: Path, corpus: Path) -> None:
    """Write a checkpoint in both layouts and what fairseq computes with it, which is the same for both."""
    torch.save(checkpoint, path)
    arrays = outputs(path, corpus)
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    old = as_namespace(checkpoint)
    old_path = path.with_name(f"{path.stem}_args.pt")
    torch.save(old, old_path, _use_new_zipfile_serialization="large" in path.stem)
    check = corpus / "check.pt"
    if (
        "w2v_args" in old["args"]
    ):  # today's fairseq cannot read a nested namespace: it may look into the pretraining's file
        old["args"].w2v_args, old["args"].w2v_path = None, str(old_path).replace("_ctc", "")
    torch.save(old, check)
    for key, value in outputs(check, corpus).items():
        np.testing.assert_array_equal(value, arrays[key])


def make(out: Path, corpus: Path) -> None:
    """Train, move, save in every layout, and record what fairseq computes with each file."""
    for seed, (name, architecture) in enumerate(ARCHITECTURES.items()):
        pretrained = train(corpus, name, f"{PRETRAINING} {architecture}")
        normalize = f"++task.normalize={str(pretrained['cfg']['task']['normalize']).lower()}"
        path = corpus / name / "checkpoint_last.pt"
        tuned = train(corpus, f"{name}_ctc", f"{FINE_TUNING} {normalize} ++model.w2v_path={path}")
        if name == "large":  # the state of the optimiser makes a file thrice as large: one example is enough
            del pretrained["last_optimizer_state"]
        del tuned["last_optimizer_state"]
        for checkpoint, suffix in ((pretrained, ""), (tuned, "_ctc")):
            move_by_noise(checkpoint["model"], seed)
            write(checkpoint, out / f"{name}{suffix}.pt", corpus)
    pretrained["cfg"]["task"]["multiple_train_files"] = None  # a key of XLS-R that the public fairseq refuses
    torch.save({**pretrained, "cfg": OmegaConf.create(pretrained["cfg"])}, out / "large_omegaconf.pt")
    torch.save(with_adapters(tuned, corpus), out / "adapters.pt")
    np.savez_compressed(out / "adapters.npz", **outputs(out / "adapters.pt", corpus))


def main() -> None:
    """Make the files, or check converted ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="this folder")
    parser.add_argument("--check", type=Path, help="folder of converted files, named as the golden ones")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # fairseq runs the pickles of its files; these are our own
    with tempfile.TemporaryDirectory() as temporary:
        corpus = Path(temporary)
        write_corpus(corpus)
        if arguments.check is None:
            make(out, corpus)
            return
        for path in sorted(arguments.check.resolve().glob("*.pt")):
            expected = np.load(out / f"{path.stem}.npz")
            for key, value in outputs(path, corpus).items():
                np.testing.assert_array_equal(value, expected[key])
            logging.getLogger("make_golden").warning("%s: fairseq computes the same, to the bit", path.name)


if __name__ == "__main__":
    main()
