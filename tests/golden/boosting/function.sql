create or replace function "ml"."_predict_it__extreme"("amount" real, "price" numeric, "quantity" integer, "is_member" boolean, "state" character varying)
returns integer
language plpgsql immutable parallel safe as $body$
-- "_predict_it__extreme", generator 5, ir_version 2
#variable_conflict use_column
declare
n1 double precision;
c1 integer;
s7 real;
begin
n1 := case when pg_catalog.scale($2)<=300 and $2<='1e300' and $2>='-1e300' then $2::double precision when $2='NaN' then null when pg_catalog.abs($2)<='2.4703282292062327e-324' then '0' when $2>='1.797693134862315808e308' then 'Infinity' when $2<='-1.797693134862315808e308' then '-Infinity' else $2::double precision end;
if $1>'Infinity' or n1>'Infinity' then
$1 := nullif($1,'NaN');
end if;
c1 := case when $5 is null then 4 else case $5::pg_catalog.text collate pg_catalog."C" when 'CA' then 1 when 'NY' then 2 when 'O''Brien' then 3 else 5 end end;
s7 := '.5'::real
+CASE WHEN $1>='.1' THEN CASE WHEN n1<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN c1>1 THEN '.1' ELSE '-.2'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN c1>1 THEN '.5' ELSE '.25'::real END
+CASE WHEN $1>='.1' THEN CASE WHEN n1<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN c1>1 THEN '.1' ELSE '-.2'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN c1>1 THEN '.5' ELSE '.25'::real END
+CASE WHEN $1>='.1' THEN CASE WHEN n1<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN c1>1 THEN '.1' ELSE '-.2'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN c1>1 THEN '.5' ELSE '.25'::real END
+CASE WHEN $1>='.1' THEN CASE WHEN n1<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN c1>1 THEN '.1' ELSE '-.2'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN c1>1 THEN '.5' ELSE '.25'::real END;
return case when s7>'0' then '1'::integer else '0'::integer end;
end
$body$;
create or replace function "ml"."predict_it"("amount" real, "price" numeric, "quantity" integer, "is_member" boolean, "state" character varying)
returns integer
language sql immutable parallel safe as $body$
-- "predict_it", generator 5, ir_version 2
select case when $1>'Infinity' or $2>'1e37' or $2<'-1e37' or pg_catalog.scale($2)>300 then "ml"."_predict_it__extreme"($1,$2,$3,$4,$5)
else case when ('.5'::real
+CASE WHEN $1>='.1' THEN CASE WHEN ($2::double precision)<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN $5::pg_catalog.text collate pg_catalog."C"='CA' THEN '-.2' ELSE '.1'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN $5::pg_catalog.text collate pg_catalog."C"='CA' THEN '.25' ELSE '.5'::real END
+CASE WHEN $1>='.1' THEN CASE WHEN ($2::double precision)<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN $5::pg_catalog.text collate pg_catalog."C"='CA' THEN '-.2' ELSE '.1'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN $5::pg_catalog.text collate pg_catalog."C"='CA' THEN '.25' ELSE '.5'::real END
+CASE WHEN $1>='.1' THEN CASE WHEN ($2::double precision)<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN $5::pg_catalog.text collate pg_catalog."C"='CA' THEN '-.2' ELSE '.1'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN $5::pg_catalog.text collate pg_catalog."C"='CA' THEN '.25' ELSE '.5'::real END
+CASE WHEN $1>='.1' THEN CASE WHEN ($2::double precision)<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN $5::pg_catalog.text collate pg_catalog."C"='CA' THEN '-.2' ELSE '.1'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN $5::pg_catalog.text collate pg_catalog."C"='CA' THEN '.25' ELSE '.5'::real END)>'0' then '1'::integer else '0'::integer end end
$body$;
create or replace function "ml"."predict_it_probabilities"("amount" real, "price" numeric, "quantity" integer, "is_member" boolean, "state" character varying)
returns pg_catalog.jsonb
language plpgsql immutable parallel safe as $body$
-- "predict_it_probabilities", generator 5, ir_version 2
#variable_conflict use_column
declare
n1 double precision;
c1 integer;
s8 real;
s9 double precision;
s7 real;
begin
n1 := case when pg_catalog.scale($2)<=300 and $2<='1e300' and $2>='-1e300' then $2::double precision when $2='NaN' then null when pg_catalog.abs($2)<='2.4703282292062327e-324' then '0' when $2>='1.797693134862315808e308' then 'Infinity' when $2<='-1.797693134862315808e308' then '-Infinity' else $2::double precision end;
if $1>'Infinity' or n1>'Infinity' then
$1 := nullif($1,'NaN');
end if;
c1 := case when $5 is null then 4 else case $5::pg_catalog.text collate pg_catalog."C" when 'CA' then 1 when 'NY' then 2 when 'O''Brien' then 3 else 5 end end;
s7 := '.5'::real
+CASE WHEN $1>='.1' THEN CASE WHEN n1<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN c1>1 THEN '.1' ELSE '-.2'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN c1>1 THEN '.5' ELSE '.25'::real END
+CASE WHEN $1>='.1' THEN CASE WHEN n1<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN c1>1 THEN '.1' ELSE '-.2'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN c1>1 THEN '.5' ELSE '.25'::real END
+CASE WHEN $1>='.1' THEN CASE WHEN n1<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN c1>1 THEN '.1' ELSE '-.2'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN c1>1 THEN '.5' ELSE '.25'::real END
+CASE WHEN $1>='.1' THEN CASE WHEN n1<'19.99000072479248' THEN '.3' ELSE '-.4'::real END WHEN c1>1 THEN '.1' ELSE '-.2'::real END
+CASE WHEN $3<'3' THEN CASE WHEN $4 is null or not $4 THEN '.05' ELSE '.15'::real END ELSE '-.25'::real END
+CASE WHEN c1>1 THEN '.5' ELSE '.25'::real END;
s8 := ('1'::real/(pg_catalog.exp((-s7)::double precision)::real+'1'));
s9 := ((s8::double precision*'-1')+'1');
return case when s8::double precision>s9 then pg_catalog.jsonb_build_object('labels','[1, 0]'::pg_catalog.jsonb,'probabilities',pg_catalog.jsonb_build_array(s8::double precision,s9)) else pg_catalog.jsonb_build_object('labels','[0, 1]'::pg_catalog.jsonb,'probabilities',pg_catalog.jsonb_build_array(s9,s8::double precision)) end;
end
$body$;
-- inline
