"""Prints how many planning problems are solved to a proved optimum, the time and the worst gap.

python bench/planning.py --time 10 --seeds 10

Cut problems: rectangles cut by random straight lines, so that the optimum is known and no byte is
spare. Graphs: random lifetimes, where the optimum is not known and the gap is to the lower bound.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "plan"))

from problems import guillotine, pinwheels

from thimble.plan import Block, plan_blocks

CUT = (
    (20, 10, 100),
    (50, 20, 100),
    (100, 20, 100),
    (100, 50, 1000),
    (150, 40, 1000),
    (200, 40, 100),
    (200, 40, 1000),
    (200, 100, 1_000_000),
    (250, 30, 256),
    (250, 100, 1_000_000),
)


def graph(count: int, seed: int) -> list[Block]:
    """Buffers of a random network: most are read soon after, a tenth much later."""
    rng = random.Random(seed)
    blocks = []
    for i in range(count):
        span = 1 + int(rng.expovariate(1 / 3)) if rng.random() < 0.9 else rng.randrange(1, 100)
        size = rng.choice((1, 2, 4, 8, 16, 32)) * rng.randrange(16, 2000)
        blocks.append(Block(f"b{i}", size, i, min(count, i + span)))
    return blocks


def crowd(count: int, seed: int) -> list[Block]:
    """Buffers of random sizes and lifetimes: half of them live at once."""
    rng = random.Random(seed)
    spans = [sorted((rng.randrange(count), rng.randrange(count))) for _ in range(count)]
    return [Block(f"b{i}", rng.randrange(1, 100_000), *span) for i, span in enumerate(spans)]


def families(seeds: int) -> Iterator[tuple[str, list[list[Block]]]]:
    """(name, problems)."""
    for cut in CUT:
        name = "cut: {} buffers, {} steps, {:,} bytes".format(*cut)
        yield name, [guillotine(*cut, seed) for seed in range(seeds)]
    yield (
        "pinwheels: 100 buffers, 1000 steps, 100,000 bytes",
        [pinwheels(100, 1000, 100_000, seed) for seed in range(seeds)],
    )
    yield "graph: 2,000 buffers", [graph(2000, seed) for seed in range(min(seeds, 3))]
    yield "crowd: 2,000 buffers", [crowd(2000, seed) for seed in range(min(seeds, 1))]


def main() -> int:
    """Plan all problems and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", type=float, default=10.0, help="seconds for each problem")
    parser.add_argument("--seeds", type=int, default=5, help="problems of each family")
    arguments = parser.parse_args()
    print(f"| at most {arguments.time:g} s each | solved | mean s | worst s | worst gap |")
    print("|---|---:|---:|---:|---:|")
    for name, found in families(arguments.seeds):
        plans = [plan_blocks(blocks, time_limit_s=arguments.time) for blocks in found]
        solved = sum(plan.optimal for plan in plans)
        seconds = [plan.seconds for plan in plans]
        gap = max(plan.gap for plan in plans)
        mean = sum(seconds) / len(seconds)
        row = f"{solved}/{len(plans)} | {mean:.2f} | {max(seconds):.2f} | {gap:.2%}"
        print(f"| {name} | {row} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
