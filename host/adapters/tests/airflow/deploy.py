"""A deployment that does what it is told in the folder `world` beside that of this file."""
import os
import pathlib
import subprocess
import sys
import time

from airflow.sdk import dag, get_current_context, task

WORLD = pathlib.Path(__file__).parent.parent / "world"


@dag(dag_id="deploy", schedule=None, catchup=False, is_paused_upon_creation=False, max_active_runs=1)
def deploy():
    @task
    def roll_out():
        version = get_current_context()["dag_run"].conf["ripcord_version"]
        with open(WORLD / "began", "a") as began:
            began.write(f"{version}\n")
        told = "waits"
        while told == "waits":
            time.sleep(0.1)
            told = (WORLD / "behaviour").read_text()
        if told in ("deploys", "deploys-and-fails"):
            (WORLD / "served.new").write_text(version)
            os.replace(WORLD / "served.new", WORLD / "served")
            with open(WORLD / "deployed", "a") as deployed:
                deployed.write(f"{version}\n")
        if told == "fails":
            raise RuntimeError("no room on \x1b[31mnode 7")
        if told == "fails-and-deploys-later":
            later = "import os, pathlib, sys, time; time.sleep(1); pathlib.Path(sys.argv[1] + '.new').write_text(sys.argv[2]); os.replace(sys.argv[1] + '.new', sys.argv[1])"
            none = subprocess.DEVNULL
            left = [sys.executable, "-c", later, str(WORLD / "served"), version]
            subprocess.Popen(left, stdin=none, stdout=none, stderr=none, start_new_session=True)
            raise RuntimeError("what it has begun goes on")
        if told == "deploys-and-fails":
            raise RuntimeError("a step after it failed")

    roll_out()


deploy()
