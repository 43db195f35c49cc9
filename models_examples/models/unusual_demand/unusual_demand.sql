-- Anomalies, without a target: half hours whose number of rides is out of the ordinary. Nobody tells the model the
-- events. One half hour of fifty is to be called an anomaly.
{{ config(
    materialized='create_model',
    model_type='isolation_forest',
    hyperparameters={'num_trees': 100, 'num_samples_per_tree': 256, 'contamination': 0.02},
    gates={'anomaly_share': {'threshold': '<= 0.06', 'severity': 'warn'}},
) }}

select rides, rides_vs_usual, hour
from {{ ref('taxi_half_hours') }}
