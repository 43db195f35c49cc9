-- Amazon Redshift's churn statement in psql, on Postgres: `make sql-example` starts a server and a worker for it.
\set ON_ERROR_STOP on
\timing off
set client_min_messages = notice;

drop schema if exists sql_example cascade;
create schema sql_example;
set search_path = sql_example, public;

create temporary table telco_customers (
    customer_id integer, state text, account_length integer, area_code text, international_plan text, voice_mail_plan text,
    number_vmail_messages integer, total_day_minutes numeric, total_day_calls integer, total_day_charge numeric,
    total_eve_minutes numeric, total_eve_calls integer, total_eve_charge numeric, total_night_minutes numeric,
    total_night_calls integer, total_night_charge numeric, total_intl_minutes numeric, total_intl_calls integer,
    total_intl_charge numeric, number_customer_service_calls integer, churn text
);
\copy telco_customers from 'seeds/telco_customers.csv' with (format csv, header)

create table customer_activity as
select
    customer_id, state, account_length, area_code, international_plan as intl_plan,
    total_day_charge + total_eve_charge + total_night_charge + total_intl_charge as total_charge,
    number_customer_service_calls as cust_serv_calls, date '2019-01-01' + customer_id % 500 as record_date, churn
from telco_customers;

\echo
\echo 'CREATE MODEL, as Redshift has it:'
select * from postgres_ml.run($$

CREATE MODEL customer_churn_auto_model
FROM (SELECT state, account_length, area_code, intl_plan,
             total_charge / account_length AS average_daily_spend,
             cust_serv_calls / account_length::float AS average_daily_cases,
             churn
      FROM customer_activity
      WHERE record_date < '2020-01-01')
TARGET churn
FUNCTION ml_fn_customer_churn_auto
IAM_ROLE default
SETTINGS (S3_BUCKET 'your-bucket', MAX_RUNTIME 60);

$$);

\echo 'It trains in the worker; wait() says how far it is:'
select postgres_ml.wait(max(job)) as state from postgres_ml.jobs;

\echo 'SHOW MODEL:'
select * from postgres_ml.run('SHOW MODEL customer_churn_auto_model') limit 12;

\echo 'And predict, of customers that it has not seen:'
select
    customer_id, state, churn,
    ml_fn_customer_churn_auto(state, account_length, area_code, intl_plan, total_charge / account_length,
        cust_serv_calls / account_length::float) as predicted
from customer_activity
where record_date >= '2020-01-01'
order by customer_id
limit 10;
