"""Which texts have one order in all encodings, and the nested CASEs that search them."""

import pytest
from postgres_ml.generate.sql.search import have_one_order, searched


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["b", "a", "c"], True),
        (["région-1", "région-10", "région-2"], True),  # they part at digits
        (["a", "aé", "aéb", ""], True),  # each begins the next
        (["zé", "é"], True),
        (["é", "ö"], False),
        (["a", "é", "éa", "ö", "öa"], False),
        (["жа", "ж1"], True),
    ],
)
def test_texts_that_part_at_ascii_have_one_order(texts: list[str], expected: bool) -> None:
    assert have_one_order(texts) is expected


def test_the_middle_one_parts_the_others() -> None:
    found = [(f"'{letter}'", str(k)) for k, letter in enumerate("abcd")]
    assert searched("t", found, "9") == (
        "case when t<'c' then case t when 'a' then 0 when 'b' then 1 else 9 end "
        "else case t when 'c' then 2 when 'd' then 3 else 9 end end"
    )
