"""Every error as one sentence and an exit code: 1 failed, 2 bad input, 130 interrupted."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable

import typer
from rich.console import Console

from softcam.errors import MissingExtraError, SoftcamError, WorkError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


class InterruptedRunError(Exception):
    """Ctrl-C, with the command that goes on from there.

    Attributes:
        remedy: What to do next.
    """

    def __init__(self, remedy: str) -> None:
        super().__init__(remedy)
        self.remedy = remedy


def run_safely(command: Callable[[], object]) -> int:
    """Run a command line and turn whatever happens into an exit code.

    Args:
        command: The parsed application.

    Returns:
        0, 1, 2 or 130.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(text: str) -> None:
        console.print(text, markup=False)

    try:
        result = command()
    except typer.Exit as error:
        return int(error.exit_code)
    except typer.exceptions.TyperException as error:  # a command line that cannot be parsed
        if hasattr(error, "show"):
            error.show()
        else:
            say(f"softcam: {error}")
        return BAD_INPUT
    except InterruptedRunError as error:
        say(f"softcam: interrupted. {error.remedy}")
        return INTERRUPTED
    except (KeyboardInterrupt, typer.Abort):
        say("softcam: interrupted.")
        return INTERRUPTED
    except (MissingExtraError, WorkError) as error:
        say(f"softcam: {error}")
        return FAILED
    except SoftcamError as error:
        say(f"softcam: {error}")
        return BAD_INPUT
    except Exception as error:
        # A defect of ours or of a library: still a sentence, the trace for those who ask for it.
        if os.environ.get("SOFTCAM_DEBUG"):
            traceback.print_exc(file=sys.stderr)
        detail = " ".join(str(error).split())[:300]
        say(
            f"softcam: failed with {type(error).__name__}: {detail} "
            "(set SOFTCAM_DEBUG=1 for the trace)."
        )
        return FAILED
    return result if isinstance(result, int) else 0
