-- The function's comment carries model, version and run; the catalog and the card say the same.
select c.model, c.version, c.mlflow_run_id, obj_description(to_regproc(c.function)::oid, 'pg_proc') as comment
from {{ ref('customer_churn') }} as c
where coalesce(obj_description(to_regproc(c.function)::oid, 'pg_proc'), '')
    not like '%customer_churn, version ' || c.version || ' %' || c.mlflow_run_id || '%'
    or c.state <> 'READY'
    or not exists (
        select from postgres_ml.model_version as v
        where v.model_name = c.model and v.version = c.version and v.is_serving
    )
