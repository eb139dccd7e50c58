"""All that is wrong with a command line and the files that it names, found together. Skip it on a first reading.

Hydra stops at the first error and suggests no near words. Here its parser, file reader and defaults list are asked for
one override, file and key after the other, and each error is collected. The composing itself is left to Hydra.
"""
