"""A small ERP to load into: an Oracle-like interface table and a drop folder for beancount files.

It imports nothing of claimpost: what it accepts, refuses and answers is an independent opinion. The command is
`python -m sandbox.erp`.
"""
