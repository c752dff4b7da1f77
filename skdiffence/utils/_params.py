"""The estimators and other parameters inside an estimator, fitted or not."""


def nested_params(estimator):
    """Return an estimator and its parameters at every depth.

    Parameters
    ----------
    estimator : estimator
        Parameters inside a FrozenEstimator, but for the estimator that it holds, are left out.

    Returns
    -------
    params : dict of str to object
        By the prefix of their own parameters: "" for the estimator itself, "name__" for its parameter ``name``.
    """
    params = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    return {"": estimator} | {f"{name}__": value for name, value in params.items()}


def may_use_torch(estimator):
    """Return whether training an estimator may draw from torch's generator: unless all of it is scikit-learn's own."""
    parts = [value for value in nested_params(estimator).values() if hasattr(value, "fit")]
    return {type(part).__module__.partition(".")[0] for part in parts} != {"sklearn"}
