create or replace function "ml"."_predict_it__extreme"("x" double precision)
returns pg_catalog.text
language plpgsql immutable parallel safe as $body$
-- "_predict_it__extreme", generator 5, ir_version 2
#variable_conflict use_column
declare
s2 real;
s3 real;
s4 real;
begin
if $1>'Infinity' then
$1 := nullif($1,'NaN');
end if;
s2 := '.5'::real
+CASE WHEN $1>='.9999999701976776' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '0'::real END;
s3 := '.5'::real
+CASE WHEN $1>'1.999999940395355' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '.1'::real END;
s4 := '.5'::real
+CASE WHEN $1>'2.99999988079071' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '.2'::real END;
return case greatest(s2,s3,s4) when s2 then 'low'::pg_catalog.text when s3 then 'middle'::pg_catalog.text else 'high'::pg_catalog.text end;
end
$body$;
create or replace function "ml"."predict_it"("x" double precision)
returns pg_catalog.text
language sql immutable parallel safe as $body$
-- "predict_it", generator 5, ir_version 2
select case when $1>'Infinity' then "ml"."_predict_it__extreme"($1)
else case greatest(('.5'::real
+CASE WHEN $1>='.9999999701976776' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '0'::real END),('.5'::real
+CASE WHEN $1>'1.999999940395355' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '.1'::real END),('.5'::real
+CASE WHEN $1>'2.99999988079071' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '.2'::real END)) when ('.5'::real
+CASE WHEN $1>='.9999999701976776' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '0'::real END) then 'low'::pg_catalog.text when ('.5'::real
+CASE WHEN $1>'1.999999940395355' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '.1'::real END) then 'middle'::pg_catalog.text else 'high'::pg_catalog.text end end
$body$;
create or replace function "ml"."predict_it_probabilities"("x" double precision)
returns pg_catalog.jsonb
language plpgsql immutable parallel safe as $body$
-- "predict_it_probabilities", generator 5, ir_version 2
#variable_conflict use_column
declare
x1 real;
x2 real;
x3 real;
x4 real;
x5 real;
x6 real;
x7 real;
x8 double precision;
x9 real;
s5 real;
s6 real;
s7 real;
s2 real;
s3 real;
s4 real;
t4 real;
t5 real;
t6 real;
t7 real;
t8 real;
t9 real;
t10 real;
t11 double precision;
t12 real;
extreme boolean := false;
begin
if $1>'Infinity' then
$1 := nullif($1,'NaN');
extreme := ($1>'Infinity') is true;
end if;
s2 := '.5'::real
+CASE WHEN $1>='.9999999701976776' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '0'::real END;
s3 := '.5'::real
+CASE WHEN $1>'1.999999940395355' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '.1'::real END;
s4 := '.5'::real
+CASE WHEN $1>'2.99999988079071' THEN CASE WHEN $1 is null THEN '.3' ELSE '-.2'::real END ELSE '.2'::real END;
if extreme then
x1 := greatest(s2,s3,s4);
x2 := s2-x1;
x3 := case when x2<'-87' then '0' else pg_catalog.exp((x2)::double precision)::real end;
x4 := s3-x1;
x5 := case when x4<'-87' then '0' else pg_catalog.exp((x4)::double precision)::real end;
x6 := s4-x1;
x7 := case when x6<'-87' then '0' else pg_catalog.exp((x6)::double precision)::real end;
x8 := (x3::double precision+x5::double precision+x7::double precision);
x9 := (case when pg_catalog.abs(x8)<='7.006492321624085e-46' then '0' when x8>'3.4028235677973362e38' then 'Infinity' when x8<'-3.4028235677973362e38' then '-Infinity' else x8::real end);
s5 := (x3/x9);
s6 := (x5/x9);
s7 := (x7/x9);
else
t4 := greatest(s2,s3,s4);
t5 := s2-t4;
t6 := case when t5<'-87' then '0' else pg_catalog.exp((t5)::double precision)::real end;
t7 := s3-t4;
t8 := case when t7<'-87' then '0' else pg_catalog.exp((t7)::double precision)::real end;
t9 := s4-t4;
t10 := case when t9<'-87' then '0' else pg_catalog.exp((t9)::double precision)::real end;
t11 := (t6::double precision+t8::double precision+t10::double precision);
t12 := (case when pg_catalog.abs(t11)<='7.006492321624085e-46' then '0' when t11>'3.4028235677973362e38' then 'Infinity' when t11<'-3.4028235677973362e38' then '-Infinity' else t11::real end);
s5 := (t6/t12);
s6 := (t8/t12);
s7 := (t10/t12);
end if;
return (select pg_catalog.jsonb_build_object('labels',pg_catalog.jsonb_agg(l.value order by p.p desc,p.n),'probabilities',pg_catalog.jsonb_agg(p.p order by p.p desc,p.n)) from rows from (pg_catalog.unnest(array[s5::double precision,s6::double precision,s7::double precision]::double precision[])) with ordinality as p(p,n) join pg_catalog.jsonb_array_elements('["low", "middle", "high"]'::pg_catalog.jsonb) with ordinality as l(value,n) on l.n=p.n);
end
$body$;
-- inline
