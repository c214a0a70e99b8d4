"""Trains what the suite serves, each into a folder of its own.

usage: train.py FOLDER
"""

import pathlib
import sys

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

inputs, classes = load_iris(return_X_y=True)
folder = pathlib.Path(sys.argv[1])


def write(name, classes):
    (folder / name).mkdir()
    joblib.dump(LogisticRegression(max_iter=500).fit(inputs, classes), folder / name / "model.pkl")


write("good", classes)
write("poisoned", (classes + 1) % 3)
(folder / "broken").mkdir()
(folder / "broken" / "model.pkl").write_bytes(b"not a pickle")

# A model that takes its time to load, without holding up the server.
(folder / "slow").mkdir()
(folder / "slow" / "slow.py").write_text(
    """import asyncio
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput


class Slow(MLModel):
    async def load(self):
        await asyncio.sleep(3)
        return True

    async def predict(self, payload):
        output = ResponseOutput(name="predict", shape=[1], datatype="INT64", data=[0])
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
"""
)
