"""Feeds for a model never seen before: roles and sizes from the graph, tried until the original runs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from graphopt.equality.arrays import KEYS, Array, flatten_outputs
from graphopt.equality.compare import size
from graphopt.equality.dims import DimPlan, Variable, plan_dims
from graphopt.equality.feedset import FeedSet
from graphopt.equality.jittered import Run
from graphopt.equality.lift import inlined
from graphopt.equality.roles import Kind, Role, plain_counts, roles, with_ranks
from graphopt.equality.tolerance import is_float
from graphopt.equality.values import Draw, make_values
from graphopt.errors import BackendError, FeedError

Result = tuple[FeedSet, dict[str, Array]]
"""A feed set and what the original makes of it."""

_SCALES = (1.0, 10.0, 0.1)
"""Sizes of float values, tried until the outputs say something."""

_SCALE_SECONDS = 2.0
"""A model that takes longer for its value sets is not run again on other scales."""

_MOST_CHOICES = 4
_SEARCH_SECONDS = 60.0
"""A search for sizes that has found nothing by then gives up."""

CONSTANT = "the same for every set of inputs tried"
PLAIN = "the model ran only with integer inputs that are all ones"
EMPTY = "all zeros, NaN or infinite for every set of inputs tried"


@dataclass(frozen=True)
class DerivedFeeds:
    """Feeds and what the original made of them.

    Attributes:
        feeds: the sets.
        outputs: of the original, one mapping per feed.
        primary: how many of the feeds, from the front, share one setting; the others only add a shape
            or a branch.
        notes: sentences for a person.
        uninformative: output → why its check is weak.
    """

    feeds: tuple[FeedSet, ...]
    outputs: tuple[dict[str, Array], ...]
    primary: int
    notes: tuple[str, ...] = ()
    uninformative: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """Sizes and branch selectors under which the original runs.

    Attributes:
        sizes: dim variable → size.
        roles: the inputs, with one choice each.
        variant: number of the value set that was tried.
    """

    sizes: Mapping[str, int]
    roles: tuple[Role, ...]
    variant: int = 0


def derive_feeds(model: ir.Model, run: Run, *, value_sets: int = 3, seed: int = 0) -> DerivedFeeds:
    """Make inputs on which the original runs and says something.

    Args:
        model: the original.
        run: computes its outputs; raises FeedError or BackendError on feeds it cannot take.
        value_sets: sets of values under the first setting; each further shape or branch adds one.
        seed: of the values.

    Raises:
        FeedError: no sizes were found under which the original runs; the message carries its last
            complaint.
    """
    flat = inlined(model)
    all_roles = roles(flat)
    if not all_roles:
        value_sets = 1
    maker, settings, notes = _first_that_runs(flat, all_roles, run, value_sets, seed)
    done = _best_scale(maker, settings[0], value_sets)
    primary = len(done)
    for setting in settings[1:]:
        result = maker.run(setting, setting.variant)
        done += [result] if not isinstance(result, str) else []
    feeds, outputs = tuple(f for f, _ in done), tuple(o for _, o in done)
    return DerivedFeeds(feeds, outputs, primary, notes, uninformative(outputs[:primary]))


class _Maker:
    """Makes feeds under a setting and runs the original on them; remembers what ran."""

    def __init__(self, plan: DimPlan, run: Run, seed: int) -> None:
        self.plan = plan
        self._run = run
        self._seed = seed
        self._known: dict[tuple[object, ...], Result] = {}

    def run(self, setting: Setting, variant: int, scale: float = 1.0) -> Result | str:
        """A feed set with the original's outputs, or the original's complaint."""
        key = (tuple(setting.sizes.items()), setting.roles, variant, scale)
        if key not in self._known:
            feed = self._make(setting, variant, scale)
            try:
                self._known[key] = feed, flatten_outputs(self._run(feed.values))
            except (FeedError, BackendError) as error:
                return error.message
        return self._known[key]

    def _make(self, setting: Setting, variant: int, scale: float) -> FeedSet:
        """The same arguments give the same values."""
        rng = np.random.default_rng([self._seed, variant])
        shapes = {role.port.name: self.plan.shape(role.port.name, setting.sizes) for role in setting.roles}
        longest = max((s[-1] if len(s) < 3 else s[1] for s in shapes.values() if len(s) > 1), default=1)
        values = {
            role.port.name: make_values(Draw(role, shapes[role.port.name], rng, variant, scale, longest))
            for role in setting.roles
        }
        return FeedSet(f"set {variant}", values)


def _first_that_runs(
    flat: ir.Model, all_roles: tuple[Role, ...], run: Run, value_sets: int, seed: int
) -> tuple[_Maker, list[Setting], tuple[str, ...]]:
    """The settings found with the likeliest ranks and values; plainer values when none runs."""
    problem: FeedError | None = None
    for plain in (False, True):
        for candidate in with_ranks(plain_counts(all_roles) if plain else all_roles):
            if plain and candidate == all_roles:
                continue
            maker = _Maker(plan_dims(flat, candidate), run, seed)
            try:
                settings, notes = _settings(maker, candidate, value_sets)
            except FeedError as error:
                problem = problem or error
                continue
            return maker, settings, (*notes, *((PLAIN,) if plain else ()))
    assert problem is not None
    raise problem


def _settings(
    maker: _Maker, all_roles: tuple[Role, ...], value_sets: int
) -> tuple[list[Setting], tuple[str, ...]]:
    """The first setting that runs, and others with another branch or another shape."""
    found: list[Setting] = []
    complaint = ""
    for chosen in itertools.islice(_branches(all_roles), _MOST_CHOICES):
        variant = value_sets + len(found) - 1 if found else 0
        result = _search(maker, chosen, variant, found[0].sizes if found else None)
        if isinstance(result, Setting):
            found.append(result)
        else:
            complaint = result
    if not found:
        raise FeedError(
            f"no input sizes were found on which the model runs; its last complaint: {complaint}",
            "pass --inputs file.npz, or fix the sizes with --shape",
        )
    other = _other_shape(maker, found[0], value_sets + len(found) - 1)
    missing = maker.plan.variables and not other
    notes = ("no second shape was found on which the model runs",) if missing else ()
    return [*found, *([other] if other else [])], notes


def _search(
    maker: _Maker, chosen: tuple[Role, ...], variant: int, first: Mapping[str, int] | None
) -> Setting | str:
    complaint, deadline = "", time.monotonic() + _SEARCH_SECONDS
    for sizes in itertools.chain([dict(first)] if first else [], maker.plan.assignments()):
        setting = Setting(sizes, chosen, variant)
        result = maker.run(setting, variant)
        if not isinstance(result, str):
            return setting
        complaint = result
        if time.monotonic() > deadline:
            break
    return complaint


def _other_shape(maker: _Maker, base: Setting, variant: int) -> Setting | None:
    """Another shape that runs: as many open dims as possible away from the first setting."""
    for sizes in _other_sizes(maker.plan, base.sizes):
        setting = Setting(sizes, base.roles, variant)
        if not isinstance(maker.run(setting, variant), str):
            return setting
    return None


def _branches(all_roles: tuple[Role, ...]) -> Iterator[tuple[Role, ...]]:
    """The roles with each combination of branch selectors put first; the first value of each at first."""
    selectors = [role.choices if role.kind is Kind.CHOICE else (None,) for role in all_roles]
    for combination in itertools.product(*selectors):
        yield tuple(
            role if choice is None else replace(role, choices=(choice,))
            for role, choice in zip(all_roles, combination, strict=True)
        )


def _other_sizes(plan: DimPlan, sizes: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Every open dim moved at once, then all but the batch, then each alone; small moves first.

    Heights and widths first become different: a transposed image is not seen in a square.
    """
    movable = {v: [s for s in v.sizes if s != sizes[v.name]] for v in plan.variables}
    movable = {v: others for v, others in movable.items() if others}
    groups: dict[str, list[Variable]] = {}
    for variable in movable:
        groups.setdefault(variable.group or variable.name, []).append(variable)
    for step, spread in ((0, 1), (0, 0), (1, 0), (2, 0)):
        moved = {
            v.name: movable[v][min(step + spread * place, len(movable[v]) - 1)]
            for members in groups.values()
            for place, v in enumerate(members)
        }
        if moved:
            yield {**sizes, **moved}
        longer = {name: dim for name, dim in moved.items() if sizes[name] > 1}
        if longer and longer != moved:
            yield {**sizes, **longer}
        # The batch, which is one, is the least telling to move alone.
        for name in sorted(moved, key=lambda name: sizes[name] == 1):
            if len(moved) > 1:
                yield {**sizes, name: moved[name]}


def _best_scale(maker: _Maker, setting: Setting, value_sets: int) -> list[Result]:
    """The value sets, at the size of values that leaves the fewest outputs uninformative."""
    best: list[Result] = []
    fewest, started = 0, time.monotonic()
    for scale in _SCALES:
        tried = [maker.run(setting, variant, scale) for variant in range(value_sets)]
        good = [result for result in tried if not isinstance(result, str)]
        if not good:
            continue
        silent = len(uninformative([outputs for _, outputs in good])) + value_sets - len(good)
        if not best or silent < fewest:
            best, fewest = good, silent
        slow = time.monotonic() - started > _SCALE_SECONDS
        if fewest == 0 or slow or not any(is_float(role.port.numpy_dtype()) for role in setting.roles):
            break
    return best


def uninformative(outputs: Sequence[Mapping[str, Array]]) -> dict[str, str]:
    """The outputs that say nothing about the inputs: constant or without any finite non-zero value."""
    silent: dict[str, str] = {}
    for name, first in outputs[0].items():
        if name.endswith(KEYS):  # the labels of a map never change
            continue
        values = [o[name] for o in outputs if name in o]
        if is_float(first.dtype) and all(size(v).peak == 0.0 for v in values):
            silent[name] = EMPTY
        elif len(values) > 1 and all(_equal(first, v) for v in values[1:]):
            silent[name] = CONSTANT
    return silent


def _equal(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
