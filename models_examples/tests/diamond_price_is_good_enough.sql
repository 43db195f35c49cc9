select model, version, metrics ->> 'r2' as r2
from {{ ref('diamond_price') }}
where (metrics ->> 'r2')::double precision < 0.97
