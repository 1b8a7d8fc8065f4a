"""Stories: what happens to a few devices and their server, as plain data. Drawn from one source of
chance, printable, and shortened by leaving steps out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

FATES = (
    "lost",  # the request never arrives
    "late",  # it seems lost, and arrives some steps later
    "down",  # nobody listens
    "unanswered",  # it arrives, the answer is lost
    "twice",  # it arrives twice, one right after the other
    "again",  # it arrives, and once more some steps later
    "die before",  # the device dies with the request on its lips
    "die after",  # the device dies with the answer in its hands
    "kill 1",  # the server is killed right after its first commit for this request
    "kill 2",
    "kill 3",
)
WELL = "well"
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens. `who` and `at` choose among what is there, `fates` are those of the
    requests one after another, `dies` counts the statements that the device's store lives for."""

    what: str
    who: int = 0
    at: int = 0
    amount: float = 0
    fates: tuple[str, ...] = ()
    dies: int | None = None


@dataclass(frozen=True, slots=True)
class Story:
    devices: int
    is_eager: bool
    """Whether devices merge conflicts at once instead of leaving them to the next edit."""
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        listed = "".join(f"\n    {step}," for step in self.steps)
        return f"Story({self.devices}, {self.is_eager}, ({listed}\n))"


_WRITING = {"add": 2.0, "append": 4.0, "rewrite": 1.0, "delete": 2.0, "save": 2.0}
_WORK = {**_WRITING, "open": 1.0, "sync": 7.0}
_FLAVOURS: dict[str, dict[str, float]] = {
    "deaths": {"reopen": 1},
    "kills": {"kill": 1, "stop": 0.3},
    "restores": {"backup": 6, "put back": 3},
    "clocks": {"device clock": 1, "hours": 1},
    "years": {"season": 1.2, "days": 0.5},
}
_ITEMS = 4
_MOST_STEPS = 15


def story_of(chance: Random) -> Story:
    """A story. Each has some kinds of trouble and not others: all at once hide each other."""
    flavours = [name for name in (*_FLAVOURS, "link") if chance.random() < 0.5]
    if "years" in flavours and "clocks" in flavours:
        flavours.remove("clocks")  # a device that does not know what day it is forgets nothing
    weights = dict(_WORK)
    for name in flavours:
        weights |= _FLAVOURS.get(name, {})
    devices = chance.choice((3, 3, 3, 4, 5))
    kinds = list(_kinds(chance, weights, devices, chance.randint(5, _MOST_STEPS)))
    steps = tuple(_step(chance, kind, who, flavours) for kind, who in kinds)
    return Story(devices, chance.random() < 0.3, steps)


def _kinds(
    chance: Random, weights: dict[str, float], devices: int, count: int
) -> Iterator[tuple[str, int]]:
    """What happens and to whom. Whoever wrote mostly syncs, and only what was saved is put back."""
    kind, who, saved = "", 0, False
    for _ in range(count):
        if kind in _WRITING and chance.random() < 0.6:
            kind = "sync"
        else:
            absent = "backup" if saved else "put back"
            possible = {each: weight for each, weight in weights.items() if each != absent}
            (kind,) = chance.choices(list(possible), list(possible.values()))
            who = chance.randrange(devices)
        saved = kind == "backup" or (saved and kind != "put back")
        yield kind, who


def _step(chance: Random, kind: str, who: int, flavours: Sequence[str]) -> Step:
    step = Step(kind, who, chance.randrange(_ITEMS))
    if kind in ("days", "season", "hours", "device clock"):
        return replace(step, amount=_seconds(chance, kind))
    if "deaths" in flavours and (kind in _WRITING or kind == "sync"):
        reach = 80 if kind == "sync" else 10
        step = replace(step, dies=chance.randrange(reach) if chance.random() < 0.25 else None)
    return replace(step, fates=tuple(_fates(chance, flavours))) if kind == "sync" else step


def _seconds(chance: Random, kind: str) -> float:
    if kind == "days":
        return DAY * chance.choice((1, 1, 45, 91, 181))
    if kind == "season":
        return DAY * chance.choice((91, 91, 181))
    if kind == "hours":
        return 3600.0 * chance.choice((-20, -1, 1, 30))
    return DAY * chance.choice((-4000, -400, -2, 2, 400, 4000))


def _fates(chance: Random, flavours: Sequence[str]) -> Iterator[str]:
    possible: list[str] = []
    if "link" in flavours:
        possible += [each for each in FATES if not each.startswith(("die", "kill"))]
    if "deaths" in flavours:
        possible += [each for each in FATES if each.startswith("die")]
    if "kills" in flavours:
        possible += [each for each in FATES if each.startswith("kill")]
    if not possible:
        return
    for _ in range(chance.randrange(8)):
        yield chance.choice(possible) if chance.random() < 0.35 else WELL


def shortened(story: Story, fails: Callable[[Story], bool]) -> Story:
    """A story that fails still, and of which no single step or fate can be left out."""
    size = max(1, len(story.steps) // 2)
    while True:
        shorter = next((each for each in _without(story, size) if fails(each)), None)
        if shorter is not None:
            story = shorter
        elif size > 1:
            size //= 2
        else:
            break
    while (calmer := next((each for each in _calmer(story) if fails(each)), None)) is not None:
        story = calmer
    return story


def _without(story: Story, size: int) -> Iterator[Story]:
    for start in reversed(range(0, len(story.steps), size)):
        steps = story.steps[:start] + story.steps[start + size :]
        yield replace(story, steps=steps)


def _calmer(story: Story) -> Iterator[Story]:
    for number, step in enumerate(story.steps):
        for fewer in _calmer_steps(step):
            steps = (*story.steps[:number], fewer, *story.steps[number + 1 :])
            yield replace(story, steps=steps)


def _calmer_steps(step: Step) -> Iterator[Step]:
    if step.dies is not None:
        yield replace(step, dies=None)
    for number, fate in enumerate(step.fates):
        if number == len(step.fates) - 1:
            yield replace(step, fates=step.fates[:-1])
        elif fate != WELL:
            fates = (*step.fates[:number], WELL, *step.fates[number + 1 :])
            yield replace(step, fates=fates)
