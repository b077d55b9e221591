"""The command `neurho`: run, resume, show, plot, compare, problems.

Heavy modules are imported inside the commands, so that help and refusals come at once. Exit codes: 0; 1 with one
sentence for what a user can mend; 2 for a wrong command line; 130 and 143 after Ctrl-C and SIGTERM, with all saved.
"""

from neurho.cli.commands import app, main
from neurho.session.interrupt import Interrupted
from neurho.session.wording import duration, with_error

__all__ = ["Interrupted", "app", "duration", "main", "with_error"]
