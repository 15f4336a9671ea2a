"""The event log: who does what with which object, when and where.

``write_script`` simulates the room's state. Each action has preconditions (nothing
is taken out of a closed box) and is drawn by verb first, so that verbs are about
equally frequent whatever lies where.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from egolib.world.catalog import TYPICAL, VERBS
from egolib.world.gaze import Fixation, fixate, travel
from egolib.world.room import SLOT_PITCH, Point, Room
from egolib.world.settings import ROOM_WIDTH, WorldSettings

NONE = -1
LOOK_AROUND_FRAMES = 14  # a wait of this length is spent on looking somewhere else
# A container counts like several slots; the weights make putting in and taking out
# equally frequent, so that neither direction of the pair is known by the container.
PUT_IN_WEIGHT, TAKE_OUT_WEIGHT = 3, 20
HELD_VERBS = ("put", "open", "close", "turn-on", "turn-off")


@dataclass(frozen=True)
class Event:
    """One action. Frames are video frames; ``end`` and ``gaze_end`` are exclusive.

    Args:
        verb: one of ``catalog.VERBS``.
        obj: the object's index, or -1 for a fixture.
        fixture: ``tap``, ``lamp`` or empty.
        container: what the object is put into or taken out of, or -1.
        slot_from: slot before, or -1.
        slot_to: slot after, or -1.
        station: where it happens.
        start: from here the hand is on its way or at work.
        end: until here.
        gaze_start: from here the camera rests on the target.
        gaze_end: until here.
        side: the hand comes from the left (-1) or the right (1).
    """

    index: int
    verb: str
    obj: int
    fixture: str
    container: int
    slot_from: int
    slot_to: int
    station: str
    start: int
    end: int
    gaze_start: int
    gaze_end: int
    side: int

    @property
    def middle(self) -> float:
        """Middle frame."""
        return (self.start + self.end) / 2


@dataclass
class State:
    """What the room is like between two events."""

    slot: list[int]
    inside: list[int]
    held: int = NONE
    opened: set[int] = field(default_factory=set)
    on: set[str] = field(default_factory=set)

    def copy(self) -> State:
        return State(list(self.slot), list(self.inside), self.held, set(self.opened), set(self.on))

    def contents(self, container: int) -> list[int]:
        """Objects inside a container."""
        return [i for i, c in enumerate(self.inside) if c == container]

    def free(self, room: Room) -> list[int]:
        """Empty slots."""
        taken = set(self.slot)
        return [s.index for s in room.slots if s.index not in taken]

    def apply(self, event: Event) -> None:
        """The change that an event makes."""
        if event.verb == "take":
            self.held, self.slot[event.obj], self.inside[event.obj] = event.obj, NONE, NONE
        elif event.verb == "put":
            self.held = NONE
            self.slot[event.obj], self.inside[event.obj] = event.slot_to, event.container
        elif event.verb == "move":
            self.slot[event.obj] = event.slot_to
        elif event.verb == "open":
            self.opened.add(event.obj)
        elif event.verb == "close":
            self.opened.discard(event.obj)
        elif event.verb == "turn-on":
            self.on.add(event.fixture)
        elif event.verb == "turn-off":
            self.on.discard(event.fixture)


def first_state(room: Room) -> State:
    """All objects at home."""
    return State(list(room.home), list(room.inside), NONE, set(room.opened), set(room.on))


@dataclass(frozen=True)
class Choice:
    """What an action could be about, before it has a time."""

    verb: str
    obj: int = NONE
    fixture: str = ""
    container: int = NONE
    slot_from: int = NONE
    slot_to: int = NONE


def target(room: Room, choice: Choice | Event, state: State) -> Point:
    """The point that the hand goes to.

    Args:
        room: where things stand.
        choice: verb and thing.
        state: of the things at that moment.
    """
    if choice.fixture:
        return room.fixtures[choice.fixture]
    if choice.container != NONE:
        slot = room.slots[state.slot[choice.container]]
        return slot.x, slot.y - room.instances[choice.container].size[1] * 0.8
    height = room.instances[choice.obj].size[1]
    ends = [room.slots[s] for s in (choice.slot_from, choice.slot_to) if s != NONE]
    return sum(s.x for s in ends) / len(ends), ends[0].y - height / 2


# ------------------------------------------------------------------------ choosing


def possible(room: Room, state: State, verb: str) -> list[Choice]:
    """Everything that the verb could be done to now.

    Args:
        room: where things stand.
        state: of the things at that moment.
        verb: of the action.
    """
    standing = [i for i, s in enumerate(state.slot) if s != NONE]
    if state.held != NONE and verb not in HELD_VERBS:
        return []
    if verb in ("turn-on", "turn-off"):
        return [
            Choice(verb, fixture=f) for f in room.fixtures if (f in state.on) == (verb[5:] == "off")
        ]
    if verb in ("open", "close"):
        boxes = [i for i in standing if room.instances[i].is_container]
        return [
            Choice(verb, i, slot_from=state.slot[i])
            for i in boxes
            if (i in state.opened) == (verb == "close")
        ]
    if verb == "put":
        return _ways_to_put(room, state) if state.held != NONE else []
    loose = [i for i in standing if not state.contents(i)]
    if verb == "take":
        inside = _inside_choices(state) * TAKE_OUT_WEIGHT
        return [Choice(verb, i, slot_from=state.slot[i]) for i in loose] + inside
    if verb == "move":
        return [c for i in loose for c in _ways_to_move(room, state, i)]
    return [Choice(verb, i, slot_from=state.slot[i]) for i in loose]


def _inside_choices(state: State) -> list[Choice]:
    return [
        Choice("take", i, container=c)
        for i, c in enumerate(state.inside)
        if c != NONE and c in state.opened
    ]


def _ways_to_put(room: Room, state: State) -> list[Choice]:
    choices = [Choice("put", state.held, slot_to=s) for s in state.free(room)]
    if room.instances[state.held].is_container:
        return choices
    free_boxes = [c for c in state.opened if state.slot[c] != NONE and not state.contents(c)]
    inside = [Choice("put", state.held, container=c) for c in sorted(free_boxes)]
    return choices + inside * PUT_IN_WEIGHT


def _ways_to_move(room: Room, state: State, obj: int) -> list[Choice]:
    here = room.slots[state.slot[obj]]
    near = [
        room.slots[s]
        for s in state.free(room)
        if room.slots[s].station == here.station
        and room.slots[s].y == here.y
        and abs(room.slots[s].x - here.x) < SLOT_PITCH * 1.5
    ]
    return [Choice("move", obj, slot_from=here.index, slot_to=s.index) for s in near]


def choose(
    settings: WorldSettings,
    rng: np.random.Generator,
    room: Room,
    state: State,
    counts: dict[str, int],
    here: str,
) -> tuple[Choice, str]:
    """The next action and its station: a rare verb first, then what it is done to.

    Args:
        settings: of the world.
        rng: random numbers.
        room: where things stand.
        state: of the things at that moment.
        counts: how often each verb occurred so far.
        here: the station where the wearer stands.
    """
    options = {verb: possible(room, state, verb) for verb in VERBS}
    verbs = [verb for verb in VERBS if options[verb]]
    weights = np.array([(1.0 + counts[v]) ** -2.0 for v in verbs])
    if "put" in verbs:
        weights[verbs.index("put")] *= 3.0  # what is held does not stay held for long
    verb = verbs[rng.choice(len(verbs), p=weights / weights.sum())]
    choices = options[verb]
    stations = [_station(room, choice, state) for choice in choices]
    likely = _weights(settings, room, choices, stations, here)
    pick = int(rng.choice(len(choices), p=likely / likely.sum()))
    return choices[pick], stations[pick]


def _station(room: Room, choice: Choice, state: State) -> str:
    if choice.fixture:
        return room.station_of_fixture(choice.fixture)
    slot = choice.slot_from if choice.slot_from != NONE else choice.slot_to
    return room.slots[state.slot[choice.container] if choice.container != NONE else slot].station


def _weights(
    settings: WorldSettings, room: Room, choices: list[Choice], stations: list[str], here: str
) -> np.ndarray:
    """Staying is likely, near stations are likelier than far ones; ``bias`` adds habits."""
    same = np.array([s == here for s in stations])
    way = np.array([abs(room.station_x[s] - room.station_x[here]) for s in stations])
    far = np.where(same, 0.0, np.exp(-way / 250.0))
    weights = (1 - settings.stay) * far / max(far.sum(), 1e-9)
    weights += settings.stay * same / max(same.sum(), 1)
    typical = np.array(
        [
            choice.obj != NONE
            and room.instances[choice.obj].silhouette in TYPICAL.get(choice.verb, ())
            for choice in choices
        ]
    )
    result: np.ndarray = weights * (1 - settings.bias * ~typical) if typical.any() else weights
    return result


# ------------------------------------------------------------------------- writing


def write_script(
    settings: WorldSettings, room: Room, rng: np.random.Generator
) -> tuple[list[Event], list[Fixation]]:
    """Events and fixations of one video.

    The time that is left between two actions is split at random before and after
    the way to the next target, so that nothing tells forwards from backwards.

    Args:
        settings: of the world.
        room: where things stand.
        rng: random numbers.
    """
    state = first_state(room)
    here = list(room.station_x)[int(rng.integers(len(room.station_x)))]
    gaze = fixate(settings, rng, 0, int(rng.integers(4, 12)), (room.station_x[here], 180.0))
    fixations = [gaze]
    events: list[Event] = []
    counts = dict.fromkeys(VERBS, 0)
    due = 0.0
    while True:
        choice, station = choose(settings, rng, room, state, counts, here)
        point = target(room, choice, state)
        per_minute = rng.uniform(*settings.actions_per_minute)
        due += 60 * settings.fps / per_minute
        event = _schedule(settings, rng, fixations, choice, station, point, int(due), len(events))
        if event.gaze_end > settings.frames:
            return events, _until(fixations, settings.frames)
        events.append(event)
        state.apply(event)
        counts[choice.verb] += 1
        here = station


def _schedule(
    settings: WorldSettings,
    rng: np.random.Generator,
    fixations: list[Fixation],
    choice: Choice,
    station: str,
    point: Point,
    due: int,
    index: int,
) -> Event:
    """Gives an action its times and appends the fixations that lead to it."""
    lead, tail = (round(rng.uniform(*settings.gaze_lead_sec) * settings.fps) for _ in range(2))
    length = round(rng.uniform(*settings.action_sec) * settings.fps)
    spare = max(0, due - lead - fixations[-1].end - _usual_way(settings, fixations[-1], point))
    after = int(spare * rng.random())
    _wait(settings, rng, fixations, after)
    last = fixations[-1]
    stops, arrival = travel(settings, rng, last.end, (last.x, last.y), point)
    start = arrival + lead + spare - after
    gaze_end = start + length + tail
    fixations += [*stops, fixate(settings, rng, arrival, gaze_end, point)]
    return Event(
        **vars(choice),
        index=index,
        station=station,
        start=start,
        end=start + length,
        gaze_start=arrival,
        gaze_end=gaze_end,
        side=int(rng.choice([-1, 1])),
    )


def _usual_way(settings: WorldSettings, last: Fixation, point: Point) -> int:
    """Frames that the way to a point usually takes."""
    result: int = round(
        np.hypot(point[0] - last.x, point[1] - last.y) / np.mean(settings.saccade_px)
    )
    return result


def _wait(
    settings: WorldSettings, rng: np.random.Generator, fixations: list[Fixation], frames: int
) -> None:
    """Keeps looking, or spends a long wait on a glance at something near."""
    last = fixations[-1]
    if frames < LOOK_AROUND_FRAMES or rng.random() < 0.4:
        fixations[-1] = replace(last, end=last.end + frames)
        return
    x = float(np.clip(last.x + rng.choice([-1, 1]) * rng.uniform(60, 220), 60, ROOM_WIDTH - 60))
    glance = (x, float(rng.uniform(130, 220)))
    stops, arrival = travel(settings, rng, last.end, (last.x, last.y), glance)
    end = max(arrival + 5, last.end + frames)
    fixations += [*stops, fixate(settings, rng, arrival, end, glance)]


def _until(fixations: list[Fixation], frames: int) -> list[Fixation]:
    """Fixations cut to the video; the last one is prolonged to its end."""
    kept = [f for f in fixations if f.start < frames]
    return [*kept[:-1], replace(kept[-1], end=frames)]
