"""The acoustic model: ESPnet's, with losses per utterance and a group-robust objective on top.

Shapes: ``B`` utterances, ``N`` samples, ``T`` encoder frames, ``L`` labels, ``V`` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from espnet2.asr.espnet_model import ESPnetASRModel
from torch import Tensor
from torch.nn import functional

from asr_dro.data.tokens import is_whisper_vocabulary
from asr_dro.decoding.greedy import ctc_greedy
from asr_dro.encoders.frames import chain, shortest_samples, use_true_masks
from asr_dro.errors import UserError
from asr_dro.objectives import build_objective
from asr_dro.objectives.feasibility import ctc_infeasible
from asr_dro.training.precision import autocast, full_precision, is_signal_processing


class GroupRobustASRModel(ESPnetASRModel):  # type: ignore[misc]  # ESPnet has no type information
    """``ESPnetASRModel`` whose branches return one loss per utterance; the objective turns them into a scalar.

    Args:
        objective: Name of the objective (``asr_dro.objectives``).
        objective_conf: Options of the objective.
        group_names: Names of the groups; the position is the index in the batch field ``group``.
        precision: Of the forward pass, in training, on dev and in decoding: ``fp32``, ``bf16`` or ``fp16``. Features
            of signal processing and losses are fp32 whatever it is.
        lsm_weight: Share of each target of ESPnet's decoder that is spread over all tokens, in training only.
        **kwargs: Arguments of ``ESPnetASRModel``.
    """

    def __init__(
        self,
        *,
        objective: str,
        objective_conf: dict[str, Any],
        group_names: Sequence[str],
        precision: str = "fp32",
        lsm_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        # ESPnet's own CER leaves out spaces and decodes padding; the trainer measures it properly.
        super().__init__(report_cer=False, report_wer=False, **kwargs)
        self.group_names = tuple(group_names)
        self.precision = precision
        self.objective = build_objective(objective, self.group_names, **objective_conf)
        use_true_masks(self)
        if self.decoder is not None:
            self.decoder.use_tokens(self.token_list)
            if lsm_weight:  # Whisper's has an option of its own
                self.decoder.label_smoothing = lsm_weight
        elif is_whisper_vocabulary(self.token_list):
            raise UserError("CTC has no use for Whisper's tokens; prepare the data with another --data-conf")
        self.lengths = chain([self.frontend, self.preencoder, self.encoder, self.postencoder])
        self.shortest_samples = shortest_samples(self.lengths) if self.lengths is not None else 1

    def output_lengths(self, samples: Tensor) -> Tensor | None:
        """Return the frames (B,) that the encoder makes of so many samples (B,); None if no rule is known."""
        return None if self.lengths is None else self.lengths(samples.clamp(min=self.shortest_samples))

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of everything that runs in the model's precision."""
        return autocast(self.precision, next(self.parameters()).device)

    def forward(self, **batch: Any) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Compute the training loss of a batch.

        Args:
            **batch: ``speech`` (B, N), ``speech_lengths`` (B,), ``text`` (B, L) token indices, ``text_lengths`` (B,),
                ``group`` (B, 1) group indices; ``unreadable`` (B,): whose audio could not be read;
                ``visit_fraction`` (float): size relative to a full batch;
                ``empty`` (bool): the one utterance only stands in for an empty slice of the batch and does not count.

        Returns:
            Scalar loss; statistics: raw ``losses`` (B,), ``infeasible`` (B,); this process's weight in
            the mean over processes.
        """
        losses, infeasible = self.utterance_losses(batch)
        unused = losses.sum() * 0.0 if batch["empty"] else 0.0  # every process must have a gradient of every parameter
        count = 0 if batch["empty"] else len(losses)
        losses, infeasible = losses[:count], infeasible[:count]
        loss = unused + self.objective(
            losses,
            batch["group"][:count, 0],
            lengths=batch["text_lengths"][:count],
            infeasible=infeasible,
            visit_fraction=batch["visit_fraction"],
        )
        weight = self.objective.batch_weight(losses, infeasible)
        return loss, {"losses": losses.detach(), "infeasible": infeasible}, weight

    def utterance_losses(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the loss of each utterance (B,) and whether its labels do not fit its frames, or it has no audio (B,).

        The loss is CTC's, or the cross-entropy of the decoder, or of both ``ctc_weight`` times the one and the rest the
        other; an utterance that does not fit one of them is left out.
        """
        names = ("speech", "speech_lengths", "text", "text_lengths")
        self._infeasible = batch["unreadable"]
        with self.autocast():
            losses, _, _ = super().forward(**{name: batch[name] for name in names})
        return losses, self._infeasible

    @torch.no_grad()
    def evaluate(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor, list[list[int]]]:
        """Return losses (B,), infeasible utterances (B,) and greedy hypotheses in one pass; eval mode only."""
        assert not self.training, "evaluate() needs eval mode: dropout and SpecAugment must be off"
        self._hypotheses: list[list[int]] = [[] for _ in batch["text_lengths"]]
        losses, infeasible = self.utterance_losses(batch)
        return losses, infeasible, self._hypotheses

    def _extract_feats(self, speech: Tensor, speech_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, T, F) and lengths (B,); what is too short for the network gets silence at its end."""
        missing = max(0, self.shortest_samples - speech.size(1))
        # ESPnet computes every front end in fp32, which for a pretrained network is most of the work.
        plain = is_signal_processing(self.frontend)
        with full_precision(speech.device) if plain else self.autocast():
            features, lengths = super()._extract_feats(
                functional.pad(speech, (0, missing)), speech_lengths.clamp(min=self.shortest_samples)
            )
        return features.float(), lengths

    def _calc_ctc_loss(
        self, encoder_out: Tensor, encoder_out_lens: Tensor, ys_pad: Tensor, ys_pad_lens: Tensor
    ) -> tuple[Tensor, None]:
        """Return CTC losses (B,); those of utterances with too few frames are 0 and marked as infeasible."""
        labels = ys_pad.clamp(min=0)
        self._infeasible = self._infeasible | ctc_infeasible(labels, ys_pad_lens, encoder_out_lens)
        logits = self.ctc.ctc_lo(encoder_out)  # (B, T, V)
        if not self.training:
            self._hypotheses = ctc_greedy(logits, encoder_out_lens, blank=self.blank_id)
        losses = functional.ctc_loss(
            logits.float().log_softmax(dim=-1).transpose(0, 1),  # (T, B, V), fp32 whatever the encoder's precision
            labels,
            encoder_out_lens,
            ys_pad_lens,
            blank=self.blank_id,
            reduction="none",
            zero_infinity=True,  # keeps the gradient finite; the mask keeps the zero out of every mean
        )
        return losses, None

    def _calc_att_loss(
        self, encoder_out: Tensor, encoder_out_lens: Tensor, ys_pad: Tensor, ys_pad_lens: Tensor
    ) -> tuple[Tensor, None, None, None]:
        """Return the decoder's losses (B,); those of utterances that do not fit it are 0 and marked as infeasible."""
        losses, unfit = self.decoder.utterance_losses(encoder_out, encoder_out_lens, ys_pad, ys_pad_lens)
        self._infeasible = self._infeasible | unfit
        if not self.training and self.ctc is None:
            self._hypotheses = self.decoder.greedy(encoder_out, encoder_out_lens)
        return losses, None, None, None

    def encode_frames(self, speech: Tensor, speech_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return encoder output (B, T, H), without that of intermediate layers, and lengths (B,) in frames."""
        encoder_out, lengths = self.encode(speech, speech_lengths)
        return encoder_out[0] if isinstance(encoder_out, tuple) else encoder_out, lengths

    def ctc_logits(self, speech: Tensor, speech_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return unnormalised CTC scores (B, T, V) and lengths (B,) in encoder frames."""
        with self.autocast():
            encoder_out, lengths = self.encode_frames(speech, speech_lengths)
            return self.ctc.ctc_lo(encoder_out).float(), lengths

    @torch.no_grad()
    def greedy(self, speech: Tensor, speech_lengths: Tensor) -> list[list[int]]:
        """Return the greedy hypothesis of each utterance as token indices: CTC's, or the decoder's without CTC."""
        if self.ctc is None:
            with self.autocast():
                return list(self.decoder.greedy(*self.encode_frames(speech, speech_lengths)))
        logits, lengths = self.ctc_logits(speech, speech_lengths)
        return ctc_greedy(logits, lengths, blank=self.blank_id)
