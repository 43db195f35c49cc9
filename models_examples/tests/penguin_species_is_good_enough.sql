select model, version, metrics ->> 'accuracy' as accuracy
from {{ ref('penguin_species') }}
where (metrics ->> 'accuracy')::double precision < 0.97
