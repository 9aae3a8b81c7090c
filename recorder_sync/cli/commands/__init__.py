"""What an operator can type: a function for each command, its options the parameters, its docstring the help.

Rule: nothing heavy is imported here; a command's work is in a module of its own, imported when the command is called.
"""
