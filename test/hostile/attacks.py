"""A file's attacks, in the order in which they run."""


class Attacks(list):
    """`@attack` adds one; the first line of its docstring is its name."""

    def __call__(self, function):
        self.append(function)
        return function
