-- Fails when the model that serves is worse than anybody would want: the area under the curve on rows it has not seen.
select model, version, score
from {{ ref('churn_scorecard') }}
where (metrics ->> 'auc')::double precision < 0.85
