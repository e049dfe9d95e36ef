"""Run one training job: `python -m connectors.trainer SPEC.json`."""

import sys

from connectors.trainer.run import main

sys.exit(main(sys.argv[1:]))
