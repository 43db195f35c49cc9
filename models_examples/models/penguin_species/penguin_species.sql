-- Three classes, text features and NULLs. The data set is small, so the least number of rows is lowered.
{{ config(
    materialized='create_model',
    target='species',
    problem_type='multiclass_classification',
    objective='accuracy',
    settings={'min_rows': 100, 'max_runtime': 20},
) }}

select island, bill_length_mm, bill_depth_mm, flipper_length_mm, body_mass_g, sex, species
from {{ ref('penguins') }}
