-- Bodies are written by postgres_ml.generate.native; see docs/plmodel-format.md
\set label 'UExNQgEAAAAvAQAAy2IZegIAAAAABgAAAGFtb3VudAIFAAAAc3RhdGUEAAAABAAAAAEEAAAAAAAAAAI4AAAAAQAAAAEAAAAAAAAAACJAAAAAAAAAFEACAAAAAgAAAFdBAwAAAMOHYQAAAAAAAAAAAAAAAAAA8D8gewAAAAgAAAAAAADwPwEAAAAAAAAAAADQPwIAAAAAAAAAAQAAAAIAAAAKAAAAAAAAAAAAAAAFAAAAAQAAAAAAAAAaAQAEAAAAAD8AAAA/AADAPwAAEMAAAAA/BQAAAAEAAAAAAAAAGgEABAAAAAA/AAAAPwAAwD8AABDAAAAAPyQJAAAAAAEAAAACAAAAAAAAAAEAAAAAAAAA4D8CAAAAAAIAAABubwADAAAAeWVzAQAAAAMAAAAA'
\set probabilities 'UExNQgEAAQBbAQAAltME0QIAAAAABgAAAGFtb3VudAIFAAAAc3RhdGUGAAAABgAAAAEEAAAAAAAAAAI4AAAAAQAAAAEAAAAAAAAAACJAAAAAAAAAFEACAAAAAgAAAFdBAwAAAMOHYQAAAAAAAAAAAAAAAAAA8D8gewAAAAgAAAAAAADwPwEAAAAAAAAAAADQPwIAAAAAAAAAAQAAAAIAAAAKAAAAAAAAAAAAAAAFAAAAAQAAAAAAAAAaAQAEAAAAAD8AAAA/AADAPwAAEMAAAAA/BQAAAAEAAAAAAAAAGgEABAAAAAA/AAAAPwAAwD8AABDAAAAAPyQJAAAAAAEAAAACAAAACA0AAAACAwAAAAAAAAAAAPC/CA0AAAAABAAAAAAAAAAAAPA/AAAAAAEAAAAAAAAA4D8CAAAAAAIAAABubwADAAAAeWVzAQAAAAUAAAABBQAAAAMAAAA='
\set value 'UExNQgEAAAAfAQAAS3o8pwIAAAAABgAAAGFtb3VudAIFAAAAc3RhdGUDAAAAAwAAAAEEAAAAAAAAAAI4AAAAAQAAAAEAAAAAAAAAACJAAAAAAAAAFEACAAAAAgAAAFdBAwAAAMOHYQAAAAAAAAAAAAAAAAAA8D8gewAAAAgAAAAAAADwPwEAAAAAAAAAAADQPwIAAAAAAAAAAQAAAAIAAAAKAAAAAAAAAAAAAAAFAAAAAQAAAAAAAAAaAQAEAAAAAD8AAAA/AADAPwAAEMAAAAA/BQAAAAEAAAAAAAAAGgEABAAAAAA/AAAAPwAAwD8AABDAAAAAPwEAAAAAAAAAAKDI64XzzOF/AAAAAAAAAAAAAAAAAAABAAAAAgAAAAA='
\set date 'UExNQgEAAACVAAAAKNULawEAAAAGAgAAAGF0BAAAAAQAAAADBQAAAAAAAAAAAwUAAAAAAAAABAMFAAAAAAAAAAYhNAAAAAMAAAAAAAAAAQAAAAIAAAABAAAAAAAAAACIw0AAAAAAAABZQAAAAAAAAPA/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABAAAAAwAAAAA='

-- the three kinds of functions
create function label(amount float8, state text) returns text language plmodel immutable parallel safe as :'label';
create function label_probabilities(amount float8, state text) returns jsonb language plmodel immutable parallel safe as :'probabilities';
create function value(amount float8, state text) returns float8 language plmodel immutable parallel safe as :'value';
select amount, state, label(amount, state), label_probabilities(amount, state), value(amount, state)
from (values (1, 0.25::float8, 'WA'), (2, 0.5, 'WA'), (3, 0.5, 'Ça'), (4, null, null), (5, 'NaN', 'OR'), (6, 'infinity', 'WA'),
    (7, '-infinity', '')) as v(id, amount, state) order by id;

-- other types of arguments and results that fit
create function value_of_numeric(amount numeric, state varchar) returns float4 language plmodel as :'value';
create function value_of_char(amount int2, state char(4)) returns integer language plmodel as :'value';
create type state as enum ('WA', 'OR', 'Ça');
create domain money_amount as float8;
create function value_of_enum(amount money_amount, state state) returns numeric language plmodel as :'value';
create type answer as enum ('yes', 'no');
create function label_as_enum(amount float8, state text) returns answer language plmodel as :'label';
create type features as (unused date, state text, amount float8);
create function value_of_row(features features) returns float8 language plmodel as :'value';
select value_of_numeric(0.25, 'WA'), value_of_char(1::int2, 'Ça'), value_of_enum(1, 'Ça'), label_as_enum(1, 'WA'),
    value_of_row(row(null, 'Ça', 1)), value_of_row(null);
alter type features drop attribute unused;
alter type features add attribute more int4;
select value_of_row(row('Ça', 1, 7));
create function day(at timestamptz) returns float8 language plmodel as :'date';
set timezone = 'Asia/Kolkata';
select day('2024-02-29 23:30:00+00'), day('1969-12-31 23:59:59.999999+00'), day('infinity'), day('294276-12-31 23:59:59+00'),
    day('4713-11-24 00:00:00+00 BC');

-- a replaced function is a new one at once, also for a prepared plan
prepare p as select value(0.25, 'WA');
execute p;
create or replace function value(amount float8, state text) returns float8 language plmodel as :'value' immutable;
execute p;
begin;
create or replace function label(amount float8, state text) returns text language plmodel as :'label' stable;
select label(1, 'WA');
rollback;
select label(1, 'WA');

-- what is refused, and when: as the function is created
\set VERBOSITY terse
create function junk() returns float8 language plmodel as 'junk!';
create function junk() returns float8 language plmodel as '';
create function junk() returns float8 language plmodel as 'UExNQg==';
create function junk() returns float8 language plmodel as 'UExNQgEAAAAfAQAAS3o8pwIAAAAABgAAAGFtb3VudAIFAAAAc3RhdGQDAAAAAwAAAAEEAAAAAAAAAAI4AAAAAQAAAAEAAAAAAAAAACJAAAAAAAAAFEACAAAAAgAAAFdBAwAAAMOHYQAAAAAAAAAAAAAAAAAA8D8gewAAAAgAAAAAAADwPwEAAAAAAAAAAADQPwIAAAAAAAAAAQAAAAIAAAAKAAAAAAAAAAAAAAAFAAAAAQAAAAAAAAAaAQAEAAAAAD8AAAA/AADAPwAAEMAAAAA/BQAAAAEAAAAAAAAAGgEABAAAAAA/AAAAPwAAwD8AABDAAAAAPwEAAAAAAAAAAKDI64XzzOF/AAAAAAAAAAAAAAAAAAABAAAAAgAAAAA=';
create function junk() returns float8 language plmodel as 'UExNQmMAAAAfAQAAS3o8pwIAAAAABgAAAGFtb3VudAIFAAAAc3RhdGUDAAAAAwAAAAEEAAAAAAAAAAI4AAAAAQAAAAEAAAAAAAAAACJAAAAAAAAAFEACAAAAAgAAAFdBAwAAAMOHYQAAAAAAAAAAAAAAAAAA8D8gewAAAAgAAAAAAADwPwEAAAAAAAAAAADQPwIAAAAAAAAAAQAAAAIAAAAKAAAAAAAAAAAAAAAFAAAAAQAAAAAAAAAaAQAEAAAAAD8AAAA/AADAPwAAEMAAAAA/BQAAAAEAAAAAAAAAGgEABAAAAAA/AAAAPwAAwD8AABDAAAAAPwEAAAAAAAAAAKDI64XzzOF/AAAAAAAAAAAAAAAAAAABAAAAAgAAAAA=';
create function junk(amount float8, state text) returns float8 language plmodel as 'UExNQgEAAAAfAQAAS3o8pwIAAAAABgAAAGFtb3VudAIFAAAAc3RhdGUDAAAAAwAAAAEEAAAAAAAAAAI4AAAAAQAAAAEAAAAAAAAAACJAAAAAAAAAFEACAAAAAgAAAFdBAwAAAMOHYQAAAAAAAAAAAAAAAAAA8D8gewAAAAgAAAAAAADwPwEAAAAAAAAAAADQPwIAAAAAAAAAAQAAAAIAAAAKAAAAAAAAAAAAAAAFAAAAAQAAAAAAAAAaAQAEAAAAAD8AAAA/AADAPwAAEMAAAAA/BQAAAAEAAAAAAAAAGgEABAAAAAA/AAAAPwAAwD8AABDAAAAAPwEAAAAAAAAAAKDI64XzzOF/AAAAAAAAAAAAAAAAAAABAAAAAgAAAA==';
create function junk(amount float8) returns float8 language plmodel as :'value';
create function junk(amount float8, state int) returns float8 language plmodel as :'value';
create function junk(amount json, state text) returns float8 language plmodel as :'value';
create function junk(amount float8, state text) returns date language plmodel as :'value';
create function junk(amount float8, state text) returns integer language plmodel as :'label';
create function junk(amount float8, state text) returns json language plmodel as :'probabilities';
create function junk(amount float8, state text) returns setof float8 language plmodel as :'value';
create function junk(amount float8, state text) returns float8 language plmodel strict as :'value';
create function junk(amount float8, out state text) returns text language plmodel as :'value';
create procedure junk(amount float8, state text) language plmodel as :'value';
create function junk(features features) returns float8 language plmodel as :'date';
create type other as (amount float8);
create function junk(features other) returns float8 language plmodel as :'value';
do language plmodel 'x';

-- not by the validator: by the first call
set check_function_bodies = off;
create function junk() returns float8 language plmodel as 'junk!';
reset check_function_bodies;
select junk();

-- any user may create functions
create role plmodel_user;
grant create on schema public to plmodel_user;
set role plmodel_user;
create function by_user(amount float8, state text) returns float8 language plmodel as :'value';
select by_user(0.25, 'WA');
reset role;
drop function by_user;
revoke create on schema public from plmodel_user;
drop role plmodel_user;

-- every kernel
set plmodel.kernel = scalar;
select value(0.25, 'WA');
set plmodel.kernel = avx2;
select value(0.25, 'WA');
set plmodel.kernel = avx512;
select value(0.25, 'WA');
set plmodel.kernel = sse;
