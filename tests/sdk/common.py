"""What the SDK scripts share: attribution headers, and one JSON line for each call.

Each call is a run of its own, so that its record is found by the name of the call.
"""

import json
import sys

GATEWAY = sys.argv[1]


def headers(call, agent):
    """Headers of one call: its name for the simulator, and who makes it."""
    return {
        "x-sim-call": call,
        "x-tollgate-agent": agent,
        "x-tollgate-team": "sdk",
        "x-tollgate-environment": "test",
        "x-tollgate-run": call,
    }


def report(call, **seen):
    """Prints what the SDK saw of a call."""
    print(json.dumps({"call": call, **seen}), flush=True)
