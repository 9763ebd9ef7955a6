#!/usr/bin/env python3
"""How much a perfect critic can save: the exact variance of the policy gradient in a problem of N independent steps.

    python tools/credit.py

Each step is right with probability p, and an answer earns 1 if at least `need` of its N steps are. The gradient of one step's
log-odds is advantage x score, where the score is 1 - p if the step is right and -p if it is wrong. Its mean is the same for
every unbiased advantage; its variance determines how many answers are needed. This compares

    no critic       advantage = reward - mean reward          (GRPO, DAPO with large groups)
    perfect critic  advantage = V after the step - V before   (GAE with lambda 0 and the true value)

The last column is the ratio of the variance without a critic to the variance with one, averaged over the steps.
"""

from math import comb


def at_least(need, steps, p):
    """The probability that `need` or more of `steps` steps are right."""
    return sum(comb(steps, k) * p**k * (1 - p) ** (steps - k) for k in range(max(need, 0), steps + 1))


def success_probability(success, need, steps):
    """The p for which an answer is right with probability `success`."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at_least(need, steps, middle) < success else (low, middle)
    return low


def variances(need, steps, p):
    """Mean over the steps of the gradient's variance: without a critic, with a perfect one."""
    reward = at_least(need, steps, p)
    scores = {True: 1 - p, False: -p}
    chance = {True: p, False: 1 - p}
    mean = p * (1 - p) * (at_least(need - 1, steps - 1, p) - at_least(need, steps - 1, p))
    plain = -(mean**2)
    for right, score in scores.items():
        success = at_least(need - right, steps - 1, p)
        plain += chance[right] * score**2 * (success * (1 - reward) ** 2 + (1 - success) * reward**2)
    critic, critic_mean, spread = -(mean**2), 0.0, 0.0
    for step in range(steps):
        for done in range(step + 1):
            here = comb(step, done) * p**done * (1 - p) ** (step - done)
            before = at_least(need - done, steps - step, p)
            for right, score in scores.items():
                after = at_least(need - done - right, steps - step - 1, p)
                weight = here * chance[right] / steps
                critic += weight * ((after - before) * score) ** 2
                critic_mean += weight * (after - before) * score
                spread += steps * weight * (after - before) ** 2
    assert abs(critic_mean - mean) < 1e-12, "both advantages are unbiased"
    assert abs(spread - reward * (1 - reward)) < 1e-9, "a perfect critic's differences are uncorrelated and add up to the reward"
    return plain, critic


def main():
    # One step: both advantages are x - p, as is the score, so the variance is E (x-p)^4 - (p (1-p))^2.
    assert all(abs(variance - 0.0336) < 1e-12 for variance in variances(1, 1, 0.3)), "one step, worked by hand"
    print("steps  right needed  answers right  p of a step  variance without / with a perfect critic")
    for steps, need in [(10, 10), (10, 8), (20, 20), (20, 16), (100, 100), (100, 80)]:
        for success in (0.06, 0.5, 0.9):
            p = success_probability(success, need, steps)
            plain, critic = variances(need, steps, p)
            print(f"{steps:5}  {need:12}  {success:12.0%}  {p:12.3f}  {plain / critic:10.1f}")


if __name__ == "__main__":
    main()
