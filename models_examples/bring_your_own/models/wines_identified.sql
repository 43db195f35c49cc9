select
    wine_id,
    cultivar,
    {{ predict('wine_cultivar') }} as by_own_code,
    {{ predict('cultivar_registered') }} as by_registry
from {{ ref('wines') }}
