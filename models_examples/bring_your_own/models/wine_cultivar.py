# Training code of one's own: what it returns is judged by rows that it never saw, and becomes a SQL function.
def model(dbt, session):
    dbt.config(
        materialized="create_model",
        target="cultivar",
        problem_type="multiclass_classification",
        arguments="alcohol float8, flavanoids float8, color_intensity float8, proline integer",
        settings={"min_rows": 100},
        gates={"accuracy": ">= 0.85", "own_accuracy_out_of_bag": ">= 0.85"},
    )
    from sklearn.ensemble import RandomForestClassifier

    wines = dbt.ref("wines")
    forest = RandomForestClassifier(50, max_depth=4, oob_score=True, random_state=0)
    forest.fit(wines.drop(columns="cultivar"), wines["cultivar"])
    return [forest, {"accuracy_out_of_bag": forest.oob_score_}]
