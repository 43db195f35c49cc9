create or replace function "ml"."_predict_it__ieee"("operator" pg_catalog.text, "a" double precision, "b" double precision)
returns double precision
language plpgsql immutable parallel safe as $body$
-- "_predict_it__ieee", generator 5, ir_version 2
#variable_conflict use_column

declare
  a double precision := $2;
  b double precision := $3;
  x double precision := pg_catalog.abs($2);
  y double precision := pg_catalog.abs($3);
  overflow double precision;
begin
  if a is null or b is null or a = 'NaN' or b = 'NaN' then
    return null;
  end if;
  if $1 = '+' or $1 = '-' then
    if $1 = '-' then
      b := -b;
    end if;
    if x = 'Infinity' or y = 'Infinity' or (x < '8e307' and y < '8e307') then
      return nullif(a + b, 'NaN');
    end if;
    a := case when x > '1' then a * '0.5' else '0' end;
    b := case when y > '1' then b * '0.5' else '0' end;
    a := a + b;
    return case when pg_catalog.abs(a) < '8.98846567431158e307' then a * '2' else a * 'Infinity' end;
  end if;
  if $1 = '/' and y = '0' then
    return case when x > '0' then a * 'Infinity' end;
  elsif x = '0' then
    return case when $1 = '/' or y < 'Infinity' then '0'::double precision end;
  elsif x = 'Infinity' or y = 'Infinity' then
    return nullif(case when $1 = '*' then case when y = '0' then 'NaN' else a * b end else a / b end, 'NaN');
  elsif y = '0' then
    return '0';
  end if;
  overflow := pg_catalog.sign(a) * pg_catalog.sign(b) * 'Infinity';
  if $1 = '*' then
    return case
      when x >= '1' and y >= '1' then
        case when (x * '7.458340731200207e-155') * (y * '7.458340731200207e-155') >= '1' then overflow
          else a * b end
      when x < '1' and y < '1' and (x < '3.054936363499605e-151' or y < '3.054936363499605e-151') then
        case when (x * '4.4989137945431964e161') * (y * '4.4989137945431964e161') <= '0.5' then '0'
          else a * b end
      else a * b
    end;
  end if;
  return case
    when y < '1' and x >= '1' then
      case when x * '0.5' >= y * '8.98846567431158e307' then overflow else a / b end
    when y < '1e-300' then
      case when x >= y * '8.98846567431158e307' * '2' then overflow else a / b end
    when y >= '1' and x < '1' and (x < '3.054936363499605e-151' or y >= '3.273390607896142e150') then
      case when (x * '8.98846567431158e307') / (y * '2.220446049250313e-16') <= '1' then '0' else a / b end
    else a / b
  end;
end
$body$;
create or replace function "ml"."_predict_it__extreme"("age" double precision, "plan" pg_catalog.text)
returns pg_catalog.text
language plpgsql immutable parallel safe as $body$
-- "_predict_it__extreme", generator 5, ir_version 2
#variable_conflict use_column
declare
s8 double precision;
extreme boolean := false;
begin
if pg_catalog.abs($1)>'1e37' then
$1 := nullif($1,'NaN');
if $1<='-Infinity' or $1>='Infinity' then return null; end if;
extreme := (pg_catalog.abs($1)>'1e37') is true;
end if;
if extreme then
s8 := "ml"."_predict_it__ieee"('+',"ml"."_predict_it__ieee"('+',"ml"."_predict_it__ieee"('*',coalesce("ml"."_predict_it__ieee"('/',"ml"."_predict_it__ieee"('-',$1,'36'),'12.5'),'-.04'),'.75'),(case when $2 is null then '.125' when $2 collate pg_catalog."C"='basic' then '-.5' when $2 collate pg_catalog."C"='plus''s' then '1.25' else '0'::double precision end)),'-.3');
else
s8 := ((coalesce((($1-'36')/'12.5'),'-.04')*'.75')+(case when $2 is null then '.125' when $2 collate pg_catalog."C"='basic' then '-.5' when $2 collate pg_catalog."C"='plus''s' then '1.25' else '0'::double precision end)+'-.3');
end if;
return case when s8>'0' then 'yes'::pg_catalog.text else 'no'::pg_catalog.text end;
end
$body$;
create or replace function "ml"."predict_it"("age" double precision, "plan" pg_catalog.text)
returns pg_catalog.text
language sql immutable parallel safe as $body$
-- "predict_it", generator 5, ir_version 2
select case when pg_catalog.abs($1)>'1e37' then "ml"."_predict_it__extreme"($1,$2)
else case when ((coalesce((($1-'36')/'12.5'),'-.04')*'.75')+(case when $2 is null then '.125' when $2 collate pg_catalog."C"='basic' then '-.5' when $2 collate pg_catalog."C"='plus''s' then '1.25' else '0'::double precision end)+'-.3')>'0' then 'yes'::pg_catalog.text else 'no'::pg_catalog.text end end
$body$;
create or replace function "ml"."predict_it_probabilities"("age" double precision, "plan" pg_catalog.text)
returns pg_catalog.jsonb
language plpgsql immutable parallel safe as $body$
-- "predict_it_probabilities", generator 5, ir_version 2
#variable_conflict use_column
declare
s8 double precision;
s9 double precision;
s10 double precision;
extreme boolean := false;
begin
if pg_catalog.abs($1)>'1e37' then
$1 := nullif($1,'NaN');
if $1<='-Infinity' or $1>='Infinity' then return null; end if;
extreme := (pg_catalog.abs($1)>'1e37') is true;
end if;
if extreme then
s8 := "ml"."_predict_it__ieee"('+',"ml"."_predict_it__ieee"('+',"ml"."_predict_it__ieee"('*',coalesce("ml"."_predict_it__ieee"('/',"ml"."_predict_it__ieee"('-',$1,'36'),'12.5'),'-.04'),'.75'),(case when $2 is null then '.125' when $2 collate pg_catalog."C"='basic' then '-.5' when $2 collate pg_catalog."C"='plus''s' then '1.25' else '0'::double precision end)),'-.3');
s9 := (case when s8<'-700' then '0' else (case when s8 is not null then ('1'/(pg_catalog.exp(least(greatest(-s8,'-700'),'700'))+'1')) end) end);
s10 := ((s9*'-1')+'1');
else
s8 := ((coalesce((($1-'36')/'12.5'),'-.04')*'.75')+(case when $2 is null then '.125' when $2 collate pg_catalog."C"='basic' then '-.5' when $2 collate pg_catalog."C"='plus''s' then '1.25' else '0'::double precision end)+'-.3');
s9 := (case when s8<'-700' then '0' else ('1'/(pg_catalog.exp(greatest(-s8,'-700'))+'1')) end);
s10 := ((s9*'-1')+'1');
end if;
return case when s9>s10 then pg_catalog.jsonb_build_object('labels','["yes", "no"]'::pg_catalog.jsonb,'probabilities',pg_catalog.jsonb_build_array(s9,s10)) else pg_catalog.jsonb_build_object('labels','["no", "yes"]'::pg_catalog.jsonb,'probabilities',pg_catalog.jsonb_build_array(s10,s9)) end;
end
$body$;
-- inline
