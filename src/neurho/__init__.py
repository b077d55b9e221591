"""Neural density matrices: quantum dynamics and stationary states of open many-body systems."""

import lazy_loader

# Names are loaded when first used, so that `neurho --help` need not wait for JAX; they are listed in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
