"""Tracers, after geth's: what each gathers while a transaction runs, and how it tells it."""
