"""The main job on real input: three devices, two dead servers, one attacker, and an auditor."""
