"""The helper functions that do IEEE 754 arithmetic for operands which Postgres's operators refuse.

Rows with ordinary values don't call them. NaN results are NULL. Each branch asks by a product or comparison
that is scaled by powers of two, and therefore exact and in range itself, whether the result would overflow or
vanish, and only then lets Postgres compute it.

The powers: 7.458340731200207e-155 = 2^-512, 2.220446049250313e-16 = 2^-52, 3.054936363499605e-151 = 2^-500,
3.273390607896142e150 = 2^500, 4.4989137945431964e161 = 2^537, 8.98846567431158e307 = 2^1023.
"""

from __future__ import annotations

ARGUMENTS = (("operator", "pg_catalog.text"), ("a", "double precision"), ("b", "double precision"))

BODY = """
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
"""

DOT_ARGUMENTS = (
    ("numbers", "double precision[]"),
    ("weights", "double precision[]"),
    ("intercept", "double precision"),
)

DOT_BODY = """
declare
  total double precision := 0;
begin
  for i in 1 .. pg_catalog.array_length($1, 1) loop
    total := {ieee}('+', total, {ieee}('*', $1[i], $2[i]));
  end loop;
  return {ieee}('+', total, $3);
end
"""
