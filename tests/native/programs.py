"""Random scoring programs that use every kind of step, and rows for them."""

from __future__ import annotations

import datetime
import math
import random
from decimal import Decimal
from typing import Any

from postgres_ml.program import encoders, scorers
from postgres_ml.program.characters import CLASSES
from postgres_ml.program.program import Input, Program, Value

INPUTS = (
    Input("d", "double precision", "number"),
    Input("r", "real", "number"),
    Input("n", "numeric", "number"),
    Input("s", "smallint", "number"),
    Input("i", "integer", "number"),
    Input("l", "bigint", "number"),
    Input("b", "boolean", "boolean"),
    Input("t", "text", "text"),
    Input("v", "character varying", "text"),
    Input("c", "character", "text"),
    Input("born", "date", "date"),
    Input("at", "time without time zone", "time"),
    Input("seen", "timestamp without time zone", "timestamp"),
    Input("logged", "timestamp with time zone", "timestamptz"),
)
TEXTS = ["", "a", "ä", "日本", "O'Brien", "a longer text than sixteen bytes", "$$", "WA", "wa"]
WORDS = [
    "a",
    "ä",
    "日本",
    "o",
    "brien",
    "o brien",
    "longer text",
    "σίσυφοσ",
    "wa",
    "🦉",
    "wa wa",
    "x",
    "yy",
    "e\u0301",
]
SENTENCES = [
    "WA wa, Wa!", "A longer text than a longer TEXT", "Ä\u200bä\u00a0日本、日本", "ΣΊΣΥΦΟΣ—o_brien O’Brien", "🦉🦉 🦉",
    "a " * 300, "E\u0301 e\u0301x \u0130", "x" * 70 + " x", "\x01\x1fwa\x7fa", "wa\u00adwa wa\ufeffa \U0010ffff",
]  # fmt: skip
PADDED = ["x", "yy", "ä"]
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    math.inf,
    -math.inf,
    math.nan,
    None,
    1e300,
    -1e300,
    5e-324,
    1e-45,
    3.5e38,
    0.1,
    16777217.0,
]
DATES = [
    datetime.date(1, 1, 1),
    datetime.date(1969, 12, 31),
    datetime.date(2000, 2, 29),
    datetime.date(9999, 12, 31),
]
UNARY = encoders.UnaryName.__args__  # type: ignore[attr-defined]
PARTS = encoders.DatePartName.__args__  # type: ignore[attr-defined]


class Maker:
    """Appends random steps; `exact` leaves out functions whose last digit the C library decides."""

    def __init__(self, seed: int, exact: bool) -> None:
        self.random = random.Random(seed)
        self.exact = exact
        self.steps: list[Any] = []
        self.n_slots = 0

    def add(self, step: Any) -> list[int]:
        self.steps.append(step)
        first = self.n_slots
        self.n_slots += step.width
        return list(range(first, self.n_slots))

    def slot(self) -> int:
        return self.random.randrange(self.n_slots)

    def slots(self, low: int = 1, high: int = 9) -> tuple[int, ...]:
        return tuple(self.slot() for _ in range(self.random.randint(low, high)))

    def number(self) -> float:
        return self.random.choice(
            [0.0, 1.0, -2.5, self.random.gauss(0, 3), float(self.random.randint(-5, 5))]
        )

    def increasing(self, n: int) -> tuple[float, ...]:
        return tuple(sorted({self.number() for _ in range(n)} | {-7.0, 9.0}))

    def category(self, position: int) -> None:
        kind = INPUTS[position].kind
        values: list[Any] = {
            "text": PADDED if INPUTS[position].name == "c" else TEXTS,
            "boolean": [False, True],
        }.get(kind, [0.0, 1.0, -1.0, 0.1, 2.5, 1e300])
        chosen = tuple(self.random.sample(values, self.random.randint(0, len(values))))
        refuse = self.random.random() < 0.1
        missing = None if refuse else self.number()
        unseen = math.nan if self.random.random() < 0.3 else self.number()
        self.add(encoders.Category(position, chosen, tuple(self.number() for _ in chosen), missing, unseen))

    def read_inputs(self) -> None:
        for position, item in enumerate(INPUTS):
            if item.kind in ("text", "boolean", "number"):
                if item.kind == "text" or self.random.random() < 0.4:
                    self.category(position)
            else:
                parts = [
                    p for p in PARTS if item.kind != "time" or p in ("hour", "minute", "second", "epoch")
                ]
                for part in self.random.sample(parts, 3):
                    self.add(encoders.DatePart(position, part))
            if item.kind == "text" and self.random.random() < 0.5:
                terms = tuple(self.random.sample(WORDS, self.random.randint(1, len(WORDS))))
                weights = tuple(self.random.choice([1.0, 1 + self.random.random() * 9]) for _ in terms)
                self.add(encoders.Words(position, terms, weights, self.random.choice(["l2", "none"])))
            if item.kind == "text" and self.random.random() < 0.5:
                chosen = self.random.sample(CLASSES, self.random.randint(1, len(CLASSES)))
                self.add(encoders.Characters(position, tuple(chosen)))
            if item.kind != "text":
                self.add(encoders.Number(position))
                if self.random.random() < 0.2:
                    self.add(encoders.Number(position))

    def encode(self) -> None:
        kinds: list[Any] = [
            lambda: encoders.OneHot(self.slot(), self.increasing(self.random.randint(1, 12))),
            lambda: encoders.Impute(self.slot(), self.number()),
            lambda: encoders.NullIf(self.slot(), self.number()),
            lambda: encoders.IsMissing(self.slot()),
            lambda: encoders.Arithmetic(self.slot(), self.random.choice("+-*"), self.number()),
            lambda: encoders.Arithmetic(self.slot(), "/", self.number() or 3.0),
            lambda: encoders.Unary(
                self.slot(), self.random.choice(["abs", "negative", "sign", "sqrt", "square"])
            ),
            lambda: encoders.Clip(self.slot(), -1.5, 2.25),
            lambda: encoders.Bucket(self.slot(), self.increasing(self.random.randint(1, 20))),
            self.piecewise_linear,
            lambda: encoders.Product(self.slots(1, 4)),
            lambda: encoders.Normalize(self.slots(), self.random.choice(["l1", "l2", "max"])),
        ]
        if not self.exact:
            kinds.append(lambda: encoders.Unary(self.slot(), self.random.choice(UNARY)))
        self.add(self.random.choice(kinds)())

    def piecewise_linear(self) -> encoders.PiecewiseLinear:
        x = self.increasing(self.random.randint(1, 9))
        return encoders.PiecewiseLinear(self.slot(), x, tuple(self.number() for _ in x))

    def tree(self, n_features: int, n_outputs: int, depth: int, codes: bool, single: bool) -> scorers.Tree:
        """A random tree whose nodes are numbered depth first, as no library's breadth-first reader expects."""
        nodes: list[list[Any]] = []
        outputs = tuple(sorted(self.random.sample(range(n_outputs), self.random.choice([1, n_outputs]))))

        def grow(left_depth: int) -> int:
            number = len(nodes)
            nodes.append([])
            if left_depth == 0 or self.random.random() < 0.15:
                values = tuple(self.random.gauss(0, 1) for _ in outputs)
                nodes[number] = [-1, math.nan, -1, -1, False, values, None]
                return number
            here = None
            if codes and self.random.random() < 0.3:
                here = tuple(self.random.sample([0, 1, 2, 3, 5, 64, 700, 100000], self.random.randint(0, 5)))
            threshold = math.nan if here is not None else self.threshold(single)
            left = grow(left_depth - 1)
            right = grow(left_depth - 1)
            feature = self.random.randrange(n_features)
            nodes[number] = [feature, threshold, left, right, self.random.random() < 0.5, (), here]
            return number

        grow(depth)
        columns = [tuple(column) for column in zip(*nodes, strict=True)]
        return scorers.Tree(*columns[:6], outputs=outputs, categories=columns[6] if codes else ())

    def threshold(self, single: bool) -> float:
        return self.random.choice([self.number(), 0.1, 0.0, 1e-45, 1e300, -0.0, self.random.gauss(0, 1e3)])

    def ensemble(self) -> scorers.TreeEnsemble:
        single = self.random.random() < 0.5
        codes = self.random.random() < 0.3
        if codes:  # whole numbers or NaN where there are codes
            slots = tuple(
                self.add(encoders.Bucket(self.slot(), self.increasing(self.random.randint(1, 9))))[0]
                for _ in range(3)
            )
        else:
            slots = self.slots(1, self.random.choice([3, 20, 40, 80]))
        n_outputs = self.random.choice([1, 1, 3])
        depth = self.random.choice([0, 1, 3, 6, 8, 11])
        trees = tuple(
            self.tree(len(slots), n_outputs, depth, codes, single)
            for _ in range(self.random.choice([0, 1, 7, 8, 9, 16, 33, 70]))
        )
        return scorers.TreeEnsemble(
            slots,
            trees,
            self.random.choice(["<", "<="]),
            "float32" if single else "float64",
            self.random.choice(["float32", "float64"]),
            tuple(self.random.gauss(0, 1) for _ in range(n_outputs)),
            self.random.choice([1.0, float(len(trees) or 1)]),
            self.random.random() < 0.5,
        )

    def table_sum(self) -> scorers.TableSum:
        slots, width = self.slots(1, 12), self.random.choice([1, 1, 2, 3])
        edges = tuple(
            () if self.random.random() < 0.1 else self.increasing(self.random.randint(1, 30)) for _ in slots
        )
        tables = []
        for _ in range(self.random.randint(0, 15)):
            axes = tuple(self.random.randrange(len(slots)) for _ in range(self.random.choice([1, 1, 2])))
            n_cells = math.prod(len(edges[axis]) + 2 for axis in axes)
            points = tuple(tuple(self.random.gauss(0, 1) for _ in range(n_cells)) for _ in range(width))
            tables.append(scorers.Table(axes, points))
        return scorers.TableSum(slots, edges, tuple(tables), tuple(self.number() for _ in range(width)))

    def score(self) -> None:
        def linear() -> scorers.Linear:
            slots, width = self.slots(1, 40), self.random.choice([1, 2, 8, 9, 33, 64])
            weights = tuple(tuple(self.random.gauss(0, 1) for _ in slots) for _ in range(width))
            return scorers.Linear(slots, weights, tuple(self.random.gauss(0, 1) for _ in range(width)))

        def distances() -> scorers.Distances:
            slots = self.slots(1, 12)
            n_centers = self.random.choice([1, 5, 40])
            return scorers.Distances(
                slots, tuple(tuple(self.number() for _ in slots) for _ in range(n_centers))
            )

        def weighted_sum() -> scorers.WeightedSum:
            width, n_groups = self.random.randint(1, 4), self.random.randint(1, 5)
            groups = tuple(tuple(self.slot() for _ in range(width)) for _ in range(n_groups))
            return scorers.WeightedSum(groups, tuple(self.number() for _ in groups))

        kinds: list[Any] = [self.ensemble, self.ensemble, self.ensemble, linear, distances, weighted_sum]
        kinds.append(self.table_sum)
        kinds.append(lambda: scorers.Activation(self.slots(), "relu"))
        kinds.append(
            lambda: scorers.Link(self.slots(), "normalize", self.random.choice(["float32", "float64"]))
        )
        if not self.exact:
            names = scorers.ActivationName.__args__  # type: ignore[attr-defined]
            links = scorers.LinkName.__args__  # type: ignore[attr-defined]
            dtypes = ["float32", "float64"]
            kinds.append(lambda: scorers.Activation(self.slots(), self.random.choice(names)))
            kinds.append(
                lambda: scorers.Link(self.slots(), self.random.choice(links), self.random.choice(dtypes))
            )
        self.add(self.random.choice(kinds)())


def random_program(seed: int, exact: bool, n_steps: int = 14) -> Program:
    """A program that computes slots by the dozen; its output is the last one."""
    maker = Maker(seed, exact)
    maker.read_inputs()
    for _ in range(n_steps):
        maker.encode()
    for _ in range(4):
        maker.score()
    return Program(INPUTS, tuple(maker.steps), (), Value(maker.n_slots - 1), "double precision")


def random_rows(seed: int, n_rows: int) -> dict[str, list[Any]]:
    """Raw column values as the database gives them."""
    source = random.Random(seed)

    def number(digits: int = 2) -> Any:
        return source.choice([*SPECIAL, source.gauss(0, 3), round(source.gauss(0, 3), digits)])

    def cell(item: Input) -> Any:
        if source.random() < 0.1:
            return None
        instant = datetime.datetime(1970, 1, 1) + datetime.timedelta(
            microseconds=source.randint(-(10**16), 10**17)
        )
        match item.name:
            case "d":
                return number()
            case "r":
                return source.choice(
                    [0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, source.randint(-99, 99) / 8]
                )
            case "n":
                return Decimal(str(round(source.gauss(0, 9), 3)))
            case "s" | "i" | "l":
                high = {"s": 32767, "i": 2**31 - 1, "l": 2**63 - 1}[item.name]
                return source.choice([0, 1, -1, 2, high, -high, source.randint(-high, high)])
            case "b":
                return source.random() < 0.5
            case "t" | "v":
                return source.choice([*TEXTS, *SENTENCES, "unseen"])
            case "c":
                return source.choice([*PADDED, "z"])
            case "born":
                return source.choice([*DATES, instant.date()])
            case "at":
                return instant.time()
            case "seen":
                return source.choice([datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), instant])
            case _:
                zone = datetime.timezone(datetime.timedelta(minutes=source.choice([0, 330, -480])))
                return instant.replace(tzinfo=zone)

    return {item.name: [cell(item) for _ in range(n_rows)] for item in INPUTS}
