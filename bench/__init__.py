"""Whole processes doing the month-end's work, in turn: claimpost and the limit it is held against.

Every entrant is a process of its own (`python -m bench.<entrant> DELIVERY URL SCRATCH`): `claimpost_way` is the product
with everything it promises, `limit` the fastest CSV parse and COPY of the same rows, `pandas_way` what one writes with
pandas and `to_sql`. Only ratios taken in one run mean anything on another machine.
"""
