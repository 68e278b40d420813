"""Routes to a wav2vec 2.0 network that the benchmark of pretrained encoders compares; see pretrained_cost.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EQUAL = ("xlsr", "xlsr_ctc_dro", "weighted_sum", "s3prl", "trainer")
RECIPES = ("xlsr_recipe", "s3prl_recipe")
TRAINING_ONLY = ("xlsr_ctc_dro", *RECIPES)  # decoding is that of another route
BATCHES_S = {"even": (8.0, 8.0, 8.0, 8.0), "ragged": (12.0, 8.0, 5.0, 2.0)}
SAMPLE_RATE_HZ = 16_000
LABELS_PER_S = 12
GROUPS = 6


@dataclass(frozen=True)
class Options:
    """What every route is built with; the fields are the options of the command line."""

    device: str
    layers: int
    width: int
    tokens: int
    precision: str
    checkpoint: str


@dataclass(frozen=True)
class Route:
    """One way to train and decode.

    Attributes:
        step: One training step on a batch, given by its name.
        decode: Greedy hypotheses of a batch, given by its name.
        losses: The sum of a batch's CTC losses, given its name, without dropout.
    """

    step: Callable[[str], object]
    decode: Callable[[str], object]
    losses: Callable[[str], float]


def make_checkpoint(options: Options) -> None:
    """Write the folder of the network with random weights that all routes load."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        hidden_size=options.width,
        num_hidden_layers=options.layers,
        num_attention_heads=options.width // 64,
        intermediate_size=4 * options.width,
        conv_dim=(options.width // 2,) * 7,
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        vocab_size=options.tokens,
        pad_token_id=0,
    )
    Wav2Vec2ForCTC(config).save_pretrained(options.checkpoint)
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)  # type: ignore[no-untyped-call]
    extractor.save_pretrained(options.checkpoint)


def make_batch(options: Options, name: str) -> dict[str, Any]:
    """Return a batch of noise and random labels as the trainer's loader makes it, on the CPU."""
    import torch

    generator = torch.Generator().manual_seed(len(name))
    seconds = torch.tensor(BATCHES_S[name])
    samples, labels = (seconds * SAMPLE_RATE_HZ).long(), (seconds * LABELS_PER_S).long()
    speech = 0.05 * torch.randn(len(samples), int(samples.max()), generator=generator)
    text = torch.randint(1, options.tokens, (len(labels), int(labels.max())), generator=generator)
    return {
        "speech": speech.masked_fill(torch.arange(speech.size(1)) >= samples[:, None], 0.0),
        "speech_lengths": samples,
        "text": text.masked_fill(torch.arange(text.size(1)) >= labels[:, None], -1),
        "text_lengths": labels,
        "group": torch.zeros(len(samples), 1, dtype=torch.int64),
        "unreadable": torch.zeros(len(samples), dtype=torch.bool),
        "visit_fraction": 1.0,
        "n_unreadable": 0,
        "empty": False,
    }


def our_configuration(route: str, options: Options) -> dict[str, Any]:
    """Return the configuration of a route of ours, with what makes work equal."""
    from asr_dro.config import compose_run

    model, part = ("xlsr", "encoder") if route.startswith("xlsr") else ("xlsr_s3prl_linear", "frontend")
    changes = [f"--{part}_conf checkpoint='{options.checkpoint}' --precision {options.precision} --num_workers 0"]
    if route not in RECIPES:
        networks = {"xlsr": "encoder.model", "s3prl": "frontend.upstream.model"}
        network = networks.get(route.split("_", maxsplit=1)[0], "frontend.model")
        changes.append(f"--freeze [{network}.feature_extractor.*]")
        changes += [f"--encoder_conf.{key} null" for key in ("time_mask", "channel_mask", "dropout") if model == "xlsr"]
        changes += ["--specaug null"] if model != "xlsr" else []
    changes += ["--frontend weighted_sum"] if route == "weighted_sum" else []
    objective = "ctc_dro" if route == "xlsr_ctc_dro" else "ctc"
    return compose_run(model, objective, seed=1, train_args=" ".join(changes))


def build_model(config: dict[str, Any], options: Options) -> tuple[Any, Any]:
    """Return the model and the arguments that it and its optimiser are built from, as stage 4 makes them."""
    import torch

    from asr_dro.encoders.pretrained import add_architectures, find_checkpoints
    from asr_dro.task import GroupRobustASRTask, choices

    arguments = GroupRobustASRTask.get_parser().parse_args([])
    described = add_architectures(
        config, {name: table.classes for name, table in choices().items()}, find_checkpoints(config)
    )
    for key, value in described.items():
        if key not in ("objective", "objective_conf"):
            setattr(arguments, key, value)
    arguments.token_list = ["<blank>", *(f"t{index}" for index in range(1, options.tokens - 1)), "<sos/eos>"]
    arguments.model_conf = {
        "objective": config["objective"],
        "objective_conf": config.get("objective_conf", {}),
        "group_names": [f"group{index}" for index in range(GROUPS)],
        "ctc_weight": 1.0,
        "precision": config["precision"],
    }
    torch.manual_seed(0)
    return GroupRobustASRTask.build_model(arguments), arguments


def our_route(route: str, options: Options) -> Route:
    """Build a route of ours: model, optimiser, freezing and step are the trainer's."""
    import torch
    from torch.amp.grad_scaler import GradScaler
    from transformers import Wav2Vec2ForCTC

    from asr_dro.task import GroupRobustASRTask
    from asr_dro.training.epoch import EpochOptions, forward_backward, update
    from asr_dro.training.freezing import FreezeSchedule
    from asr_dro.training.state import TrainingState

    config = our_configuration(route, options)
    model, arguments = build_model(config, options)
    head = Wav2Vec2ForCTC.from_pretrained(options.checkpoint).lm_head
    model.ctc.ctc_lo.load_state_dict(head.state_dict())
    device = torch.device(options.device)
    model.to(device)
    freezing = FreezeSchedule(model, config.get("freeze", []))
    freezing.apply(0)
    (optimizer,) = GroupRobustASRTask.build_optimizers(arguments, model)
    scaler = GradScaler("cuda") if options.precision == "fp16" else None
    state = TrainingState(model, optimizer, None, scaler)
    epoch = EpochOptions(model, device, batches_per_update=1, grad_clip=config["grad_clip"], main_process=True)
    batches = {name: make_batch(options, name) for name in BATCHES_S}

    def step(name: str) -> None:
        if not model.training:
            freezing.apply(0)
        forward_backward(state, dict(batches[name]), epoch)
        update(state, epoch.grad_clip)

    def decode(name: str) -> object:
        model.eval()
        speech, lengths = (batches[name][key].to(device) for key in ("speech", "speech_lengths"))
        return model.greedy(speech, lengths)

    def losses(name: str) -> float:
        batch = {key: value.to(device) if hasattr(value, "to") else value for key, value in batches[name].items()}
        return float(model.eval().evaluate(batch)[0].sum())

    return Route(step, decode, losses)


def trainer_route(options: Options) -> Route:
    """Build the route of transformers' Trainer, whose loop does with a batch what ``step`` does."""
    import torch
    from transformers import Trainer, TrainingArguments, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    off = ("feat_proj_dropout", "hidden_dropout", "attention_dropout", "activation_dropout", "final_dropout")
    more = {"layerdrop": 0.0, "mask_time_prob": 0.0, "mask_feature_prob": 0.0, "ctc_loss_reduction": "sum"}
    settings: dict[str, Any] = {**dict.fromkeys(off, 0.0), **more, "ctc_zero_infinity": True}
    model: Any = Wav2Vec2ForCTC.from_pretrained(options.checkpoint, **settings, attn_implementation="sdpa")
    model.freeze_feature_encoder()
    half: dict[str, Any] = {"bf16": options.precision == "bf16", "fp16": options.precision == "fp16"}
    arguments = TrainingArguments(
        str(Path(options.checkpoint) / "trainer"),
        use_cpu=options.device == "cpu",
        max_grad_norm=5.0,
        learning_rate=1e-4,
        report_to="none",
        **half,
    )
    trainer: Any = Trainer(model, arguments)
    trainer.create_optimizer_and_scheduler(10_000)
    trainer.current_gradient_accumulation_steps = 1
    model, optimizer = trainer.accelerator.prepare(model, trainer.optimizer)
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(options.checkpoint)
    batches = {}
    for name in BATCHES_S:
        batch = make_batch(options, name)
        waveforms = [row[:length].numpy() for row, length in zip(batch["speech"], batch["speech_lengths"], strict=True)]
        labels = batch["text"].masked_fill(batch["text"] < 0, -100)
        inputs = extractor(waveforms, sampling_rate=SAMPLE_RATE_HZ, padding=True, return_tensors="pt")
        batches[name] = {**inputs, "labels": labels}

    def step(name: str) -> None:
        trainer.training_step(model, dict(batches[name]))
        trainer.accelerator.clip_grad_norm_(model.parameters(), arguments.max_grad_norm)
        optimizer.step()
        trainer.lr_scheduler.step()
        model.zero_grad()

    @torch.no_grad()
    def forward(name: str, *, labels: bool) -> Any:
        model.eval()
        inputs = {key: value.to(options.device) for key, value in batches[name].items() if labels or key != "labels"}
        return model(**inputs)

    def decode(name: str) -> object:
        best = forward(name, labels=False).logits.argmax(dim=-1).cpu()
        return [[token for token in row.unique_consecutive().tolist() if token] for row in best]

    return Route(step, decode, lambda name: float(forward(name, labels=True).loss))


def build_route(route: str, options: Options) -> Route:
    """Build a route by its name."""
    return trainer_route(options) if route == "trainer" else our_route(route, options)
