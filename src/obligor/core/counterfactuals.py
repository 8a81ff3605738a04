"""What would have to be otherwise for an application to reach the cut-off: the nearest changes of few characteristics.

Only characteristics that the contract calls changeable are moved, and only to ordinary bins: nobody is told to withhold a
value. Fewer characteristics are nearer; of as many, those that move over fewer bins; of these, those that keep the score
closest above the cut-off. Every answer is scored again, pairs included, before it is given.

The search is exact, and bounded: a set of changes is left as soon as what it could still gain does not reach the cut-off, or
as soon as it is further than the nearest that are known; the last change is looked up in a sorted list. Of three changes it
asks for at most ``MOVES_OF_THREE`` moves, those that could gain most, so that n such moves cost less than n^3 / 6 look-ups.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from obligor.core.scorecard import Scorecard

    Check = Callable[["Counterfactual"], "Counterfactual | None"]

MOST_CHANGES = 2
CHANGES_MAX = 3
MOVES_OF_THREE = 300
_ASKED = 40


@dataclass(frozen=True, slots=True)
class Change:
    """One characteristic, the bin that the application is in, and one in which it would earn what it needs."""

    feature: str
    from_bin: str
    to_bin: str
    to_code: int
    """The place of that bin among those of the characteristic."""
    value: object = None
    """The value in it with which the application was scored again; None where the bins alone were."""


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """Changes that together reach the cut-off, and the score that they give."""

    changes: tuple[Change, ...]
    score: int
    """In thousandths."""
    scored: Literal["bins", "application"] = "bins"
    """What was scored again: the bins, all others as they are; or the application with other values, so that whatever reads
    them moves too."""


def score_of_bins(card: Scorecard, bins: Sequence[int]) -> int:
    """Add up the points of some bins, in the order of the card, pairs included."""
    total = card.base_points + sum(it.points[code] for it, code in zip(card.characteristics, bins, strict=True))
    code_of = dict(zip((it.feature for it in card.characteristics), bins, strict=True))
    return total + sum(it.by_bin[code_of[it.features[0]]][code_of[it.features[1]]] for it in card.pairs)


def counterfactuals(
    card: Scorecard,
    bins: Sequence[int],
    *,
    most_changes: int = MOST_CHANGES,
    most: int = 3,
    check: Check | None = None,
) -> tuple[Counterfactual, ...]:
    """Give the nearest ways to reach the cut-off, the nearest first; none where the application is there already.

    Parameters
    ----------
    bins
        The bin of each characteristic, in the order of the card.
    most_changes
        The most characteristics that may change at once, up to three.
    check
        Scores a way again by other means and gives it with that score, or nothing where it does not hold; the nearest
        forty of as many changes are asked.
    """
    if not 0 <= most_changes <= CHANGES_MAX:
        raise ValueError(f"most_changes: got {most_changes}, wanted 0 to {CHANGES_MAX}")
    if score_of_bins(card, bins) >= card.cutoff.score:
        return ()
    search = _Search.of(card, bins)
    for count in range(1, most_changes + 1):
        ways = (_told(card, bins, moves) for moves in search.nearest(count, most=_ASKED if check else most))
        held = [way for way in ways if way.score >= card.cutoff.score]
        if check:
            held = [checked for way in held if (checked := check(way)) is not None]
        if held:
            return tuple(held[:most])
    return ()


def _told(card: Scorecard, bins: Sequence[int], moves: Sequence[_Move]) -> Counterfactual:
    """Say what changes, and score the bins again from the card."""
    moved = list(bins)
    for move in moves:
        moved[move.at] = move.code
    changes = (
        Change(it.feature, it.bins[bins[at]].label, it.bins[moved[at]].label, moved[at])
        for at, it in enumerate(card.characteristics)
        if moved[at] != bins[at]
    )
    return Counterfactual(tuple(changes), score_of_bins(card, moved))


class _Move(NamedTuple):
    """One characteristic in another ordinary bin; in this order the nearest comes first."""

    steps: int
    gain: int
    """In thousandths, all else unmoved."""
    at: int
    code: int


class _Way(NamedTuple):
    """Moves that reach the cut-off together; in this order the nearest comes first."""

    steps: int
    gain: int
    moves: tuple[tuple[int, int], ...]
    """Places and codes."""
    made_of: tuple[_Move, ...]


@dataclass(slots=True)
class _Nearest:
    """The nearest ways found so far, at most so many."""

    most: int
    ways: list[_Way] = field(default_factory=list)

    def too_far(self, steps: int) -> bool:
        return len(self.ways) >= self.most and steps > self.ways[-1].steps

    def no_better(self, steps: int, gain: int) -> bool:
        """Whether so many steps and at least such a gain come after all that are known."""
        return len(self.ways) >= self.most and (steps, gain) > self.ways[-1][:2]

    def keep(self, way: _Way) -> None:
        insort(self.ways, way)
        del self.ways[self.most :]


@dataclass(frozen=True, slots=True)
class _Search:
    """The useful moves of an application, and what two of them gain beyond each of them alone."""

    need: int
    """The thousandths that are wanting."""
    moves: tuple[_Move, ...]
    together: dict[tuple[int, int], tuple[tuple[int, ...], ...]]
    """By the places of both characteristics of a pair and their codes; 0 in the bins where the application is."""

    @classmethod
    def of(cls, card: Scorecard, bins: Sequence[int]) -> _Search:
        places = {it.feature: at for at, it in enumerate(card.characteristics)}
        alone = {
            at: [points - it.points[bins[at]] for points in it.points] for at, it in enumerate(card.characteristics)
        }
        together = {}
        for pair in card.pairs:
            one, other = (places[name] for name in pair.features)
            cells, row, column = pair.by_bin, bins[one], bins[other]
            here = cells[row][column]
            alone[one] = [gain + line[column] - here for gain, line in zip(alone[one], cells, strict=True)]
            alone[other] = [gain + points - here for gain, points in zip(alone[other], cells[row], strict=True)]
            beyond = tuple(
                tuple(points - line[column] - cells[row][to] + here for to, points in enumerate(line)) for line in cells
            )
            together[one, other] = beyond
            together[other, one] = tuple(zip(*beyond, strict=True))
        moves = tuple(
            _Move(_steps(card, bins, at, code), alone[at][code], at, code)
            for at, it in enumerate(card.characteristics)
            if it.changeable
            for code in range(it.binning.ordinary)
            if code != bins[at]
        )
        return cls(card.cutoff.score - score_of_bins(card, bins), moves, together)

    def nearest(self, count: int, *, most: int) -> list[tuple[_Move, ...]]:
        """Give the nearest ways of exactly so many moves, where fewer do not reach the cut-off."""
        hopes = {
            move: hope for move in self.moves if (hope := self._hope(move)) > 0
        }  # without the others it gains more
        if count >= CHANGES_MAX:
            foremost = sorted(hopes, key=lambda move: (-hopes[move], move))[:MOVES_OF_THREE]
            hopes = {move: hopes[move] for move in foremost}
        found = _Nearest(most)
        if hopes:
            _Walk(self, _by_place(hopes), found).on(0, (), gain=0, steps=0, left=count)
        return [way.made_of for way in found.ways]

    def _hope(self, move: _Move) -> int:
        """Give a bound of what a move can add to any others."""
        reached = {other.at: 0 for other in self.moves if (move.at, other.at) in self.together}
        for other in self.moves:
            if other.at in reached:
                reached[other.at] = max(reached[other.at], self.together[move.at, other.at][move.code][other.code])
        return move.gain + sum(reached.values())

    def beyond(self, chosen: Sequence[_Move], move: _Move) -> int:
        """Give what a move gains beside others more than it gains alone."""
        return sum(
            cells[it.code][move.code] for it in chosen if (cells := self.together.get((it.at, move.at))) is not None
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """The moves of one characteristic: nearest first, by steps, and the best that one can hope for."""

    at: int
    moves: tuple[_Move, ...]
    by_steps: tuple[tuple[int, list[_Move]], ...]
    """Of as many steps, in the order of what they gain."""
    hope: int


def _by_place(hopes: dict[_Move, int]) -> tuple[_Place, ...]:
    held: dict[int, list[_Move]] = defaultdict(list)
    for move in sorted(hopes):
        held[move.at].append(move)
    places = []
    for at, moves in sorted(held.items()):
        by_steps: dict[int, list[_Move]] = defaultdict(list)
        for move in moves:
            by_steps[move.steps].append(move)
        places.append(_Place(at, tuple(moves), tuple(by_steps.items()), max(hopes[move] for move in moves)))
    return tuple(places)


@dataclass(frozen=True, slots=True)
class _Walk:
    """A walk through sets of moves, place after place, that leaves a set which cannot reach or is too far."""

    search: _Search
    places: tuple[_Place, ...]
    found: _Nearest

    def on(self, first: int, chosen: tuple[_Move, ...], *, gain: int, steps: int, left: int) -> None:
        if left == 1:
            self._last(first, chosen, gain=gain, steps=steps)
            return
        for index in range(first, len(self.places) - left + 1):
            hopes = sorted((it.hope for it in self.places[index + 1 :]), reverse=True)
            most = sum(hopes[: left - 1])
            for move in self.places[index].moves:
                if self.found.too_far(steps + move.steps + left - 1):
                    break
                gained = gain + move.gain + self.search.beyond(chosen, move)
                if gained + most >= self.search.need:
                    self.on(index + 1, (*chosen, move), gain=gained, steps=steps + move.steps, left=left - 1)

    def _last(self, first: int, chosen: tuple[_Move, ...], *, gain: int, steps: int) -> None:
        wanting = self.search.need - gain
        for place in self.places[first:]:
            if place.hope < wanting:
                continue
            tied = any((it.at, place.at) in self.search.together for it in chosen)
            for more, moves in place.by_steps:
                if self.found.too_far(steps + more):
                    break
                least = self.search.need if tied else max(self.search.need, gain + moves[0].gain)
                if self.found.no_better(steps + more, least):
                    continue
                for own, move in self._reaching(chosen, moves, wanting, tied=tied):
                    made_of = (*chosen, move)
                    told = tuple((it.at, it.code) for it in made_of)
                    self.found.keep(_Way(steps + more, gain + own, told, made_of))

    def _reaching(
        self, chosen: tuple[_Move, ...], moves: list[_Move], wanting: int, *, tied: bool
    ) -> list[tuple[int, _Move]]:
        """Give the moves that gain what is wanting with the least to spare, and what each gains."""
        if tied:
            gains = ((move.gain + self.search.beyond(chosen, move), move) for move in moves)
            return sorted(it for it in gains if it[0] >= wanting)[: self.found.most]
        start = bisect_left(moves, wanting, key=attrgetter("gain"))
        return [(move.gain, move) for move in moves[start : start + self.found.most]]


def _steps(card: Scorecard, bins: Sequence[int], at: int, code: int) -> int:
    """Count the bins between two places; groups of a category, and what is no value, are one step from everything."""
    it = card.characteristics[at]
    return abs(bins[at] - code) if it.kind == "numeric" and bins[at] < it.binning.ordinary else 1
