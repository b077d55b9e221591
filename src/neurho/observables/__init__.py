"""What is measured, with errors, and how far it may be trusted."""

import lazy_loader

# Names are loaded when first used, so that the grammar of names need not wait for JAX; they are listed in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
