"""All that is wrong with a command line and the files it names, found together. Skip it on a first reading.

Hydra stops at the first error and knows no near misses. Here its own parser, file reader and defaults list are asked
one word, file and key at a time, and what they refuse is noted. The composing itself is left to Hydra.
"""
