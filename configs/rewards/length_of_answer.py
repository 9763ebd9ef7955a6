"""A custom reward: one JSON object per line in, one per line out (docs/verifiers.md).

    [reward]
    verifier = { kind = "command", command = ["python3", "rewards/length_of_answer.py"] }
"""

import json
import sys

for line in sys.stdin:
    request = json.loads(line)
    words = request["response"].split()
    right = bool(words) and words[-1] == request["answer"]
    reply = {"id": request["id"], "score": 1.0 if right and len(words) <= 50 else 0.5 * right, "correct": right}
    print(json.dumps(reply), flush=True)
