"""A deployment that does what it is told in the folder `world` beside this file."""
import os
import pathlib
import subprocess
import sys
import time

WORLD = pathlib.Path(__file__).parent / "world"
told = "waits"
while told == "waits":
    time.sleep(0.05)
    told = (WORLD / "behaviour").read_text()
if told in ("deploys", "deploys-and-fails"):
    beside = WORLD / "served.new"
    beside.write_text(os.environ["RIPCORD_VERSION"])
    beside.rename(WORLD / "served")
if told == "fails":
    print("no room on \x1b[31mnode 7", flush=True)
if told == "fails-and-deploys-later":
    later = "import os, pathlib, sys, time; time.sleep(1); pathlib.Path(sys.argv[1] + '.new').write_text(sys.argv[2]); os.replace(sys.argv[1] + '.new', sys.argv[1])"
    none = subprocess.DEVNULL
    left = [sys.executable, "-c", later, str(WORLD / "served"), os.environ["RIPCORD_VERSION"]]
    subprocess.Popen(left, stdin=none, stdout=none, stderr=none, start_new_session=True)
sys.exit(told in ("fails", "deploys-and-fails", "fails-and-deploys-later"))
