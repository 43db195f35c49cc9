"""`python -m postgres_ml` is the command `postgres-ml`."""

import sys

from postgres_ml.cli import main

sys.exit(main())
