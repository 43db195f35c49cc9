-- NULLs, NaN, infinities, values out of range and categories never seen give a prediction or NULL.
with hostile as (

    select island, bill, mass, sex
    from (values ('Torgersen'), (''), (e'it''s \\ $$ "x"'), ('Insel Rügen'), (null)) as a (island)
    cross join (
        values (null::double precision), ('NaN'), ('Infinity'), ('-Infinity'), (1e308), (-1e308), (5e-324), (-0.0)
    ) as b (bill)
    cross join (values (null::integer), (0), (-2147483648), (2147483647)) as c (mass)
    cross join (values ('male'), ('unseen'), (null)) as d (sex)

),

predicted as (

    select
        {{ predict('penguin_species', ['island', 'bill', 'bill', 'mass', 'mass', 'sex']) }} as species,
        {{ predict('penguin_species', ['null', 'null', 'null', 'null', 'null', 'null']) }} as of_nothing
    from hostile

)

select *
from predicted
where species not in ('Adelie', 'Chinstrap', 'Gentoo') or of_nothing is null
