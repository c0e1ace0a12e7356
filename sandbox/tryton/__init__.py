"""A real ERP to load into: Tryton 8.2 with books for the feed `sample`, and an importer as its owner would write one.

`environment` runs with the project's interpreter and gives Tryton one of its own; everything else runs there, as
`python -m sandbox.tryton`. It imports nothing of claimpost: what is accepted, refused and answered is Tryton's opinion.
"""
