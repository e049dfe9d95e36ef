"""Watch the training: records for programs, lines for people, checkpoints, and the stop that a signal asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from transformers import TrainerCallback

from connectors.trainer.checkpoints import CheckpointFolder
from connectors.trainer.errors import Interrupted
from connectors.trainer.interruption import Interruption
from connectors.trainer.pace import Pace
from connectors.trainer.records import RecordWriter

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

_RECORDED = ("loss", "learning_rate", "grad_norm", "mean_token_accuracy", "eval_loss")
_PROGRESS_SECONDS = 1.0  # a follower needs no more than one progress record in this time


class Reporter(TrainerCallback):  # type: ignore[misc]  # the libraries are untyped here
    """Be called by the trainer at every step."""

    def __init__(
        self, records: RecordWriter, interruption: Interruption, checkpoints: CheckpointFolder, checkpoint_steps: int
    ) -> None:
        """Args: checkpoint_steps: steps between two checkpoints; 0 = only when interrupted."""
        self._records = records
        self._interruption = interruption
        self._checkpoints = checkpoints
        self._checkpoint_steps = checkpoint_steps
        self._pace = Pace()
        self._progress_at = 0.0
        self.saved_step = -1
        """Step of the checkpoint that was written last; -1 = none by this run."""
        self.evaluate: Callable[[], object] = lambda: None
        """Measures the model; called behind each checkpoint but the last step's, which is measured in any case."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Note where this run begins; from here on a signal waits for the end of the step."""
        self._interruption.finish_steps_first()
        self._pace.start(state.global_step, state.max_steps)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Decide whether to log, to write a checkpoint and to stop."""
        is_last = state.global_step >= state.max_steps
        due = self._checkpoint_steps > 0 and state.global_step % self._checkpoint_steps == 0
        if self._interruption.requested:
            control.should_training_stop = True
        control.should_save = control.should_save or due or self._interruption.requested
        control.should_log = control.should_log or is_last or self._interruption.requested
        self._progress(state.global_step, state.max_steps, always=is_last)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Drop an evaluation when a signal came."""
        if self._interruption.requested:
            raise Interrupted

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Put the checkpoint that the trainer has written in its place."""
        path = self._checkpoints.publish(state.global_step)
        self.saved_step = state.global_step
        print(f"checkpoint at step {state.global_step}: {path}", flush=True)
        if state.global_step < state.max_steps and not self._interruption.requested:
            self.evaluate()
            self._pace.pause_over()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Record the values that mean something, and show a line."""
        logs = logs or {}
        values = {name: float(logs[name]) for name in _RECORDED if name in logs}
        if "loss" in values:
            values["tokens_per_second"] = self._pace.tokens_per_second(logs.get("num_tokens", 0.0))
        for name, value in values.items():
            self._records.metric(name, value, state.global_step, float(state.epoch or 0.0))
        if "loss" in values:
            print(_step_line(state.global_step, state.max_steps, values), flush=True)

    def _progress(self, step: int, total_steps: int, always: bool) -> None:
        now = time.monotonic()
        if always or now - self._progress_at >= _PROGRESS_SECONDS:
            self._progress_at = now
            self._records.progress(step, total_steps, self._pace.remaining_seconds(step))


def _step_line(step: int, total_steps: int, values: dict[str, float]) -> str:
    speed = values["tokens_per_second"]
    shown = f"{speed / 1000:.1f}k" if speed >= 1000 else f"{speed:.0f}"
    width = len(str(total_steps))
    rate = values.get("learning_rate", 0.0)
    return f"step {step:>{width}}/{total_steps}  loss {values['loss']:.3f}  lr {rate:.1e}  {shown} tok/s"
