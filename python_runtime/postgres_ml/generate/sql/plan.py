"""What a function body has to compute: which steps, in which groups, over which simplified trees.

Decided once for a program and the slots that are asked for; the same for the ordinary and the exact path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from postgres_ml.generate.sql.arguments import SIMPLE_CASE
from postgres_ml.generate.sql.fold.slots import Categorical, CategoryKey, Computed, Monotone, Slot
from postgres_ml.generate.sql.trees.nodes import Member, Node, branches, count_branches, expected_visits
from postgres_ml.generate.sql.trees.simplify import Facts, Simplifier
from postgres_ml.program.program import Program, Step
from postgres_ml.program.scorers import Linear, TreeEnsemble

# A tree that adds to more outputs than this is evaluated once, to a leaf number; others once an output.
SEPARATE_OUTPUTS = 2
DIRECT_READS = 2  # a category that is compared more often is turned into a number first


@dataclass(frozen=True)
class EnsemblePlan:
    """A tree ensemble's simplified trees, for the outputs that are asked for.

    Parameters
    ----------
    positions : these outputs
    trees : the outputs that each tree adds to (indices into `positions`), and the tree with their values
    """

    step: int
    ensemble: TreeEnsemble
    positions: tuple[int, ...]
    trees: tuple[tuple[tuple[int, ...], Node], ...]

    @cached_property
    def n_nodes(self) -> int:
        """Conditions and leaves."""
        return sum(2 * count_branches(node) + 1 for _, node in self.trees)

    @cached_property
    def visits(self) -> float:
        """Conditions that a row meets."""
        return sum(expected_visits(node) for _, node in self.trees)


@dataclass
class Plan:
    """The steps of one function body.

    Parameters
    ----------
    roots : the slots that are asked for
    positions : the outputs needed of each step that SQL computes
    uses : how often each slot is read
    lookups : how often arithmetic reads each category
    groups : the steps in order; a tree ensemble is a group of its own
    ensembles : by step
    coded : categories that are read from a variable
    """

    program: Program
    slots: list[Slot]
    facts: Facts
    roots: tuple[int, ...]
    positions: dict[int, list[int]] = field(default_factory=dict)
    uses: Counter[int] = field(default_factory=Counter)
    lookups: Counter[CategoryKey] = field(default_factory=Counter)
    groups: list[list[int]] = field(default_factory=list)
    ensembles: dict[int, EnsemblePlan] = field(default_factory=dict)
    coded: frozenset[CategoryKey] = frozenset()

    @property
    def n_nodes(self) -> int:
        """Conditions and leaves of all trees."""
        return sum(ensemble.n_nodes for ensemble in self.ensembles.values())


def make_plan(program: Program, slots: list[Slot], facts: Facts, roots: Iterable[int]) -> Plan:
    """Return the plan that computes the slots `roots`."""
    plan = Plan(program, slots, facts, tuple(dict.fromkeys(roots)))
    for root in plan.roots:
        _need(plan, root)
    for number in reversed(range(len(program.steps))):
        step = program.steps[number]
        previous: CategoryKey | None = None
        for index in _reads(step, sorted(plan.positions.get(number, []))):
            _need(plan, index)
            slot = slots[index]
            key = slot.key if isinstance(slot, Categorical) and not isinstance(step, TreeEnsemble) else None
            if key is not None and key != previous:  # one-hot slots side by side are read at once
                plan.lookups[key] += 1
            previous = key
    for number in sorted(plan.positions):
        plan.positions[number].sort()
        if isinstance(program.steps[number], TreeEnsemble):
            plan.ensembles[number] = _ensemble(plan, number)
            plan.groups.append([number])
        elif plan.groups and not isinstance(program.steps[plan.groups[-1][0]], TreeEnsemble):
            plan.groups[-1].append(number)
        else:
            plan.groups.append([number])
    plan.coded = _coded(plan)
    return plan


def _need(plan: Plan, index: int) -> None:
    slot = plan.slots[index]
    plan.uses[index] += 1
    if isinstance(slot, Computed):
        positions = plan.positions.setdefault(slot.step, [])
        if slot.position not in positions:
            positions.append(slot.position)
    elif isinstance(slot, Monotone) and slot.source.slot is not None:
        _need(plan, slot.source.slot)


def _reads(step: Step, positions: list[int]) -> tuple[int, ...]:
    """Return the slots that the step reads, as often as the SQL of these outputs does."""
    reads = step.reads_for(positions)
    # the outputs of a linear map are sums of their own, each of which reads all slots
    return reads * len(positions) if isinstance(step, Linear) else reads


def _ensemble(plan: Plan, number: int) -> EnsemblePlan:
    ensemble = plan.program.steps[number]
    assert isinstance(ensemble, TreeEnsemble)
    positions = plan.positions[number]
    simplifier = Simplifier(ensemble, plan.slots, plan.facts)
    trees: list[tuple[tuple[int, ...], Node]] = []
    for tree in ensemble.trees:
        wanted = [(positions.index(o), column) for column, o in enumerate(tree.outputs) if o in positions]
        if len(wanted) > SEPARATE_OUTPUTS:
            node = simplifier.tree(tree, [column for _, column in wanted])
            trees.append((tuple(output for output, _ in wanted), node))
        else:
            trees += [((output,), simplifier.tree(tree, [column])) for output, column in wanted]
    return EnsemblePlan(number, ensemble, tuple(positions), tuple(trees))


def _coded(plan: Plan) -> frozenset[CategoryKey]:
    """Return the categories that are worth a variable: text that is compared again and again."""
    reads: Counter[CategoryKey] = Counter()
    for ensemble in plan.ensembles.values():
        for _, root in ensemble.trees:
            for node in branches(root):
                if isinstance(node.condition, Member):
                    reads[node.condition.key] += 1
    for key, n in plan.lookups.items():
        reads[key] += DIRECT_READS + 1 if len(key.values) > SIMPLE_CASE else n
    kinds = [item.kind for item in plan.program.inputs]
    return frozenset(
        key for key, n in reads.items() if n > DIRECT_READS and key.values and kinds[key.input] != "boolean"
    )
