-- The customers to call, most likely to leave first.
{{ config(materialized='table') }}

with scored as (

    select
        customer_id,
        state,
        number_customer_service_calls,
        -- the features are taken by name from the relation in scope
        {{ predict('customer_churn') }} as will_churn,
        {{ predict_probabilities('customer_churn') }} as churn_probabilities
    from {{ ref('telco_customers') }}

)

select
    customer_id,
    state,
    number_customer_service_calls,
    will_churn,
    -- the threshold is tuned: yes may be predicted and be the second in the list
    (
        churn_probabilities -> 'probabilities' ->> case churn_probabilities -> 'labels' ->> 0 when 'yes' then 0 else 1 end
    )::double precision as probability
from scored
where will_churn = 'yes'
order by probability desc, customer_id
