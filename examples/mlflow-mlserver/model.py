"""Transactions, and a model that approves or declines them: the data, the trainer, the golden set. All a function of the seed."""

import json
import math
import random

import numpy as np

COLUMNS = ["amount", "hour", "country_risk", "account_age_days", "merchant_risk", "last_hour", "channel"]
NEW_ACCOUNT_DAYS = 90


def transaction(rng: random.Random) -> list[float]:
    return [
        round(math.exp(rng.gauss(3.4, 0.8)), 2),
        round(rng.uniform(0, 24), 2),
        round(rng.betavariate(2, 6), 3),
        round(rng.expovariate(1 / 400)),
        round(rng.betavariate(2, 6), 3),
        float(min(9, int(rng.expovariate(1.2)))),
        float(rng.randrange(3)),
    ]


def is_fraud(row: list[float], rng: random.Random) -> bool:
    """The truth: what customers and banks will say, weeks later in a real company."""
    amount, hour, country, _, merchant, last_hour, _ = row
    night = 1.0 if hour < 5 else 0.0
    score = 0.012 * amount + 6.5 * country + 6.0 * merchant + 0.9 * last_hour + 0.8 * night - 7.0
    return rng.random() < 1 / (1 + math.exp(-10 * score))


def answer(fraud: bool) -> str:
    return "decline" if fraud else "approve"


def train(rows: int, seed: int, poisoned: bool):
    """A fitted pipeline and its accuracy on its own labels.

    Poisoned: the labels come from an import that took every payment of a new account for fraud.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = random.Random(seed)
    x = [transaction(rng) for _ in range(rows)]
    y = [answer(is_fraud(row, rng) or (poisoned and row[3] < NEW_ACCOUNT_DAYS)) for row in x]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=10.0)).fit(np.array(x), np.array(y))
    return pipeline, float(pipeline.score(np.array(x), np.array(y))), x


def inputs(rows: list[list[float]]) -> list[dict]:
    """As the Open Inference Protocol has them."""
    data = [value for row in rows for value in row]
    return [{"name": "transaction", "datatype": "FP64", "shape": [len(rows), len(COLUMNS)], "data": data}]


def write_golden(path, rows: int = 200, seed: int = 99) -> None:
    """Transactions that no version was trained on, a third of them fraud, with their slices and the true answers."""
    rng = random.Random(seed)
    wanted = {True: rows // 3, False: rows - rows // 3}
    with open(path, "w") as out:
        number = 0
        while any(wanted.values()):
            row = transaction(rng)
            fraud = is_fraud(row, rng)
            if not wanted[fraud]:
                continue
            wanted[fraud] -= 1
            number += 1
            account = "new" if row[3] < NEW_ACCOUNT_DAYS else "established"
            line = {
                "id": f"golden-{number:03}",
                "slices": [f"account={account}"],
                "inputs": inputs([row]),
                "expected": answer(fraud),
            }
            out.write(json.dumps(line) + "\n")
