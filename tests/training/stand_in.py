"""Stands in for experiments/train.py in tests of sweeps: writes what a run does, in no time.

Iterations decide what it does: 6 is asked to end the first time, 7 fails, 8 kills itself the first time, 9 waits for
the file `go` in its workplace.
NME is 10 · learning rate + seed.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

flags = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
iterations = int(flags.get("config.model.iterations", "1"))
rate = float(flags.get("config.optimiser.learning_rate", "0.1"))
seed = int(flags.get("config.run.seed", "0"))
run = Path(flags["out"])
run.mkdir(parents=True, exist_ok=True)
first = not (run / "starts").exists()
with (run / "starts").open("a") as file:
    file.write(f"{os.getpid()}\n")
sys.stdout.write("training\n")
sys.stdout.flush()
if iterations == 7:
    sys.stderr.write("\rtrain 10%\rtrain 20%")
    sys.exit("\nerror: the seventh never works")
if iterations == 8 and first:
    os.kill(os.getpid(), signal.SIGKILL)
if iterations == 6 and first:
    os.kill(os.getpid(), signal.SIGTERM)
while iterations == 9 and not Path("go").exists():
    time.sleep(0.02)
lines = [
    {"step": step, "nme": 10 * rate + seed + worse, "within_one_std": 39.0 + seed, "within_two_std": 86.0}
    for step, worse in ((50, 2.0), (100, 0.0), (150, 1.0))
]
(run / "evaluations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
