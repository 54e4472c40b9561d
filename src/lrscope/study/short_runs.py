"""Short runs that find a learning rate: which to make next, and what they say. Pure functions of those made so far.

A short run is the whole schedule compressed into a few updates, so that it is annealed as the full run will be. Where
there would be too few, the batch is cut: for the same examples half of it buys twice the updates. Very short runs,
three octaves apart, look for the region; longer ones walk there until, right of the best rate, a tenth of what training
gains is lost again. That edge is sharper than the flat minimum left of it. However short the run, it lies about as far
above the full run's optimum as the full run's own edge does, and lower with a smaller batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lrscope.errors import InvalidInput
from lrscope.estimate import Estimate
from lrscope.scaling.edge import Edge, best_octave, find_edge
from lrscope.study.belief import believe, quantile

FindStatus = Literal["found", "inconclusive", "all_diverged"]
Stage = Literal["look", "walk"]

SCHEDULE = "warmup(5%) -> cosine"  # a study's default
STEP: dict[Stage, float] = {"look": 3.0, "walk": 1.0}  # octaves between runs
SHARE: dict[Stage, float] = {"look": 1 / 27, "walk": 1 / 5.4}  # of the budget that one run takes
ENOUGH_UPDATES: dict[Stage, int] = {"look": 8, "walk": 12}  # a run that would have fewer has its batch cut
FEWEST_UPDATES = 4
SMALLEST_BATCH = 4  # that a batch is cut to: BatchNorm, say, has no use for one example
LOWEST, HIGHEST = -24.0, 10.0  # log₂ η that is never left
FINE_GAP = 0.6  # octaves: an edge between rates so near is known well enough
NOTHING = 0.02  # a gain below this share of the initial loss is none
LITTLE = 0.1  # a gain that is too small to be sure: edges seen through less are off by 1.2 octaves or more
HARM = 0.2  # a loss above the initial one by this share of it: less may be BatchNorm's averages, not yet settled

ABOVE_NORMALISED, BATCH_EXPONENT = 1.3, 1 / 3
"""Octaves from the full run's optimum to the edge for optimizers that divide by the gradient's size, and by how many
the edge falls with each halving of the batch. A robust straight line through the edges of 149 walks for 62 optima of
eleven tasks gives 1.2 and 0.37."""

ABOVE_OTHERS, EARLY, USUALLY_EARLY = 2.6, 1.4, 0.4
"""The same octaves for other optimizers, how many fewer they are where runs five times shorter gain as much, and the
share of the gain that those make as a rule. What is learned late sharpens the loss late, at rates that a few updates
survive. A line through 32 optima of seven tasks with momentum gives 2.1 and 1.2: half an octave more, as their full
runs blow up at random, and lose little at rates too low."""

EDGE_SPREAD, ROUGH_SPREAD = 1.0, 1.5
"""Octaves, the standard deviation of what those edges say of the optimum (0.98), and of what a very short run's says
(1.41, of 154) or a best rate beyond which no edge was seen (1.50, of 31)."""

LEAN_NORMALISED, LEAN_OTHERS = 0.5, 0.4
"""The answer's share of the belief. Under SGD a rate too high costs more than one too low: of 192 answers for eight
tasks, 76 % lose at most 5 % of the possible drop with the median, 89 % with this."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a rate is searched for.

    Arguments:
        total_steps, batch_size: of the full run. smallest_batch: that a short run may be cut to.
        budget: what may be spent, in full runs. usual: log₂ of the rate that is usual for the optimizer.
        normalised: whether that divides by the gradient's size, as Adam does.

    Raises:
        InvalidInput: the budget is none.
    """

    total_steps: int
    batch_size: int
    smallest_batch: int
    budget: float
    usual: float
    normalised: bool

    def __post_init__(self) -> None:
        if not 0 < self.budget <= 10:
            raise InvalidInput(f"--budget must lie between 0 and 10 full runs. Got {self.budget:g}.")

    @property
    def full_examples(self) -> int:
        """The examples of one full run."""
        return self.total_steps * self.batch_size


@dataclass(frozen=True, kw_only=True)
class ShortRun:
    """A run to be made: log₂ of its peak rate, the updates of its whole schedule, the examples of each."""

    stage: Stage
    octave: float
    steps: int
    batch_size: int


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A short run that was made: its training loss at the end (inf = diverged), and the examples that it saw."""

    run: ShortRun
    loss: float
    initial_loss: float
    examples: int

    @property
    def did_harm(self) -> bool:
        """Whether it ended well above where it began: its rate is too high."""
        return not self.loss <= self.initial_loss + HARM * abs(self.initial_loss)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What short runs come to: the suggestion with its 80 % interval, None where every run diverged."""

    status: FindStatus
    suggestion: Estimate | None
    advice: str


def search(job: Job, train: Callable[[ShortRun], Branch]) -> tuple[tuple[Branch, ...], Reading]:
    """Ask for short runs and make them, until there is nothing left to ask."""
    done: list[Branch] = []
    while asked := next_runs(job, done):
        done += map(train, asked)
    return tuple(done), read_branches(job, done)


def next_runs(job: Job, done: Sequence[Branch]) -> list[ShortRun]:
    """The next short runs, those that the budget still pays for; empty when the search is finished."""
    left = job.budget * job.full_examples - sum(branch.examples for branch in done)
    for stage in STEP:
        curve = _Curve(job, stage, done)
        runs = [short_run(job, stage, octave) for octave in curve.next_octaves()]
        new = [run for run in dict.fromkeys(runs) if run.octave not in curve.losses]
        if new:
            return new[: max(0, math.floor(left / (new[0].steps * new[0].batch_size)))]
    return []


def short_run(job: Job, stage: Stage, octave: float) -> ShortRun:
    """A run of the stage's length at a rate."""
    examples = job.budget * job.full_examples * SHARE[stage]
    size = job.batch_size
    while size // 2 >= job.smallest_batch and examples / size < ENOUGH_UPDATES[stage]:
        size //= 2
    steps = min(job.total_steps, max(FEWEST_UPDATES, math.floor(examples / size)))
    return ShortRun(stage=stage, octave=min(max(octave, LOWEST), HIGHEST), steps=steps, batch_size=size)


class _Curve:
    """The loss against log₂ η of one stage's runs; where a lower rate did harm, a higher one that did not was lucky."""

    def __init__(self, job: Job, stage: Stage, done: Sequence[Branch]) -> None:
        self.job, self.stage, self.done = job, stage, done
        mine = [branch for branch in done if branch.run.stage == stage]
        too_high = min((branch.run.octave for branch in mine if branch.did_harm), default=math.inf)
        octaves = {branch.run.octave: branch.loss for branch in mine}
        self.losses = {octave: loss if octave < too_high else math.inf for octave, loss in octaves.items()}
        self.initial = mine[0].initial_loss if mine else math.inf
        self.best = best_octave(self.losses)
        self.edge: Edge | None = find_edge(self.losses, self.initial) if mine else None

    @property
    def gain(self) -> float:
        """What the best run gained, as a share of the initial loss."""
        if self.best is None:
            return -math.inf
        return (self.initial - self.losses[self.best]) / max(abs(self.initial), 1e-12)

    def next_octaves(self) -> list[float]:
        """At first where the edge is expected; then left while the best is the lowest, right until the edge is seen."""
        step, octaves = STEP[self.stage], sorted(self.losses)
        look = self if self.stage == "look" else _Curve(self.job, "look", self.done)
        if not octaves:
            return self._first_octaves(look)
        if self.best is None:
            return [octaves[0] - step]
        if self.gain < NOTHING:
            if look.gain >= NOTHING:  # at such rates the shorter runs would not have learned more: these are too high
                return [octaves[0] - step]
            return [] if math.isinf(self.losses[octaves[-1]]) else [octaves[-1] + step]
        if self.best == octaves[0]:
            return [octaves[0] - step]
        if self.edge is None:
            return [octaves[-1] + step]
        narrow = self.stage == "look" or self.edge.upper - self.edge.lower <= FINE_GAP
        return [] if narrow else [(self.edge.lower + self.edge.upper) / 2]

    def _first_octaves(self, look: _Curve) -> list[float]:
        """About where the edge is expected, but half an octave lower: from there, most walk to the right."""
        step = STEP[self.stage]
        if self.stage == "walk" and look.best is None:  # every look did harm, down to the lowest rate
            return []
        optimum = quantile(believe(self.job.usual, look.evidence()), 0.5)
        edge = round(4 * (optimum + self.above_optimum() - 0.5)) / 4
        return [edge - step, edge, edge + step] if self.stage == "look" else [edge - step, edge]

    def above_optimum(self) -> float:
        """Octaves from the full run's optimum to the edge of runs of this stage."""
        cut = self.job.batch_size / short_run(self.job, self.stage, 0.0).batch_size
        whole = ABOVE_NORMALISED if self.job.normalised else ABOVE_OTHERS - EARLY * self._early_share()
        return whole - BATCH_EXPONENT * math.log2(cut)

    def _early_share(self) -> float:
        """The share of the walk's gain that the looks made already."""
        if self.stage == "look" or self.gain < NOTHING:
            return USUALLY_EARLY
        return min(max(_Curve(self.job, "look", self.done).gain, 0.0) / self.gain, 1.0)

    def evidence(self) -> list[tuple[float, float]]:
        """What the runs say of the full run's optimum, log₂ η, and its standard deviation; empty where nothing."""
        if self.best is None or self.gain < NOTHING:
            return []
        if self.edge is None:
            return [(self.best + 1.0 - self.above_optimum(), ROUGH_SPREAD)]
        if self.stage == "look":  # the losses right of an edge so wide say little of where it lies in between
            return [((self.edge.lower + self.edge.upper) / 2 - self.above_optimum(), ROUGH_SPREAD)]
        spread = ROUGH_SPREAD if self.gain < LITTLE else EDGE_SPREAD
        return [(self.edge.octave - self.above_optimum(), spread)]


def read_branches(job: Job, done: Sequence[Branch]) -> Reading:
    """Status, suggestion and advice from the short runs: the belief's central 80 %, and the answer in it."""
    if done and all(branch.did_harm for branch in done):
        lowest = 2.0 ** min(branch.run.octave for branch in done)
        advice = f"Every short run diverged, down to {lowest:.2g}: look at the loss and the data."
        return Reading(status="all_diverged", suggestion=None, advice=advice)
    walk, look = _Curve(job, "walk", done), _Curve(job, "look", done)
    chance = believe(job.usual, walk.evidence() or look.evidence())
    lean = LEAN_NORMALISED if job.normalised else LEAN_OTHERS
    low, value, high = (2.0 ** quantile(chance, share) for share in (0.1, lean, 0.9))
    suggestion = Estimate(value, low, high)
    doubt = _doubt(job, walk)
    if doubt:
        advice = f"{doubt}: ask `lrscope study`, or allow more with --budget."
        return Reading(status="inconclusive", suggestion=suggestion, advice=advice)
    advice = f"Train at {value:.2g}, for the least training loss."
    return Reading(status="found", suggestion=suggestion, advice=advice)


def _doubt(job: Job, walk: _Curve) -> str:
    """Why the walk's runs do not settle the rate; empty where they do."""
    if len(walk.losses) < 2:
        return f"A budget of {job.budget:g} of {job.total_steps} updates is too small for runs that tell rates apart"
    if walk.gain < LITTLE:
        return "The short runs learned next to nothing"
    if walk.best == min(walk.losses):
        return "The lowest rate tried did best, and lower ones may do better"
    return ""
