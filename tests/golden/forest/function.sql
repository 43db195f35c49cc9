create or replace function "ml"."_predict_it__extreme"("x" double precision)
returns boolean
language plpgsql immutable parallel safe as $body$
-- "_predict_it__extreme", generator 5, ir_version 2
#variable_conflict use_column
declare
s2 double precision;
s3 double precision;
begin
if pg_catalog.abs($1)>'1e37' then
$1 := nullif($1,'NaN');
if $1<'-3.4028235677973362e38' or $1>='3.4028235677973366e38' then return null; end if;
end if;
s2 := '0'::double precision
+CASE WHEN $1<'.09999999776482583' THEN '.25' ELSE '.5'::double precision END
+CASE WHEN $1>='.7000000178813934' THEN '.5' ELSE '.25'::double precision END;
s3 := '0'::double precision
+CASE WHEN $1<'.09999999776482583' THEN '.75' ELSE '.5'::double precision END
+CASE WHEN $1>='.7000000178813934' THEN '.5' ELSE '.75'::double precision END;
s2 := (s2/'2');
s3 := (s3/'2');
return case greatest(s2,s3) when s2 then 'false'::boolean else 'true'::boolean end;
end
$body$;
create or replace function "ml"."predict_it"("x" double precision)
returns boolean
language sql immutable parallel safe as $body$
-- "predict_it", generator 5, ir_version 2
select case when pg_catalog.abs($1)>'1e37' then "ml"."_predict_it__extreme"($1)
else case greatest((('0'::double precision
+CASE WHEN $1<'.09999999776482583' THEN '.25' ELSE '.5'::double precision END
+CASE WHEN $1>='.7000000178813934' THEN '.5' ELSE '.25'::double precision END)/'2'),(('0'::double precision
+CASE WHEN $1<'.09999999776482583' THEN '.75' ELSE '.5'::double precision END
+CASE WHEN $1>='.7000000178813934' THEN '.5' ELSE '.75'::double precision END)/'2')) when (('0'::double precision
+CASE WHEN $1<'.09999999776482583' THEN '.25' ELSE '.5'::double precision END
+CASE WHEN $1>='.7000000178813934' THEN '.5' ELSE '.25'::double precision END)/'2') then 'false'::boolean else 'true'::boolean end end
$body$;
create or replace function "ml"."predict_it_probabilities"("x" double precision)
returns pg_catalog.jsonb
language plpgsql immutable parallel safe as $body$
-- "predict_it_probabilities", generator 5, ir_version 2
#variable_conflict use_column
declare
s2 double precision;
s3 double precision;
begin
if pg_catalog.abs($1)>'1e37' then
$1 := nullif($1,'NaN');
if $1<'-3.4028235677973362e38' or $1>='3.4028235677973366e38' then return null; end if;
end if;
s2 := '0'::double precision
+CASE WHEN $1<'.09999999776482583' THEN '.25' ELSE '.5'::double precision END
+CASE WHEN $1>='.7000000178813934' THEN '.5' ELSE '.25'::double precision END;
s3 := '0'::double precision
+CASE WHEN $1<'.09999999776482583' THEN '.75' ELSE '.5'::double precision END
+CASE WHEN $1>='.7000000178813934' THEN '.5' ELSE '.75'::double precision END;
s2 := (s2/'2');
s3 := (s3/'2');
return case when s3>s2 then pg_catalog.jsonb_build_object('labels','[true, false]'::pg_catalog.jsonb,'probabilities',pg_catalog.jsonb_build_array(s3,s2)) else pg_catalog.jsonb_build_object('labels','[false, true]'::pg_catalog.jsonb,'probabilities',pg_catalog.jsonb_build_array(s2,s3)) end;
end
$body$;
-- inline
