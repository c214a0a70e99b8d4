"""A training that waits to be told how to end; the folder in which it is told is the one of this file."""
import pathlib
import time

from airflow.sdk import dag, get_current_context, task

WORLD = pathlib.Path(__file__).parent.parent / "world"


@dag(dag_id="retrain", schedule=None, catchup=False, is_paused_upon_creation=False)
def retrain():
    @task
    def register():
        conf = get_current_context()["dag_run"].conf["ripcord"]
        key, exclusion = conf["key"], conf["target"]["exclusion"]
        with open(WORLD / "begun", "a") as begun:
            begun.write(key + "\n")
        while not (WORLD / f"{key}.go").exists():
            if (WORLD / f"{key}.fail").exists():
                raise RuntimeError("no rows are left")
            time.sleep(0.1)
        return {"version": "1.0", "left-out": exclusion["exclude"]}

    register()


retrain()
