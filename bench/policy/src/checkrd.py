"""Asks Checkrd's engine as its transports do, and tells how long it took."""

import json
import logging
import sys
import time

import yaml
from checkrd.engine import WasmEngine

logging.getLogger("checkrd").setLevel(logging.ERROR)
question = json.load(sys.stdin)
policy = json.dumps(yaml.load(question["policy"], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
begun = time.perf_counter()
engine = WasmEngine(policy, "bench")
prepared = time.perf_counter() - begun
headers = [("content-type", "application/json")]
times, begun = [], time.perf_counter()
while len(times) < 20 or time.perf_counter() - begun < question["seconds"]:
    at = time.perf_counter()
    answer = engine.evaluate(
        "r", "POST", question["url"], headers, question["body"], "2026-11-21T12:00:00Z", 1795262400000
    )
    times.append(time.perf_counter() - at)
    assert answer.allowed != question["denied"], answer
times.sort()
json.dump({"p50": times[len(times) // 2], "p99": times[int(len(times) * 0.99)], "prepared": prepared}, sys.stdout)
