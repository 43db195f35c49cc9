-- Each sentence's tone as twenty readers took it, and as predicted.
select
    sentence_id,
    rating,
    {{ predict('review_tone', alias='r') }} as is_favourable,
    {{ predict_probabilities('review_tone', alias='r') }} as probabilities
from {{ ref('review_sentences') }} as r
