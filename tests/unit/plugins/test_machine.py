"""The life of a connector on a clock of the test's own: what holds always, and each way through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from signal import SIGKILL, SIGTERM

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.plugins import decisions as do
from gateway.plugins import events as on
from gateway.plugins.condition import STEADY, Condition, Hold
from gateway.plugins.exits import Ending
from gateway.plugins.limits import Limits
from gateway.plugins.machine import step
from gateway.plugins.model import ConnectorState, ExitClass

pytestmark = pytest.mark.unit

LIMITS = Limits()
ERROR = Ending(exit_class=ExitClass.ERROR, message="exit 1")


@dataclass
class Connector:
    """A machine with whatever world the test wants around it."""

    now: float = 1000.0
    chance: float = 0.5
    condition: Condition = field(default_factory=Condition)
    decided: list[do.Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.take(on.Began())

    @property
    def state(self) -> ConnectorState:
        return self.condition.state

    @property
    def generation(self) -> int:
        return self.condition.generation

    def take(self, *events: on.Event) -> tuple[do.Decision, ...]:
        latest: tuple[do.Decision, ...] = ()
        for event in events:
            self.condition, latest = step(
                self.condition, event, limits=LIMITS, now=self.now, chance=self.chance, number=self.generation + 1
            )
            self.decided += latest
        return latest

    def run_out(self) -> tuple[do.Decision, ...]:
        """Let the time pass to the deadline."""
        assert self.condition.deadline is not None
        self.now = max(self.now, self.condition.deadline)
        return self.take(on.TimePassed())

    def start(self) -> int:
        """Bring a process to where it serves."""
        self.take(on.Needed(), on.Verified())
        return self.open()

    def open(self) -> int:
        number = self.generation
        self.take(on.Launched(number), on.Opened(number))
        assert self.state is ConnectorState.READY
        return number

    def die(self, ending: Ending = ERROR) -> tuple[do.Decision, ...]:
        number = self.generation
        self.take(on.Exited(number))
        return self.take(on.Buried(number, ending))

    def miss(self, vitals: on.Vitals | None = None) -> tuple[do.Decision, ...]:
        self.run_out()
        return self.take(on.ProbeAnswered(self.generation, False, vitals or on.Vitals()))


def test_a_connector_starts_when_it_is_needed() -> None:
    connector = Connector()
    assert connector.state == "DISCOVERED"
    assert connector.take(on.Needed()) == (do.Verify(),)
    assert connector.take(on.Verified()) == (do.Launch(1),)
    assert connector.take(on.Launched(1)) == (do.Open(1),)
    connector.take(on.Opened(1))
    assert connector.state == "READY"


def test_each_step_of_a_start_that_takes_too_long_has_its_own_words() -> None:
    seen = []
    for steps in ((), (on.StartStep.HANDSHAKED,), (on.StartStep.HANDSHAKED, on.StartStep.CONNECTED)):
        connector = Connector()
        connector.take(on.Needed(), on.Verified(), on.Launched(1), *(on.Reached(1, step) for step in steps))
        assert connector.run_out() == (do.DumpStacks(1),)
        seen.append(connector.condition.message)
    assert seen[0] == "no handshake came within 10.0 s"
    assert "did not answer Describe" in seen[1]
    assert "within 30.0 s" in seen[2]


def test_a_start_that_says_it_is_under_way_gets_more_time_but_not_for_ever() -> None:
    connector = Connector()
    connector.take(on.Needed(), on.Verified(), on.Launched(1), on.Reached(1, on.StartStep.CONNECTED))
    begun = connector.now
    while connector.state is ConnectorState.STARTING:
        connector.take(on.Progressed(1))
        connector.now += 5
        connector.take(on.TimePassed())
    assert connector.now - begun == LIMITS.start_most.total_seconds()


def test_a_hung_process_saves_its_stacks_and_is_killed() -> None:
    connector = Connector()
    connector.start()
    begun = connector.now
    connector.miss()
    assert connector.state == "DEGRADED"
    connector.miss()
    assert connector.miss() == (do.DumpStacks(1),)
    assert connector.state == "UNRESPONSIVE"
    assert connector.now - begun <= 21
    assert connector.take(on.StacksSaved(1)) == (do.SendSignal(1, SIGKILL),)
    connector.die(Ending(exit_class=ExitClass.SIGNAL, message="killed", signal="SIGKILL"))
    assert connector.state == "BACKOFF"
    record = next(one for one in connector.decided if isinstance(one, do.Record))
    assert (record.ending.exit_class, record.ending.signal) == (ExitClass.UNRESPONSIVE, "SIGKILL")


def test_a_process_that_cannot_save_its_stacks_is_killed_in_time() -> None:
    connector = Connector()
    connector.start()
    for _ in range(3):
        connector.miss()
    assert connector.run_out() == (do.SendSignal(1, SIGKILL),)
    assert connector.run_out() == (do.SendSignal(1, SIGKILL),)


@pytest.mark.parametrize("vitals", [on.Vitals(is_computing=True), on.Vitals(is_streaming=True)])
def test_a_busy_process_is_left_alone_for_a_minute(vitals: on.Vitals) -> None:
    connector = Connector()
    connector.start()
    for _ in range(3):
        connector.miss(vitals)
    held = connector.now
    while connector.state is ConnectorState.DEGRADED:
        connector.miss(vitals)
    assert 60 <= connector.now - held <= 60 + 5
    assert connector.state == "UNRESPONSIVE"


def test_a_busy_process_that_answers_again_is_as_good_as_new() -> None:
    connector = Connector()
    connector.start()
    for _ in range(5):
        connector.miss(on.Vitals(is_computing=True))
    connector.run_out()
    connector.take(on.ProbeAnswered(1, True))
    assert (connector.state, connector.condition.missed, connector.condition.held_since) == ("READY", 0, None)


def test_trouble_at_the_platform_degrades_and_restarts_nothing() -> None:
    connector = Connector()
    connector.start()
    connector.take(on.HealthChanged(1, "credentials: rejected"))
    assert (connector.state, connector.condition.message) == ("DEGRADED", "credentials: rejected")
    for _ in range(20):
        connector.run_out()
        connector.take(on.ProbeAnswered(1, True))
    assert connector.state == "DEGRADED"
    connector.take(on.HealthChanged(1, ""))
    assert (connector.state, connector.generation) == ("READY", 1)


def test_a_process_that_nobody_needs_is_ended_and_woken_on_demand() -> None:
    connector = Connector()
    connector.start()
    connector.run_out()
    assert connector.take(on.ProbeAnswered(1, True, on.Vitals(idle_seconds=900))) == (do.AskShutdown(1),)
    connector.die(Ending(exit_class=ExitClass.CLEAN, message="exit 0"))
    assert connector.state == "IDLE"
    assert connector.take(on.Needed()) == (do.Verify(),)


def test_somebody_who_comes_while_it_drains_gets_the_next_process() -> None:
    connector = Connector()
    connector.start()
    connector.run_out()
    connector.take(on.ProbeAnswered(1, True, on.Vitals(idle_seconds=900)), on.Needed())
    assert connector.die() == (do.Forget(1), do.Verify())


def test_a_process_with_too_much_memory_is_exchanged_when_nothing_is_under_way() -> None:
    connector = Connector()
    connector.start()
    for idle, expected in ((0.0, "READY"), (5.0, "DRAINING")):
        connector.run_out()
        connector.take(on.ProbeAnswered(1, True, on.Vitals(memory_bytes=2**30, idle_seconds=idle)))
        assert connector.state == expected
    assert connector.die()[-1] == do.Verify()


def test_a_stop_goes_down_the_ladder() -> None:
    connector = Connector()
    connector.start()
    assert connector.take(on.Stopped(on.Wish.END)) == (do.AskShutdown(1),)
    assert connector.run_out() == (do.CutLifeline(1),)
    assert connector.run_out() == (do.SendSignal(1, SIGTERM),)
    assert connector.run_out() == (do.SendSignal(1, SIGKILL),)
    connector.die()
    assert connector.state == "STOPPED"


def test_a_wrong_configuration_is_not_tried_again_before_a_restart() -> None:
    connector = Connector()
    connector.start()
    connector.die(Ending(exit_class=ExitClass.CONFIG, message="no key"))
    assert (connector.state, connector.condition.deadline) == ("QUARANTINED", None)
    assert connector.take(on.Needed()) == ()
    assert connector.take(on.Restarted()) == (do.Verify(),)


def test_a_stop_while_it_waits_for_its_turn_abandons_the_launch() -> None:
    connector = Connector()
    connector.take(on.Needed(), on.Verified())
    assert connector.take(on.Stopped(on.Wish.OFF)) == (do.Abandon(1),)
    connector.take(on.NotLaunched(1, ERROR))
    assert connector.state == "DISABLED"


def test_an_attached_process_is_never_signalled_and_has_no_deadline() -> None:
    connector = Connector(condition=Condition())
    connector.condition = Condition()
    assert connector.take(on.Began(is_attached=True)) == (do.Attach(1),)
    connector.take(on.Opened(1))
    assert (connector.state, connector.condition.deadline, connector.condition.is_serving) == ("ATTACHED", None, True)
    assert connector.take(on.Stopped(on.Wish.END)) == (do.Bury(1),)


def left_behind() -> Connector:
    connector = Connector()
    connector.condition = Condition()
    assert connector.take(on.Began(has_leftover=True, generation=7)) == (do.Adopt(7),)
    return connector


def test_what_an_earlier_gateway_left_is_taken_over() -> None:
    connector = left_behind()
    connector.take(on.Adopted(7))
    assert (connector.state, connector.generation) == ("READY", 7)


def test_what_cannot_be_taken_over_is_killed_only_with_proof() -> None:
    connector = left_behind()
    assert connector.take(on.Unadoptable(7, True, "another digest")) == (do.SendSignal(7, SIGKILL),)
    assert connector.state == "REAPING"
    stranger = left_behind()
    assert stranger.take(on.Unadoptable(7, False, "another process has its number")) == (do.Forget(7),)
    assert stranger.state is ConnectorState.DISCOVERED


def test_delays_never_shrink_under_repeated_failure() -> None:
    connector = Connector()
    connector.start()
    delays = []
    for _ in range(12):
        connector.die()
        assert connector.condition.next_start is not None
        delays.append(connector.condition.next_start - connector.now)
        connector.run_out()
        connector.take(on.Verified())
        connector.open()
    assert delays == sorted(delays)


ENDINGS = [Ending(exit_class=one, message=one.value) for one in ExitClass]
VITALS = [
    on.Vitals(is_computing=is_computing, idle_seconds=idle, memory_bytes=memory)
    for is_computing in (False, True)
    for idle, memory in ((0.0, 2**28), (5.0, 2**31), (1000.0, 0))
]


def of_process(number: int) -> list[on.Event]:
    return [
        on.Progressed(number),
        on.Opened(number),
        on.StacksSaved(number),
        on.ShutdownRefused(number),
        *(on.Reached(number, step) for step in on.StartStep),
        *(on.Refused(number, ending) for ending in ENDINGS),
        *(on.ProbeAnswered(number, is_serving, vitals) for is_serving in (False, True) for vitals in VITALS),
        on.HealthChanged(number, ""),
        on.HealthChanged(number, "quota: none left"),
    ]


OF_CONNECTOR: list[on.Event] = [
    *[on.TimePassed()] * 4,
    *[on.Needed()] * 2,
    on.Enabled(),
    on.Restarted(),
    on.Changed(),
    on.Changed("its files are broken"),
    on.Kept("its files are broken"),
    *(on.Stopped(wish) for wish in (on.Wish.OFF, on.Wish.REST)),
]


@dataclass
class World:
    """Processes as they really are, whatever the machine believes."""

    connector: Connector
    launching: set[int] = field(default_factory=set)
    alive: set[int] = field(default_factory=set)
    dead: set[int] = field(default_factory=set)
    verifying: int = 0
    adopting: bool = False
    signalled: list[int] = field(default_factory=list)
    launches: list[int] = field(default_factory=list)

    def obey(self, decided: tuple[do.Decision, ...]) -> None:
        for one in decided:
            match one:
                case do.Launch(generation):
                    assert not self.alive, "a process is launched while another lives"
                    assert not self.launching
                    self.launching.add(generation)
                    self.launches.append(generation)
                case do.SendSignal(generation, _) | do.DumpStacks(generation):
                    assert self.connector.condition.hold is Hold.PROVEN
                    assert generation in self.alive | self.dead
                    self.signalled.append(generation)
                case do.Verify():
                    self.verifying = 1
                case do.Adopt(_):
                    self.adopting = True
                case _:
                    pass

    def take(self, event: on.Event) -> None:
        before = self.connector.condition
        decided = self.connector.take(event)
        known = self.connector.condition
        assert known.state in STEADY or known.deadline is not None, known
        assert known.generation >= before.generation
        if before.wish is on.Wish.END:
            assert known.wish is on.Wish.END
        if known.wish in (on.Wish.OFF, on.Wish.END):
            assert not any(isinstance(one, do.Launch | do.Verify) for one in decided), "a start beats a stop"
        self.obey(decided)

    def happen(self, kind: int, which: int) -> None:
        """Let something happen that can."""
        match kind:
            case 0:
                can = self._of_world()
            case 1:
                can = of_process(self.connector.generation)
            case 2:
                can = of_process(self.connector.generation - 1)
            case 3:
                can = [on.Stopped(on.Wish.END)]
            case _:
                can = OF_CONNECTOR
        if can:
            event = can[which % len(can)]
            self._become(event)
            self.take(event)

    def _of_world(self) -> list[on.Event]:
        can: list[on.Event] = []
        for number in self.launching:
            can += [on.Launched(number), on.NotLaunched(number, ERROR)]
        can += [on.Exited(number) for number in self.alive]
        can += [on.Buried(number, ending) for number in self.dead for ending in ENDINGS]
        if self.verifying:
            can += [on.Verified(), on.Verified(), on.Unverified(ERROR)]
        if self.adopting:
            number = self.connector.generation
            can += [on.Adopted(number), on.Unadoptable(number, True, "old"), on.Unadoptable(number, False, "gone")]
        return can

    def _become(self, event: on.Event) -> None:
        match event:
            case on.Launched(generation):
                self.launching.discard(generation)
                self.alive.add(generation)
            case on.NotLaunched(generation, _):
                self.launching.discard(generation)
            case on.Exited(generation):
                self.alive.discard(generation)
                self.dead.add(generation)
            case on.Buried(generation, _):
                self.dead.discard(generation)
            case on.Verified() | on.Unverified():
                self.verifying = 0
            case on.Adopted(generation) | on.Unadoptable(generation, True, _):
                self.adopting = False
                self.alive.add(generation)
            case on.Unadoptable():
                self.adopting = False
            case _:
                pass


KINDS = st.sampled_from([0] * 8 + [1] * 4 + [2, 4, 4, 4, 3])
PASSED = st.sampled_from([0.0, 0.0, 0.3, 3.0, 40.0, 700.0])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(KINDS, st.integers(0, 999), PASSED), max_size=60), st.booleans(), st.booleans())
def test_whatever_happens_the_promises_hold(
    story: list[tuple[int, int, float]], has_leftover: bool, is_disabled: bool
) -> None:
    connector = Connector()
    connector.condition = Condition()
    world = World(connector)
    world.take(on.Began(has_leftover=has_leftover, is_disabled=is_disabled, generation=3))
    for kind, which, seconds in story:
        connector.now += seconds
        world.happen(kind, which)
        assert len(world.alive) <= 1
    assert all(first < second for first, second in pairwise(world.launches))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(list(ExitClass)), max_size=30), st.floats(0, 0.999))
def test_a_stop_is_reached_from_everywhere_within_two_minutes(lives: list[ExitClass], chance: float) -> None:
    connector = Connector(chance=chance)
    connector.start()
    for exit_class in lives:
        connector.die(Ending(exit_class=exit_class, message="died"))
        if connector.condition.deadline is None:
            connector.take(on.Restarted())
        else:
            connector.run_out()
        connector.take(on.Verified())
        connector.open()
    begun = connector.now
    connector.take(on.Stopped(on.Wish.END))
    while connector.condition.hold is not Hold.NONE:
        if any(isinstance(one, do.SendSignal) for one in connector.run_out()):
            connector.die()
    assert connector.state == "STOPPED"
    assert connector.now - begun <= 120


def test_what_comes_from_an_earlier_process_is_dropped() -> None:
    connector = Connector()
    connector.start()
    connector.die()
    connector.run_out()
    connector.take(on.Verified())
    assert connector.open() == 2
    before = connector.condition
    stale = on.OfProcess(1).generation
    for event in (on.Exited(stale), on.Refused(stale, ERROR), on.ProbeAnswered(stale, False), on.Buried(stale, ERROR)):
        assert connector.take(event) == ()
    assert connector.condition == before
