{#
  The table of services that functions may call, and what has to be shown to them. Only its owner reads it: functions that
  call an endpoint run with their owner's rights.
#}
{% macro postgres_ml__create_endpoint_table() %}
  {%- call statement('create_endpoint_table') -%}
    create table if not exists postgres_ml.endpoint (
        name text primary key,
        url_prefix text not null check (url_prefix ~ '^https?://[^/@]+'),
        secret jsonb not null default '{}' check (jsonb_typeof(secret) = 'object')
    );
    revoke all on postgres_ml.endpoint from public;
    comment on table postgres_ml.endpoint is
        'Services that functions may call; secret: bearer, headers, ca_file, or access_key_id, secret_access_key, session_token';
  {%- endcall -%}
{% endmacro %}
