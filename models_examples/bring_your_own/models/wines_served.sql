-- The same wines by the service, in requests of 100 rows.
{{ config(materialized='table', enabled=(target.name == 'plpython' and var('service', '') != '')) }}

{{ predict_table(ref('cultivar_service'), ref('wines'), key='wine_id') }}
