"""Base classes: transformers that act at inference only, membership attacks, and classifiers made of torch modules."""

from abc import ABCMeta, abstractmethod

from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skdiffence.utils._frames import ready_for
from skdiffence.utils._modules import from_module
from skdiffence.utils._sklearn import HasMethods, fit_context, output_container, routing_enabled

__all__ = ["InferenceOnly", "InferenceOnlyMixin", "MembershipAttack", "from_module", "is_inference_only"]


class InferenceOnlyMixin(TransformerMixin):
    """Mixin for transformers that change what is answered on, never what is trained on.

    ``fit_transform(X)`` fits and returns X unchanged, so it is not ``fit(X).transform(X)``. Inside a
    :class:`~sklearn.pipeline.Pipeline` the steps after this one are therefore trained on real inputs
    and answer on transformed ones.

    A subclass with ``get_feature_names_out`` has ``set_output``, as any transformer has. If that asks for a container,
    ``fit_transform`` returns the values of X in one.
    """

    _inference_only = True

    def fit_transform(self, X, y=None, **fit_params):
        """Fit to X and return X unchanged.

        This differs from ``fit(X).transform(X)`` on purpose: a Pipeline calls this method while it is
        being fitted, and the classifier behind it must learn from real inputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Training inputs.
        y : array-like of shape (n_samples,), default=None
            Training labels, passed on to ``fit``.
        **fit_params : dict
            Passed on to ``fit``.

        Returns
        -------
        X : array-like
            The very object that was given, or its values in the container that ``set_output`` asks for.
        """
        self.fit(X, y, **fit_params)
        return ready_for(X, output_container(self))


def is_inference_only(estimator):
    """Say whether a transformer leaves the training data of the steps after it unchanged.

    Parameters
    ----------
    estimator : object
        A transformer, or "passthrough" or None as in a Pipeline.

    Returns
    -------
    inference_only : bool
    """
    # FrozenEstimator passes attributes on but hides fit_transform: it does transform at fit.
    return not isinstance(estimator, FrozenEstimator) and getattr(estimator, "_inference_only", False)


def _inner_has(name):
    def check(self):
        getattr(self.transformer_ if hasattr(self, "transformer_") else self.transformer, name)
        return True

    return check


class InferenceOnly(InferenceOnlyMixin, MetaEstimatorMixin, BaseEstimator):
    """Make any transformer act at inference only.

    ``fit_transform(X)`` fits the transformer and returns X unchanged; ``transform`` is the transformer's, and so are
    the names of the features that ``set_output`` needs.
    Use it for purifiers of other libraries, frozen ones included, in front of a classifier.

    Parameters
    ----------
    transformer : transformer
        What to apply at inference. ``FrozenEstimator(transformer)`` is not fitted again.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.

    See Also
    --------
    skdiffence.diffusion.DiffusionRegenerator : Acts at inference only without this wrapper.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import Binarizer
    >>> from skdiffence.base import InferenceOnly
    >>> X = np.array([[0.2, 0.9]])
    >>> purifier = InferenceOnly(Binarizer(threshold=0.5))
    >>> purifier.fit_transform(X)
    array([[0.2, 0.9]])
    >>> purifier.transform(X)
    array([[0., 1.]])
    """

    _parameter_constraints: dict = {"transformer": [HasMethods(["fit", "transform"])]}

    def __init__(self, transformer):
        self.transformer = transformer

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **fit_params):
        """Fit the transformer.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Training inputs.
        y : array-like of shape (n_samples,), default=None
            Training labels.
        **fit_params : dict
            Passed on to the transformer's ``fit``; with metadata routing, those that the transformer requests.

        Returns
        -------
        self : InferenceOnly
        """
        if routing_enabled():
            fit_params = process_routing(self, "fit", **fit_params).transformer.fit
        self.transformer_ = clone(self.transformer).fit(X, y, **fit_params)
        return self

    def get_metadata_routing(self):
        """Return which metadata ``fit`` and ``fit_transform`` pass to the transformer's ``fit``.

        Returns
        -------
        router : MetadataRouter
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit").add(caller="fit_transform", callee="fit")
        return MetadataRouter(owner=self).add(transformer=self.transformer, method_mapping=to_fit)

    @available_if(_inner_has("transform"))
    def transform(self, X):
        """Transform X with the fitted transformer.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs to answer on.

        Returns
        -------
        X_transformed : array-like
            What the transformer makes of X.
        """
        check_is_fitted(self, "transformer_")
        return ready_for(self.transformer_.transform(X), output_container(self))

    @available_if(_inner_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features=None):
        """Return the transformer's names of the features that it returns.

        Parameters
        ----------
        input_features : array-like of shape (n_features,), default=None
            Names of the features of X.

        Returns
        -------
        names : ndarray of shape (n_features_out,), dtype object

        Raises
        ------
        ValueError
            If they are not as many as X has. Steps of a Pipeline that are trained on X can't answer on others.
        """
        check_is_fitted(self, "transformer_")
        names = self.transformer_.get_feature_names_out(input_features)
        if len(names) != (n := getattr(self, "n_features_in_", len(names))):
            raise ValueError(
                f"transformer must return as many features as it is given to be named at inference only. Got "
                f"{type(self.transformer_).__name__}, which makes {len(names)} features of {n}."
            )
        return names

    @property
    def n_features_in_(self):
        """Number of features that the transformer was fitted on."""
        return self.transformer_.n_features_in_

    @property
    def feature_names_in_(self):
        """Column names, where X was a frame with names."""
        return self.transformer_.feature_names_in_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.transformer)
        tags.input_tags, tags.transformer_tags = inner.input_tags, inner.transformer_tags
        tags.target_tags = inner.target_tags
        tags.non_deterministic = inner.non_deterministic
        return tags


class MembershipAttack(BaseEstimator, metaclass=ABCMeta):
    """Base class of membership inference attacks.

    An attack is fitted to a target, a classifier that it can only query, and to rows whose membership the attacker
    knows. From these it learns everything, including the direction in which members differ. A subclass sets
    ``target_``, and ``threshold_`` in the units of its scores.

    Audits, scorers and reports treat an attack by the eight attributes below and never by its class, so a subclass is
    treated like its parent. An attack of which a parameter decides one of them defines that one as a property.
    """

    _parameter_constraints: dict = {}

    #: What the attack examines: "answer" (the answer for the row), "label_only" (labels of the row and of its
    #: neighbors), "shadow" (the answers of shadow models as well) or "adaptive" (answers for rows that are changed with
    #: a defense in mind, or what a defense gives away beside the answer).
    family = "answer"

    #: What it reads in the target's answers: "proba" (probabilities), "labels" (nothing but the predicted labels) or
    #: "cost" (how much work or time an answer takes). Attacks that read labels form the floor of an audit.
    uses = "proba"

    #: Whether it reads the true labels of rows. If not, ``y`` may be None.
    needs_true_labels = True

    #: Whether it compares the target with shadow models.
    needs_shadows = False

    #: Whether it compares the target with models that the attacker trains: a reference model, or shadow models.
    own_model = False

    #: The rows that it can be run on: "any", "numeric" (dense arrays or frames of numbers, because it changes rows or
    #: learns from them), "arrays" (dense arrays of numbers) or "images".
    row_type = "any"

    #: Whether one answer for each row is enough, so that attacks can share their queries. Such an attack also has
    #: ``fit_answers`` and ``score_answers``.
    asks_once = False

    #: Whether an earlier answer to the same query, given to another attacker, may be used. Not if the attack measures
    #: how an answer is given, such as the time that it takes.
    shares_answers = False

    @abstractmethod
    def fit(self, target, X, y, is_member):
        """Fit the attack to rows whose membership the attacker knows.

        Parameters
        ----------
        target : classifier
            A fitted classifier with ``predict`` and ``predict_proba``.
        X : array-like of shape (n_samples, ...)
            Known rows.
        y : array-like of shape (n_samples,)
            True labels.
        is_member : array-like of shape (n_samples,), dtype bool
            True for rows that the target was trained on.

        Returns
        -------
        self : MembershipAttack
            The fitted attack.
        """

    def check_target(self, target):
        """Raise an error for a target that this attack says nothing about.

        Audits and scorers, which query a target once for many attacks, call this first. There is no such target unless
        a subclass says so.

        Parameters
        ----------
        target : classifier
            A fitted classifier.
        """

    @abstractmethod
    def score_samples(self, X, y):
        """Return the score of each row; higher means more likely a member.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of unknown membership.
        y : array-like of shape (n_samples,)
            True labels.

        Returns
        -------
        scores : ndarray of shape (n_samples,), dtype float64
        """

    def predict(self, X, y):
        """Return which rows are called members: those that score at least ``threshold_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows of unknown membership.
        y : array-like of shape (n_samples,)
            True labels.

        Returns
        -------
        is_member : ndarray of shape (n_samples,), dtype bool
        """
        check_is_fitted(self, "threshold_")
        return self.score_samples(X, y) >= self.threshold_
