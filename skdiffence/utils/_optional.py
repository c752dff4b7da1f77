"""Optional dependencies, imported where they are used."""

import importlib


def import_optional(name, *, extra):
    """Import an optional dependency, or raise an error with the command that installs it.

    Parameters
    ----------
    name : str
        The name of the module.
    extra : str
        The extra of skdiffence that requires it.

    Returns
    -------
    module : module

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"{package} is needed here. Install it with: pip install 'skdiffence[{extra}]'") from error
