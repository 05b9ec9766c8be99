"""Says what ran. Fails when an operation of the document was not asked, or hardly anything was.

usage: summary.py API_URL REPORT
"""

import json
import sys
from collections import Counter

import requests

# The document itself: it is where the others come from.
UNTESTED = {"GET /openapi.json"}
# Far below what a run has; far above what one has whose filters or phases went wrong.
CASES_MIN = 2000
# A WebSocket needs its handshake, a watch its code; a few more may have no luck. Without a log-in none would succeed.
SUCCEEDED_MIN = 36

document = requests.get(f"{sys.argv[1]}/openapi.json", timeout=60).json()
operations = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
answers, succeeded = Counter(), set()
with open(sys.argv[2], encoding="utf-8") as report:
    for line in report:
        recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder", {})
        for name, asked in recorder.get("interactions", {}).items():
            case = recorder["cases"].get(name)
            if not case or not asked["response"]:
                continue
            operation = f"{case['value']['method']} {case['value']['path']}"
            answers[operation] += 1
            if asked["response"]["status_code"] < 300:
                succeeded.add(operation)

asked = operations & answers.keys()
missing = operations - UNTESTED - asked
cases = sum(answers.values())
if missing:
    sys.exit(f"schemathesis: not asked: {', '.join(sorted(missing))}")
if cases < CASES_MIN:
    sys.exit(f"schemathesis: only {cases} cases ran")
luckless = sorted(asked - succeeded)
if len(asked) - len(luckless) < SUCCEEDED_MIN:
    sys.exit(f"schemathesis: these never succeeded: {', '.join(luckless)}")
print(f"schemathesis: never succeeded: {', '.join(luckless)}")
print(f"schemathesis: {len(asked)} operations, {cases} cases passed; {len(asked) - len(luckless)} operations succeeded")
