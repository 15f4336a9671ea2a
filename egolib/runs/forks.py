"""How a fork of a warm process ends. (The server imports this, so nothing of egolib here.)"""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn


def leave(work: Callable[[], int]) -> NoReturn:
    """Does the work of a fork and ends it, without taking apart what it inherited (seconds)."""
    code = 1
    try:
        code = work()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
