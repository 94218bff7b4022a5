"""The one exception for a user's mistake."""


class InputError(ValueError):
    """A mistake in a file or value that the user gave.

    The message is one clear line: where, what, and what would be right. Stages print it without a traceback.
    """
