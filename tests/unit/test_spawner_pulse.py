"""When the spawner believes that its emperor hangs."""

import pytest

from emperor.spawner.pulse import (
    ANSWER_S,
    BEGIN_S,
    DOUBTED_ANSWER_S,
    END_S,
    EVERY_S,
    LEAVE_S,
    LOOK_S,
    TIMES,
    Pulse,
    Step,
)


def steps(pulse: Pulse, now: float) -> list[tuple[float, Step]]:
    """Return what is done, and when, if nothing is ever heard."""
    done = []
    while not done or done[-1][1] is not Step.GIVE_UP:
        now = max(now, pulse.look_at)
        done.append((now, pulse.step(now)))
    return done


def test_new_one_is_left_alone_while_it_is_loaded() -> None:
    pulse = Pulse(100.0)
    assert pulse.look_at == 100.0 + BEGIN_S
    assert pulse.step(100.0 + BEGIN_S - 0.1) is Step.NOTHING


def test_silence_is_asked_about_twice_before_it_is_believed() -> None:
    pulse = Pulse(0.0)
    pulse.heard(10.0)
    first = 10.0 + EVERY_S
    assert steps(pulse, 10.0) == [
        *((first + count * ANSWER_S, Step.ASK) for count in range(TIMES)),
        (first + TIMES * ANSWER_S, Step.GIVE_UP),
    ]


def test_any_word_is_a_sign_of_life() -> None:
    pulse = Pulse(0.0)
    assert pulse.step(BEGIN_S) is Step.ASK
    pulse.heard(BEGIN_S + 1)
    assert pulse.step(BEGIN_S + ANSWER_S) is Step.NOTHING
    assert pulse.look_at == BEGIN_S + 1 + EVERY_S


def test_one_that_a_signal_stopped_is_given_up_in_less_than_a_second() -> None:
    pulse = Pulse(0.0)
    pulse.doubt(5.0)
    given_up_at, _ = steps(pulse, 5.0)[-1]
    assert given_up_at == pytest.approx(5.0 + TIMES * DOUBTED_ANSWER_S)
    assert given_up_at < 6.0


def test_one_that_was_continued_at_once_has_patience_again() -> None:
    pulse = Pulse(0.0)
    pulse.doubt(5.0)
    pulse.step(5.0)
    pulse.heard(5.1)
    assert pulse.step(5.1 + EVERY_S) is Step.ASK
    assert pulse.step(5.1 + EVERY_S + DOUBTED_ANSWER_S) is Step.NOTHING


def test_spawner_that_was_stopped_itself_does_not_blame_the_emperor() -> None:
    pulse = Pulse(0.0)
    assert pulse.step(BEGIN_S) is Step.ASK
    # It sleeps for an hour with the answer unread, and then has one more question.
    assert pulse.step(BEGIN_S + 3600) is Step.ASK
    pulse.heard(BEGIN_S + 3600.1)
    assert pulse.step(BEGIN_S + 3601) is Step.NOTHING


def test_emperor_that_was_killed_and_does_not_end_is_abandoned() -> None:
    pulse = Pulse(0.0)
    pulse.killed(100.0)
    pulse.heard(100.5)  # what it had said before
    assert pulse.step(100.0 + END_S - 0.1) is Step.NOTHING
    assert pulse.step(100.0 + END_S) is Step.ABANDON


def test_emperor_that_said_it_goes_and_does_not_is_given_up() -> None:
    pulse = Pulse(0.0)
    pulse.leaves(100.0)
    pulse.doubt(101.0)
    assert pulse.step(101.0) is Step.LOOK
    assert pulse.step(101.0) is Step.NOTHING
    assert pulse.step(100.0 + LEAVE_S) is Step.GIVE_UP
    pulse.killed(100.0 + LEAVE_S)
    pulse.leaves(101.0 + LEAVE_S)  # its channel ends
    assert pulse.step(100.0 + LEAVE_S + END_S) is Step.ABANDON


def test_emperor_that_goes_is_looked_at_until_it_has_gone() -> None:
    pulse = Pulse(0.0)
    pulse.leaves(100.0)
    assert pulse.step(100.0 + LOOK_S) is Step.LOOK
    assert pulse.look_at == pytest.approx(100.0 + 2 * LOOK_S)
