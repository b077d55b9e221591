"""Operators and Lindbladians of other libraries: QuTiP in both directions, NetKet's as they come."""

import lazy_loader

# Each name loads the library it needs when it is first used; they are listed in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
