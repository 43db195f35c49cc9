{#- The words of a statement, as Postgres reads them, and errors that point at one. -#}
{% macro postgres_ml__token_functions() %}
do $types$
begin
    if to_regtype('postgres_ml.token') is null then
        create type postgres_ml.token as (kind text, value text, starts integer, ends integer);
    end if;
end
$types$;
create or replace function postgres_ml.syntax_error(statement text, at integer, message text, cure text default null)
returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $syntax_error$
declare
    before constant text := left(statement, at - 1);
    n_line constant integer := 1 + length(before) - length(replace(before, E'\n', ''));
    line constant text := split_part(statement, E'\n', n_line);
    place constant integer := length(split_part(before, E'\n', n_line)) + 1;
    shown constant text := E'\n' || line || E'\n' || regexp_replace(left(line, place - 1), '[^\t]', ' ', 'g') || '^';
begin
    if cure is null then
        raise exception '% at line %, column %', message, n_line, place using errcode = 'syntax_error', detail = shown;
    end if;
    raise exception '% at line %, column %', message, n_line, place using errcode = 'syntax_error', detail = shown, hint = cure;
end
$syntax_error$;
{#- Where the gap of spaces and comments that begins here ends; comments nest. Of one without an end, minus its begin. -#}
create or replace function postgres_ml.after_gap(statement text, at integer)
returns integer
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $after_gap$
declare
    place integer := at;
    opened integer;
    depth integer;
    part text;
begin
    loop
        part := substr(statement, place, 2);
        if part = '--' then
            place := place + coalesce(nullif(strpos(substr(statement, place), E'\n'), 0), length(statement));
        elsif part = '/*' then
            depth := 1;
            opened := place;
            place := place + 2;
            while depth > 0 loop
                part := substring(substr(statement, place) from '^.*?(?:/\*|\*/)');
                if part is null then
                    return -opened;
                end if;
                depth := depth + case right(part, 2) when '/*' then 1 else -1 end;
                place := place + length(part);
            end loop;
        elsif left(part, 1) ~ '^\s$' then
            place := place + length((regexp_match(substr(statement, place, 200), '^\s+'))[1]);
        else
            return place;
        end if;
    end loop;
end
$after_gap$;
{#-
  It looks at a window of the statement, and at a wider one where the token may go on beyond its end. The kind of a quote
  without an end is NULL.
-#}
create or replace function postgres_ml.token_at(statement text, at integer)
returns postgres_ml.token
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $token_at$
declare
    width integer := 128;
    rest text;
    tag text;
    raw text;
    kind text;
begin
    loop
        rest := substr(statement, at, width);
        tag := null;
        if rest ~ '^[0-9]' then
            kind := 'number';
            raw := (regexp_match(rest, '^[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?'))[1];
        elsif rest ~ '^[eE]''' then
            kind := 'text';
            raw := (regexp_match(rest, '^[eE]''(?:[^''\\]|\\.|'''')*''(?!'')'))[1];
        elsif rest ~ '^''' then
            kind := 'text';
            raw := (regexp_match(rest, '^''(?:[^'']|'''')*''(?!'')'))[1];
        elsif rest ~ '^"' then
            kind := 'name';
            raw := (regexp_match(rest, '^"(?:[^"]|"")*"(?!")'))[1];
        elsif rest ~ '^\$(?:[[:alpha:]_]\w*)?\$' then
            kind := 'text';
            tag := (regexp_match(rest, '^\$(?:[[:alpha:]_]\w*)?\$'))[1];
            raw := left(rest, nullif(strpos(substr(rest, length(tag) + 1), tag), 0) - 1 + 2 * length(tag));
        elsif rest ~ '^[[:alpha:]_]' then
            kind := 'word';
            raw := (regexp_match(rest, '^[[:alpha:]_][\w$]*'))[1];
        else
            kind := 'sign';
            raw := left(rest, 1);
        end if;
        exit when length(rest) < width or length(raw) < width - 3;  -- "1e+" may become a number's exponent
        width := 8 * width;
    end loop;
    if raw is null then
        return (null, null, at, at)::postgres_ml.token;
    end if;
    return (kind, case
        when kind = 'word' then lower(raw)
        when kind = 'name' then replace(substr(raw, 2, length(raw) - 2), '""', '"')
        when kind = 'text' and tag is not null then substr(raw, length(tag) + 1, length(raw) - 2 * length(tag))
        when kind = 'text' and raw ~ '^''' then replace(substr(raw, 2, length(raw) - 2), '''''', '''')
        else raw end, at, at + length(raw))::postgres_ml.token;
end
$token_at$;
{#-
  The last token is of kind 'end'. What was read is cut off now and then: Postgres counts the characters before a place
  each time that it looks there, so the time would grow with the square of the length.
-#}
create or replace function postgres_ml.tokens_of(statement text)
returns postgres_ml.token[]
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $tokens_of$
declare
    n_characters constant integer := length(statement);
    found postgres_ml.token[] := '{}';
    next postgres_ml.token;
    rest text := statement;
    before integer := 0;  -- characters that were cut off
    at integer := 1;
begin
    loop
        at := postgres_ml.after_gap(rest, at - before);
        if at < 0 then
            perform postgres_ml.syntax_error(statement, before - at, 'a comment without an end');
        end if;
        at := before + at;
        exit when at > n_characters;
        if at - before > 2000 then
            rest := substr(rest, at - before);
            before := at - 1;
        end if;
        next := postgres_ml.token_at(rest, at - before);
        if next.kind is null then
            perform postgres_ml.syntax_error(statement, at, 'a quote without an end');
        end if;
        next.starts := at;
        at := before + next.ends;
        next.ends := at;
        found := found || next;
    end loop;
    return found || ('end', '', at, at)::postgres_ml.token;
end
$tokens_of$;
create or replace function postgres_ml.unexpected(statement text, token postgres_ml.token, wanted text, cure text default null)
returns void
language sql immutable set search_path = pg_catalog, pg_temp
as $unexpected$
    select postgres_ml.syntax_error(statement, token.starts, format('expected %s, found %s', wanted, case token.kind
        when 'end' then 'the end of the statement'
        else format('"%s"', left(substr(statement, token.starts, token.ends - token.starts), 40)) end), cure)
$unexpected$;
{#- The index after the parenthesis that closes the one at this index. -#}
create or replace function postgres_ml.after_parenthesis(statement text, tokens postgres_ml.token[], at integer)
returns integer
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $after_parenthesis$
declare
    depth integer := 0;
    i integer := at;
begin
    loop
        if tokens[i].kind = 'end' then
            perform postgres_ml.syntax_error(statement, tokens[at].starts, 'a parenthesis that is not closed');
        elsif tokens[i].kind = 'sign' and tokens[i].value = '(' then
            depth := depth + 1;
        elsif tokens[i].kind = 'sign' and tokens[i].value = ')' then
            depth := depth - 1;
        end if;
        i := i + 1;
        exit when depth = 0;
    end loop;
    return i;
end
$after_parenthesis$
{% endmacro %}
