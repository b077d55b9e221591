"""What a problem is made of: lattices, operators, Lindbladians, pulses, named models, and their texts."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["interchange", "models", "pulses"])
