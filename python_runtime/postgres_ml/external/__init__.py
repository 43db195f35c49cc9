"""Models made elsewhere: loaded, described, evaluated if there is a query, published like others."""
