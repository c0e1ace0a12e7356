"""python -m sandbox.sample --reports N --seed S --out DIR"""

from __future__ import annotations

from sandbox.sample import main

main()
