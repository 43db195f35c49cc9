{#-
  Redshift's statements as they are: CREATE MODEL in the forms of its documentation, SHOW MODEL, DROP MODEL,
  EXPLAIN_MODEL and SELECT FORECAST. A hand-written parser makes a name, a query and a config of the text; then it is create_model. It runs
  as the caller, and in the database, since that is all that a SQL client has.
-#}
{% macro postgres_ml__statement_functions() %}
create or replace function postgres_ml.run(statement text)
returns table (key text, value text)
language sql volatile
as $run$
    select r.key, r.value
    from postgres_ml.run_in(
        statement, pg_catalog.current_setting('search_path'), pg_catalog.current_schemas(false)
    ) as r
$run$;
create or replace function postgres_ml.run_in(statement text, path text, schemas name[])
returns table (key text, value text)
language plpgsql volatile set search_path = pg_catalog, pg_temp
as $run$
declare
    said jsonb;
    model text;
    made bigint;
    message text;
    shown text;
    cure text;
begin
    begin
        said := postgres_ml.parse_statement(coalesce(statement, ''));
    exception when syntax_error then  -- once more, without the parser's own context
        get stacked diagnostics message = message_text, shown = pg_exception_detail, cure = pg_exception_hint;
        if cure = '' then
            raise exception '%', message using errcode = 'syntax_error', detail = shown;
        end if;
        raise exception '%', message using errcode = 'syntax_error', detail = shown, hint = cure;
    end;
    model := said ->> 'model';
    case said ->> 'command'
    when 'show' then
        return query select s.key, s.value from postgres_ml.show_model_in(model, schemas) as s;
        return;
    when 'forecast' then
        return query select f.key, f.value from postgres_ml.forecast_in(model, schemas) as f;
        return;
    when 'explain' then
        return query select 'explanations'::text, postgres_ml.explain_model_in(model, schemas)::text;
        return;
    when 'drop' then
        begin
            made := postgres_ml.ask_in('drop', model, null, schemas);
        exception when undefined_object then
            if not (said ->> 'if_exists')::boolean then
                raise;
            end if;
            raise notice 'model "%" does not exist, skipping', model;
            return query values ('Model Name', model), ('Model State', 'DOES NOT EXIST');
            return;
        when insufficient_privilege then
            if not (said ->> 'if_exists')::boolean or sqlerrm not like '%does not exist' then
                raise;
            end if;
            raise notice 'model "%" does not exist, skipping', model;
            return query values ('Model Name', model), ('Model State', 'DOES NOT EXIST');
            return;
        end;
    else
        if said ? 'ignored' then
            raise notice '% mean nothing on Postgres', said ->> 'ignored';
        end if;
        made := postgres_ml.create_model_in(model, said ->> 'query', said -> 'config', path, schemas);
    end case;
    return query
        select v.key, v.value
        from postgres_ml.job as j
        cross join lateral (values
            ('Job'::text, j.job::text), ('Model Name', j.model_name), ('Schema Name', j.model_schema),
            ('Model State', case j.kind when 'drop' then 'DROPPING' else j.state end),
            ('Function Name', case j.kind when 'create' then j.function_name end)
        ) as v (key, value)
        where j.job = made and v.value is not null;
end
$run$;
create or replace function postgres_ml.parse_statement(statement text)
returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $parse_statement$
declare
    tokens constant postgres_ml.token[] := postgres_ml.tokens_of(rtrim(statement, E'; \n\r\t'));
    words constant text[] := array(select t.value from unnest(tokens) with ordinality as t where t.ordinality <= 5 order by t.ordinality);
    at integer;
    model text;
begin
    case
    when words[1:2] = '{create,model}' then
        return postgres_ml.parse_create(statement, tokens);
    when words[1:3] = '{create,external,model}' then
        perform postgres_ml.syntax_error(statement, tokens[2].starts, 'CREATE EXTERNAL MODEL is not supported',
            'It calls a language model of Amazon Bedrock. A service of your own is published by dbt: `endpoint`.');
    when words[1:3] = '{create,or,replace}' then
        perform postgres_ml.unexpected(statement, tokens[2], 'MODEL', 'CREATE MODEL makes a new version of a model that exists.');
    when words[1:2] = '{show,model}' then
        at := 3;
        if words[3] = 'all' and tokens[4].kind = 'end' then
            return jsonb_build_object('command', 'show', 'model', 'all');
        end if;
    when words[1:2] = '{select,forecast}' then
        if tokens[3].value <> '(' or tokens[3].kind <> 'sign' then
            perform postgres_ml.unexpected(statement, tokens[3], '(model)');
        end if;
        model := postgres_ml.read_name(statement, tokens, 4);
        at := postgres_ml.after_name(tokens, 4);
        if tokens[at].value <> ')' then
            perform postgres_ml.unexpected(statement, tokens[at], ')');
        elsif tokens[at + 1].kind <> 'end' then
            perform postgres_ml.unexpected(statement, tokens[at + 1], 'the end of the statement',
                'The forecast is a function, which other queries call: select * from predict_<model>().');
        end if;
        return jsonb_build_object('command', 'forecast', 'model', model);
    when words[1:2] = '{drop,model}' then
        at := case when words[3:4] = '{if,exists}' then 5 else 3 end;
    when words[1] = 'explain_model' or words[1:2] = '{select,explain_model}' or words[1:2] = '{explain,model}' then
        return postgres_ml.parse_explain(statement, tokens, case words[1] when 'explain_model' then 2 else 3 end);
    else
        perform postgres_ml.unexpected(statement, tokens[1], 'CREATE MODEL, SHOW MODEL, DROP MODEL, EXPLAIN_MODEL or SELECT FORECAST(model)',
            'run() takes these statements; others go to Postgres as they are.');
    end case;
    model := postgres_ml.read_name(statement, tokens, at);
    at := postgres_ml.after_name(tokens, at);
    if tokens[at].kind <> 'end' then
        perform postgres_ml.unexpected(statement, tokens[at], 'the end of the statement');
    end if;
    return jsonb_build_object('command', words[1], 'model', model, 'if_exists', coalesce(words[3:4] = '{if,exists}', false));
end
$parse_statement$;
{#- The rows of a forecast's function, each as JSON: what run() returns has two columns, whatever it runs. -#}
create or replace function postgres_ml.forecast_in(model text, schemas name[])
returns table (key text, value text)
language plpgsql stable set search_path = pg_catalog, pg_temp
as $forecast_in$
declare
    m constant postgres_ml.serving_model := postgres_ml.find_model_in(model, schemas);
begin
    if m.problem_type <> 'forecasting' then
        raise exception 'model "%.%" forecasts nothing: it is a %', m.model_schema, m.model_name, m.problem_type
            using errcode = 'feature_not_supported', hint = format('Call its function: %I.%I.', m.model_schema, m.function_name);
    end if;
    return query execute format(
        'select (row_number() over ())::text, to_jsonb(f.*)::text from %I.%I() as f', m.model_schema, m.function_name
    );
end
$forecast_in$;
create or replace function postgres_ml.parse_explain(statement text, tokens postgres_ml.token[], at integer)
returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $parse_explain$
begin
    if tokens[at].kind in ('word', 'name') then
        return jsonb_build_object('command', 'explain', 'model', postgres_ml.read_name(statement, tokens, at));
    end if;
    if tokens[at].value <> '(' then
        perform postgres_ml.unexpected(statement, tokens[at], '(''schema.model'')');
    elsif tokens[at + 1].kind <> 'text' then
        perform postgres_ml.unexpected(statement, tokens[at + 1], 'the model''s name in quotes');
    elsif tokens[at + 2].value <> ')' or tokens[at + 3].kind <> 'end' then
        perform postgres_ml.unexpected(statement, tokens[at + 2], ')');
    end if;
    return jsonb_build_object('command', 'explain', 'model', tokens[at + 1].value);
end
$parse_explain$;
{#- A name with its schema, quoted where it has to be. -#}
create or replace function postgres_ml.read_name(statement text, tokens postgres_ml.token[], at integer)
returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $read_name$
begin
    if tokens[at].kind not in ('word', 'name') then
        perform postgres_ml.unexpected(statement, tokens[at], 'a name');
    end if;
    if tokens[at + 1].value <> '.' or tokens[at + 1].kind <> 'sign' then
        return quote_ident(tokens[at].value);
    end if;
    if tokens[at + 2].kind not in ('word', 'name') then
        perform postgres_ml.unexpected(statement, tokens[at + 2], 'a name');
    end if;
    return quote_ident(tokens[at].value) || '.' || quote_ident(tokens[at + 2].value);
end
$read_name$;
create or replace function postgres_ml.after_name(tokens postgres_ml.token[], at integer)
returns integer
language sql immutable set search_path = pg_catalog, pg_temp
as $after_name$
    select case when tokens[at + 1].value = '.' and tokens[at + 1].kind = 'sign' then at + 3 else at + 1 end
$after_name$
{% endmacro %}


{% macro postgres_ml__create_statement_functions() %}
create or replace function postgres_ml.parse_create(statement text, tokens postgres_ml.token[])
returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $parse_create$
declare
    clauses constant text[] := '{from,target,function,returns,sagemaker,iam_role,auto,model_type,problem_type,objective,preprocessors,hyperparameters,settings}';
    model text := postgres_ml.read_name(statement, tokens, 3);
    function_schema text;
    said jsonb := '{}';
    part jsonb;
    clause text;
    at integer := postgres_ml.after_name(tokens, 3);
begin
    while tokens[at].kind <> 'end' loop
        clause := tokens[at].value;
        if tokens[at].kind <> 'word' or clause <> all (clauses) then
            perform postgres_ml.unexpected(statement, tokens[at], 'a clause of CREATE MODEL',
                'There are ' || upper(array_to_string(clauses, ', ')) || '.');
        elsif said ? clause then
            perform postgres_ml.syntax_error(statement, tokens[at].starts, upper(clause) || ' stands there twice');
        end if;
        if clause in ('from', 'function', 'sagemaker', 'returns') then
            part := postgres_ml.parse_source(statement, tokens, at, clause);
        elsif clause in ('hyperparameters', 'settings') then
            part := postgres_ml.parse_options(statement, tokens, at, clause);
        else
            part := postgres_ml.parse_choice(statement, tokens, at, clause);
        end if;
        said := said || jsonb_build_object(clause, part -> 'value');
        at := (part ->> 'next')::integer;
    end loop;
    if not said ? 'from' then
        perform postgres_ml.unexpected(statement, tokens[at], 'FROM with a table or a query in parentheses');
    end if;
    function_schema := said #>> '{function,schema}';
    if cardinality(parse_ident(model)) = 1 then  -- the function's schema is the model's, too
        model := concat_ws('.', quote_ident(function_schema), model);
    elsif function_schema <> (parse_ident(model))[1] then
        raise exception 'the function of a model is in the model''s schema: model %, function %.%', model,
            function_schema, said #>> '{function,name}' using errcode = 'feature_not_supported';
    end if;
    return jsonb_strip_nulls(jsonb_build_object(
        'command', 'create', 'model', model, 'query', said ->> 'from',
        'ignored', nullif(concat_ws(', ', case when said ? 'iam_role' then 'IAM_ROLE' end, said #>> '{settings,ignored}'), ''),
        'config', jsonb_strip_nulls(jsonb_build_object(
            'target', said -> 'target', 'function', said #> '{function,name}', 'auto', said -> 'auto', 'model_type', said -> 'model_type',
            'problem_type', said -> 'problem_type', 'objective', said -> 'objective', 'preprocessors', said -> 'preprocessors',
            'hyperparameters', nullif(said -> 'hyperparameters', '{}'), 'settings', nullif(said #> '{settings,kept}', '{}')))));
end
$parse_create$;
{#- FROM, FUNCTION, and what only models that were made elsewhere have. -#}
create or replace function postgres_ml.parse_source(statement text, tokens postgres_ml.token[], at integer, clause text)
returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $parse_source$
declare
    next constant postgres_ml.token := tokens[at + 1];
    after integer;
    parts text[];
begin
    if clause in ('sagemaker', 'returns') or clause = 'from' and next.kind = 'text' then
        perform postgres_ml.syntax_error(statement, tokens[at].starts, upper(clause) || case clause
            when 'from' then ' ''…'' names a model that was made elsewhere, which is' else ' is for a model that was made elsewhere, which is' end
            || ' not published by SQL', 'Publish it by dbt: ' || case clause when 'sagemaker' then '`endpoint`' else '`source`' end
            || ' in the config, as docs/bring-your-own-model.md says.');
    elsif clause = 'from' and next.value = '(' and next.kind = 'sign' then
        after := postgres_ml.after_parenthesis(statement, tokens, at + 1);
        if after = at + 3 then
            perform postgres_ml.unexpected(statement, tokens[at + 2], 'a query');
        end if;
        return jsonb_build_object('next', after, 'value', substr(statement, next.ends, tokens[after - 1].starts - next.ends));
    elsif clause = 'from' then
        after := postgres_ml.after_name(tokens, at + 1);
        return jsonb_build_object('next', after, 'value', 'select * from ' || postgres_ml.read_name(statement, tokens, at + 1));
    end if;
    parts := parse_ident(postgres_ml.read_name(statement, tokens, at + 1));
    after := postgres_ml.after_name(tokens, at + 1);
    if tokens[after].value = '(' then
        perform postgres_ml.syntax_error(statement, tokens[after].starts, 'the function''s types follow from the query',
            'Types after FUNCTION are for a model that was made elsewhere, which dbt publishes: `source` or `endpoint`.');
    end if;
    return jsonb_build_object('next', after, 'value', jsonb_build_object(
        'name', parts[cardinality(parts)], 'schema', case when cardinality(parts) = 2 then parts[1] end));
end
$parse_source$;
{#- Clauses of one word or text, which Redshift's documentation writes in parentheses at times. -#}
create or replace function postgres_ml.parse_choice(statement text, tokens postgres_ml.token[], at integer, clause text)
returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $parse_choice$
declare
    in_parentheses constant boolean := tokens[at + 1].value = '(' and tokens[at + 1].kind = 'sign' and clause <> 'target';
    here constant integer := case when in_parentheses then at + 2 else at + 1 end;
    next constant postgres_ml.token := tokens[here];
    words constant text[] := case clause
        when 'auto' then '{on,off}'
        when 'model_type' then '{xgboost,mlp,linear_learner,additive,kmeans,isolation_forest,forecast}'
        when 'problem_type' then '{regression,binary_classification,multiclass_classification}' end;
    value jsonb := to_jsonb(next.value);
begin
    if words is not null and (next.kind not in ('word', 'text') or lower(next.value) <> all (words)) then
        perform postgres_ml.unexpected(statement, next, upper(array_to_string(words, ', ')));
    elsif clause in ('objective', 'preprocessors') and next.kind not in ('text', 'word') then
        perform postgres_ml.unexpected(statement, next, 'a text in quotes');
    elsif clause = 'target' and next.kind not in ('word', 'name') then
        perform postgres_ml.unexpected(statement, next, 'the name of a column');
    elsif clause = 'iam_role' and next.kind not in ('text', 'word') then
        perform postgres_ml.unexpected(statement, next, 'DEFAULT or a role in quotes');
    end if;
    if in_parentheses and tokens[here + 1].value <> ')' then
        perform postgres_ml.unexpected(statement, tokens[here + 1], ')');
    end if;
    if clause = 'auto' then
        value := to_jsonb(lower(next.value) = 'on');
    elsif words is not null then
        value := to_jsonb(lower(next.value));
    end if;
    return jsonb_build_object('next', here + case when in_parentheses then 2 else 1 end, 'value', value);
end
$parse_choice$;
{#- HYPERPARAMETERS DEFAULT [EXCEPT (key 'value', …)] and SETTINGS (key value, …). -#}
create or replace function postgres_ml.parse_options(statement text, tokens postgres_ml.token[], at integer, clause text)
returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $parse_options$
declare
    aws constant text[] := '{s3_bucket,tags,kms_key_id,s3_garbage_collect,iam_role}';
    others constant text[] := '{max_batch_rows}';
    kept jsonb := '{}';
    ignored text;
    here integer := at + 1;
    key text;
begin
    if clause = 'hyperparameters' then
        if tokens[here].value <> 'default' then
            perform postgres_ml.unexpected(statement, tokens[here], 'DEFAULT or DEFAULT EXCEPT (…)');
        elsif tokens[here + 1].value <> 'except' then
            return jsonb_build_object('next', here + 1, 'value', kept);
        end if;
        here := here + 2;
    end if;
    if tokens[here].value <> '(' then
        perform postgres_ml.unexpected(statement, tokens[here], '(');
    end if;
    loop
        here := here + 1;
        key := tokens[here].value;
        if tokens[here].kind not in ('word', 'name') then
            perform postgres_ml.unexpected(statement, tokens[here], 'the name of a ' || case clause when 'settings' then 'setting' else 'hyperparameter' end);
        elsif tokens[here + 1].kind not in ('text', 'word', 'number') and tokens[here + 1].value <> '-' then
            perform postgres_ml.unexpected(statement, tokens[here + 1], 'the value of ' || upper(key));
        elsif kept ? key then
            perform postgres_ml.syntax_error(statement, tokens[here].starts, upper(key) || ' stands there twice');
        elsif clause = 'settings' and key = any (others) then
            perform postgres_ml.syntax_error(statement, tokens[here].starts, upper(key) || ' is for services, which SQL does not publish');
        end if;
        if tokens[here + 1].value = '-' and tokens[here + 1].kind = 'sign' then
            here := here + 1;
            kept := kept || jsonb_build_object(key, '-' || tokens[here + 1].value);
        elsif clause = 'settings' and key = any (aws) then
            ignored := concat_ws(', ', ignored, upper(key));
        elsif clause = 'settings' and tokens[here + 1].value ~ '^[0-9]+(\.[0-9]+)?$' then
            kept := kept || jsonb_build_object(key, tokens[here + 1].value::numeric);
        else
            kept := kept || jsonb_build_object(key, tokens[here + 1].value);
        end if;
        here := here + 2;
        exit when tokens[here].value = ')' and tokens[here].kind = 'sign';
        if tokens[here].value <> ',' then
            perform postgres_ml.unexpected(statement, tokens[here], ', or )');
        end if;
    end loop;
    return jsonb_build_object('next', here + 1, 'value', case clause
        when 'settings' then jsonb_build_object('kept', kept, 'ignored', ignored) else kept end);
end
$parse_options$
{% endmacro %}
