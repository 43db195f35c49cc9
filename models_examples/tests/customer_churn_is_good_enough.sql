-- Fails when the model that serves is worse than anybody would want: f1 on rows it has not seen.
select model, version, score
from {{ ref('customer_churn') }}
where (metrics ->> 'f1')::double precision < 0.8
