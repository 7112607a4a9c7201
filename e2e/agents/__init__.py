"""The published coding agents, and the play they are put in."""
