"""`peftstudio-connector`: what an author does with a connector."""
