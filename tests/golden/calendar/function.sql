create or replace function "ml"."predict_it"("born" pg_catalog.date, "seen" timestamp with time zone)
returns integer
language plpgsql immutable parallel safe as $body$
-- "predict_it", generator 5, ir_version 2
#variable_conflict use_column
declare
n1 double precision;
n2 double precision;
x1 double precision;
x2 double precision;
s4 double precision;
s5 double precision;
t1 double precision;
t2 double precision;
begin
n1 := case when pg_catalog.isfinite($1) and $1<pg_catalog.make_date(294277,1,1) then pg_catalog.date_part('month',$1::timestamp without time zone) end;
n2 := case when pg_catalog.isfinite($2) then pg_catalog.date_part('hour',pg_catalog.timezone('UTC',$2)) end;
if n1 is null or n2 is null then return null; end if;
t1 := (n1/'12');
t2 := (n2/'24');
s4 := pg_catalog.sqrt((((t1-'.25')*(t1-'.25'))+((t2-'.5')*(t2-'.5'))));
s5 := pg_catalog.sqrt((((t1-'.75')*(t1-'.75'))+((t2-'.5')*(t2-'.5'))));
return case least(s4,s5) when s4 then '0'::integer else '1'::integer end;
end
$body$;
create or replace function "ml"."predict_it_distances"("born" pg_catalog.date, "seen" timestamp with time zone)
returns double precision[]
language plpgsql immutable parallel safe as $body$
-- "predict_it_distances", generator 5, ir_version 2
#variable_conflict use_column
declare
n1 double precision;
n2 double precision;
x1 double precision;
x2 double precision;
s4 double precision;
s5 double precision;
t1 double precision;
t2 double precision;
begin
n1 := case when pg_catalog.isfinite($1) and $1<pg_catalog.make_date(294277,1,1) then pg_catalog.date_part('month',$1::timestamp without time zone) end;
n2 := case when pg_catalog.isfinite($2) then pg_catalog.date_part('hour',pg_catalog.timezone('UTC',$2)) end;
if n1 is null or n2 is null then return null; end if;
t1 := (n1/'12');
t2 := (n2/'24');
s4 := pg_catalog.sqrt((((t1-'.25')*(t1-'.25'))+((t2-'.5')*(t2-'.5'))));
s5 := pg_catalog.sqrt((((t1-'.75')*(t1-'.75'))+((t2-'.5')*(t2-'.5'))));
return array[s4,s5]::double precision[];
end
$body$;
-- expression
