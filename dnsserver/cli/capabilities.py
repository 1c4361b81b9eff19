"""Root's right to read, kept while it works as another user.

Who owns a database may not be able to read this program, parts of which are imported only when they are needed. The
effective capabilities end with the effective user 0, the permitted ones do not (capabilities(7)).
"""

from __future__ import annotations

import ctypes
import sys

# <linux/capability.h>
_VERSION_3 = 0x20080522
_DAC_OVERRIDE = 1 << 1
_DAC_READ_SEARCH = 1 << 2


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def keep_reading() -> None:
    """Take back the right to read every file, right after the effective user ceased to be root. Best effort."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    header = _CapabilityHeader(_VERSION_3, 0)
    sets = (_Capabilities * 2)()
    if libc.capget(ctypes.byref(header), sets) != 0:
        return
    permitted = sets[0].permitted
    sets[0].effective = permitted & _DAC_READ_SEARCH or permitted & _DAC_OVERRIDE
    libc.capset(ctypes.byref(header), sets)
