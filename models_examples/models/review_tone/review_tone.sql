-- Free text: AUTO counts the words and pairs of words that tell most of the target. Here they are all there is to go by, in
-- general any number of other columns stands beside them.
{{ config(
    materialized='create_model',
    target='is_favourable',
    objective='accuracy',
    settings={'max_runtime': 20},
) }}

select sentence, rating > 0 as is_favourable
from {{ ref('review_sentences') }}
where rating not between -0.5 and 0.5  -- these say neither
