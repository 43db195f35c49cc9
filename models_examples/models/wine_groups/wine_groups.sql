-- Clusters, without a target: three groups of wines by their chemistry. Nobody tells the model the cultivars.
{{ config(
    materialized='create_model',
    model_type='kmeans',
    preprocessors=[{'column_set': ['*'], 'transformers': ['StandardScaler']}],
    hyperparameters={'k': 3, 'n_init': 10},
    settings={'min_rows': 100},
) }}

select
    alcohol, malic_acid, ash, alcalinity_of_ash, magnesium, total_phenols, flavanoids, nonflavanoid_phenols,
    proanthocyanins, color_intensity, hue, od280_od315, proline
from {{ ref('wines') }}
