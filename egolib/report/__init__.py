"""Results, claims and the scoreboard: every number that is shown."""
