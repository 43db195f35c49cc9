select model, version, metrics ->> 'accuracy' as accuracy
from {{ ref('job_duration') }}
where (metrics ->> 'accuracy')::double precision < 0.78
