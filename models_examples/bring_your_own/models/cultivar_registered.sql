-- A model of MLflow's registry, here the one that wine_cultivar has registered. A new champion is published by the next
-- dbt build. Its types are scikit-learn's and this package's, so that it needs no trust.
{{ config(
    materialized='create_model',
    source='models:/' ~ target.schema ~ '.wine_cultivar@champion',
    arguments='alcohol float8, flavanoids float8, color_intensity float8, proline integer',
) }}

-- depends_on: {{ ref('wine_cultivar') }}
