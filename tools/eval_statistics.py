"""The numbers that the tests of crates/train/src/evaluation/statistics.rs compare with.

    python tools/eval_statistics.py          # needs numpy

pass@k by the product that Chen et al. (arXiv 2107.03374, figure 3) publish, and once more by exact binomials;
percentiles by numpy; the interval of a binomial share by its exact quantiles.
"""

from fractions import Fraction
from math import comb

import numpy as np


def pass_at_k(n, c, k):
    if n - c < k:
        return 1.0
    return 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))


for n, c, k in [(5, 2, 1), (5, 2, 2), (5, 2, 3), (5, 2, 4), (32, 0, 32), (32, 3, 8), (200, 7, 100), (4096, 1, 64)]:
    exact = float(1 - Fraction(comb(n - c, k), comb(n, k)))
    assert abs(exact - pass_at_k(n, c, k)) < 1e-12
    print(f"pass@{k} of {c}/{n}: {exact!r}")

print("percentiles:", np.percentile([1, 2, 4, 8], [0, 2.5, 50, 97.5, 100]))

cumulative = np.cumsum([comb(30, i) * 0.4**i * 0.6 ** (30 - i) for i in range(31)])
print("binomial(30, 0.4):", [int(np.searchsorted(cumulative, p)) for p in (0.025, 0.975)], "of 30")
