-- Each penguin's species as recorded and as predicted from its measurements.
select
    p.penguin_id,
    p.species,
    {{ predict('penguin_species', alias='p') }} as predicted_species,
    {{ predict_probabilities('penguin_species', alias='p') }} as probabilities
from {{ ref('penguins') }} as p
