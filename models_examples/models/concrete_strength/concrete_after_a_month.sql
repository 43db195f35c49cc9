-- What strength each mixture will have after 28 days, whatever its age now. Arguments by name; the rest are columns.
select
    mixture_id,
    cement,
    water,
    {{ predict('concrete_strength', {
        'cement': 'cement', 'blast_furnace_slag': 'blast_furnace_slag', 'fly_ash': 'fly_ash', 'water': 'water',
        'superplasticizer': 'superplasticizer', 'coarse_aggregate': 'coarse_aggregate',
        'fine_aggregate': 'fine_aggregate', 'log_age': 'ln(28)', 'water_to_cement': 'water / cement',
    }) }} as strength_after_28_days
from {{ ref('concrete_mixtures') }}
