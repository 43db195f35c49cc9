"""Which relations a dbt model in Python refers to, read from what dbt makes of it."""

from dbt.adapters.postgres_ml.build.python_model import combined, relations_of

COMPILED = """
def model(dbt, session):
    prices = dbt.source("raw", "prices")
    again = dbt.ref("labelled", v=2)
    earlier = dbt.ref("earlier")
    again = dbt.ref("labelled", v=2)
    refs = {"mine": [prices]}

def ref(*args, **kwargs):
    refs = {"earlier": "s.earlier", "labelled.v2": "s.labelled_v2", "unseen": "s.unseen"}

def source(*args, dbt_load_df_function):
    sources = {"raw.prices": "raw.prices"}
"""


def test_relations_come_in_the_order_in_which_the_code_asks_for_them():
    assert relations_of(COMPILED) == ("raw.prices", "s.labelled_v2", "s.earlier", "s.unseen")


def test_the_digest_of_one_relation_is_its_own():
    assert combined([5]) == 5
    assert len({combined([5, 1]), combined([5, 2]), combined([1, 5]), 5}) == 4
    assert -(2**63) <= combined([5, 1]) < 2**63
