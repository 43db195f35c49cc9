select model, version, metrics ->> 'r2' as r2
from {{ ref('concrete_strength') }}
where (metrics ->> 'r2')::double precision < 0.7
