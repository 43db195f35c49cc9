# An estimator that no SQL can express: runtime python, inside the server's own Python.
def model(dbt, session):
    dbt.config(
        materialized="create_model",
        target="cultivar",
        problem_type="multiclass_classification",
        arguments="alcohol float8, flavanoids float8, color_intensity float8, proline integer",
        settings={"min_rows": 100},
    )
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    wines = dbt.ref("wines")
    pipeline = make_pipeline(StandardScaler(), KNeighborsClassifier(7))
    return pipeline.fit(wines.drop(columns="cultivar"), wines["cultivar"])
