-- One prediction in each of the ways to write it; test penguin_calls_agree holds them against each other.
select
    penguin_id,
    {{ predict('penguin_species', [
        'island', 'bill_length_mm', 'bill_depth_mm', 'flipper_length_mm', 'body_mass_g', 'sex',
    ]) }} as by_list,
    {{ predict('penguin_species', {
        'sex': 'sex',
        'body_mass_g': 'body_mass_g',
        'flipper_length_mm': 'flipper_length_mm',
        'bill_depth_mm': 'bill_depth_mm',
        'bill_length_mm': 'bill_length_mm',
        'island': 'island',
    }) }} as by_name,
    {{ predict('penguin_species', alias='p') }} as by_alias,
    {{ postgres_ml.predict('penguin_species') }} as by_scope,
    {{ predict_probabilities('penguin_species', alias='p') }} as probabilities
from {{ ref('penguins') }} as p
