-- Which customers will leave? The problem of Amazon Redshift ML's tutorial, with nothing but `target`:
-- the model type, its size and the preprocessing of text and numbers are chosen for you. Twenty seconds are enough
-- for a demonstration; left out, the search ends by itself when it finds nothing better.
{{ config(materialized='create_model', target='churn', objective='f1', settings={'max_runtime': 20}) }}

select
    state, account_length, area_code, international_plan, voice_mail_plan, number_vmail_messages,
    total_day_minutes, total_day_calls, total_day_charge,
    total_eve_minutes, total_eve_calls, total_eve_charge,
    total_night_minutes, total_night_calls, total_night_charge,
    total_intl_minutes, total_intl_calls, total_intl_charge,
    number_customer_service_calls,
    churn
from {{ ref('telco_customers') }}
