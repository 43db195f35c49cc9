-- The function's comment carries model, version and run; the catalog and the card say the same.
with card as (

    select c.*, (
        select obj_description(p.oid, 'pg_proc')
        from pg_proc as p
        where p.pronamespace = '{{ ref('customer_churn').schema }}'::regnamespace
            and p.proname = 'predict_customer_churn'
            and 'jsonb'::regtype <> all (p.proargtypes)  -- the form that takes the features by name
    ) as comment
    from {{ ref('customer_churn') }} as c

)

select model, version, mlflow_run_id, comment
from card
where coalesce(comment, '') not like '%customer_churn, version ' || version || ' %' || mlflow_run_id || '%'
    or function not like '%predict_customer_churn'
    or state <> 'READY'
    or not exists (
        select from postgres_ml.model_version as v
        where v.model_name = card.model and v.version = card.version and v.is_serving
    )
