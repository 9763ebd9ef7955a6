"""Rewards in Python for `verifier = { kind = "python", file = "configs/rewards/rewards.py", function = ".." }`.

The parameters say how a function is called: `compute_score` has those of verl, the others have those of TRL.
"""

import re


def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    """1 if the last number of the response is the answer."""
    numbers = re.findall(r"-?\d+", solution_str)
    found = numbers[-1] if numbers else None
    return {"score": float(found == str(ground_truth)), "pred": found}


def brevity(prompts, completions, **columns):
    """1 for an empty response, 0 for 500 characters and more."""
    return [max(0.0, 1 - len(text_of(completion)) / 500) for completion in completions]


async def politeness(completions, polite=None, **columns):
    """Whether a response says "please"; does not apply to rows whose column `polite` is not true."""
    wanted = polite or [None] * len(completions)
    return [float("please" in text_of(completion)) if asked else None for completion, asked in zip(completions, wanted)]


def text_of(completion):
    """A completion is a text, or a list of messages if the prompt is one."""
    return completion if isinstance(completion, str) else completion[-1]["content"]
