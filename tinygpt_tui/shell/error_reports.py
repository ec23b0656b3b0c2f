"""Errors in the app become log entries and notifications instead of crashes."""

from __future__ import annotations

from textual.app import ReturnType
from textual.worker import Worker, WorkerState

from tinygpt_tui import log
from tinygpt_tui.shell.textual_patches import OneKeyAtATime


class ErrorReportingApp(OneKeyAtATime[ReturnType]):
    """An app that logs and shows its errors."""

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        error = event.worker.error
        if event.state == WorkerState.ERROR and error is not None:
            log.note(f"worker {event.worker.name} failed", error)
            self.report_error(f"{type(error).__name__}: {error} (see {log.path()})")

    def _handle_exception(self, error: Exception) -> None:
        """Log the error that ends the app, since Textual only prints it."""
        log.note("the app crashed", error)
        super()._handle_exception(error)

    def report_error(self, sentence: str) -> None:
        """Log an error and show it as a notification."""
        log.note(sentence)
        self.notify(sentence, severity="error", timeout=10, markup=False)
