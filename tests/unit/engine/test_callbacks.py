from __future__ import annotations

import pytest

from semistruct.engine import Callback, History, Progress, Training, train

QUICK = Training(max_epochs=3, batch_size=64)


def test_history_is_a_callback_too(objective, source, validation) -> None:
    history = History()
    result = train(objective, source, validation, training=QUICK, callbacks=[history])
    assert history.rows == result.history
    train(objective, source, validation, training=QUICK, callbacks=[history])
    assert len(history.rows) == 4  # begun anew


@pytest.mark.parametrize("validated", [True, False])
def test_progress_is_on_stderr(
    objective, source, validation, capsys, validated
) -> None:
    train(
        objective,
        source,
        validation if validated else None,
        training=QUICK,
        callbacks=[Progress("deep part", disable=False)],
    )
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "deep part" in shown.err
    assert "3/3" in shown.err
    assert ("best" in shown.err) is validated


def test_progress_is_silent_where_there_is_no_terminal(
    objective, source, capsys
) -> None:
    train(objective, source, training=QUICK, callbacks=[Progress()])
    assert capsys.readouterr().err == ""


def test_nothing_is_printed_by_itself(objective, source, capsys) -> None:
    train(objective, source, training=QUICK)
    shown = capsys.readouterr()
    assert shown.out == shown.err == ""


def test_only_callbacks_that_look_at_steps_are_called_in_steps() -> None:
    from semistruct.engine._callbacks import Events

    class Looks(Callback):
        def on_step_end(self, state) -> None:
            pass

    assert len(Events([Callback(), Looks(), History()]).on_step_end) == 1
