"""Writes runs into an MLflow SQLite store: argument 1 is the file, 2 the number of runs."""

import sys

import mlflow

path, runs = sys.argv[1], int(sys.argv[2])
mlflow.set_tracking_uri(f"sqlite:///{path}")
mlflow.create_experiment("e", artifact_location=f"{path}.artifacts")
mlflow.set_experiment("e")
for number in range(runs):
    with mlflow.start_run(run_name=f"run_{number}"):
        mlflow.log_params({"epochs": 4, "lr": 0.001, "kind": "amn"})
        for epoch in range(1, 5):
            mlflow.log_metrics(
                {"train_loss": 1.0 / epoch, "val_loss": float("nan") if epoch == 3 else 2.0 / epoch}, step=epoch
            )
        mlflow.log_metric("val_cosine", float("inf"), step=4)
