"""What JAX must be told before it is imported: devices, precision, and where compiled programs are kept.

The command line calls this; a library must not change such settings at import.
"""

import os
import sys

import platformdirs

from neurho._types import NeurhoError, require

CACHE = "JAX_COMPILATION_CACHE_DIR"


def configure(*, devices: int | None = None, cache: bool = True) -> None:
    """Set the environment of JAX for a run.

    **Arguments**

    - `devices`: split the processor into so many devices, over which samples are spread; None leaves JAX as it is.
    - `cache`: keep compiled programs in the user's cache directory, unless JAX is told of another one already.

    **Raises** `NeurhoError` when JAX has been imported before.
    """
    if "jax" in sys.modules:
        raise NeurhoError("Devices and caches must be chosen before JAX is imported, but it has been.")
    os.environ["JAX_ENABLE_X64"] = "1"
    if devices is not None:
        require(devices >= 1, "devices", "be at least 1", f"it is {devices}")
        flag = f"--xla_force_host_platform_device_count={devices}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    if cache:
        os.environ.setdefault(CACHE, str(platformdirs.user_cache_path("neurho") / "programs"))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
