-- A service that predicts: `make serve-example` starts it with `mlflow models serve`.
{{ config(
    materialized='create_model',
    endpoint={'url': var('service', 'http://127.0.0.1:5001'), 'timeout': 30, 'max_batch_rows': 100},
    returns='integer',
    target='cultivar',
    problem_type='multiclass_classification',
    enabled=(target.name == 'plpython' and var('service', '') != ''),
) }}

select alcohol, flavanoids, color_intensity, proline, cultivar
from {{ ref('wines') }}
where wine_id % 5 = 0
