-- How long each job will take, and how sure that is.
with predicted as (

    select
        job_id,
        class,
        {{ predict('job_duration', alias='j') }} as predicted_class,
        {{ predict_probabilities('job_duration', alias='j') }} as probabilities
    from {{ ref('compute_jobs') }} as j

)

select job_id, class, predicted_class, (probabilities -> 'probabilities' ->> 0)::double precision as probability
from predicted
