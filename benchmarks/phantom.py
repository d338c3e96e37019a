"""How fast phantoms are drawn: 128 x 128 images a second on one core, against 200 a second.

Run it alone on a core: OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/phantom.py
"""

from __future__ import annotations

import argparse
import time

from softcam.data.phantom import draw

BOUND = 200.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{'modality':<10}{'images/s':>10}{'per CPU s':>11}{'of the bound':>14}")
    for modality in ("fundus", "oct", "chest"):
        draw(modality, 16, size=arguments.size)
        wall, busy = float("inf"), float("inf")
        for _ in range(arguments.rounds):
            start, start_busy = time.perf_counter(), time.process_time()
            draw(modality, arguments.images, size=arguments.size, seed=1)
            wall = min(wall, time.perf_counter() - start)
            busy = min(busy, time.process_time() - start_busy)
        rate = arguments.images / wall
        print(f"{modality:<10}{rate:>10.0f}{arguments.images / busy:>11.0f}{rate / BOUND:>13.2f}x")


if __name__ == "__main__":
    main()
