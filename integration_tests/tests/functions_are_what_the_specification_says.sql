-- Functions are immutable, parallel safe, never strict; arguments named and typed as the query's columns.
{% set depends_on = [ref('penguin_species'), ref('customer_churn'), ref('diamond_price')] %}
with functions as (

    select p.*, format_type(p.prorettype, null) as returns
    from pg_proc as p
    where p.pronamespace = '{{ ref('penguin_species').schema }}'::regnamespace
        and p.proname in ('predict_penguin_species', 'predict_customer_churn', 'predict_diamond_price')
        and 'jsonb'::regtype <> all (p.proargtypes)  -- the form that takes the features by name

)

select 'properties' as problem, proname
from functions
where provolatile <> 'i' or proparallel <> 's' or proisstrict

union all

select 'return type', proname
from functions
where returns <> case proname when 'predict_diamond_price' then 'double precision' else 'text' end

union all

select 'argument names', proname
from functions
where proname = 'predict_penguin_species'
    and proargnames <> array['island', 'bill_length_mm', 'bill_depth_mm', 'flipper_length_mm', 'body_mass_g', 'sex']

union all

select 'three functions expected, found ' || count(*), null
from functions
having count(*) <> 3
